"""Ed25519 keys. Refuses public keys under which signatures prove nothing: malformed, small-order or mixed-order ones.

Some libraries accept a forged signature on any message under the identity point, so a weak key is refused when it is
read, not when it is used. Verification is PyNaCl's (libsodium), which also refuses malleable signatures.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from cloned_trust.verdict import Refusal

KEY_BYTES = 32
SIGNATURE_BYTES = 64

# RFC 8032, section 5.1: the field's prime and the curve's constant d.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
# The y coordinates of the eight points whose order divides 8 (a sign bit makes eight points of five values).
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A usable Ed25519 public key: `raw` is its 32 bytes. Raises Refusal: KEY_MALFORMED or KEY_WEAK."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise Refusal("KEY_MALFORMED", "public key", f"{len(self.raw)} bytes instead of {KEY_BYTES}")
        y = int.from_bytes(self.raw, "little") & ~(1 << 255)
        if y >= _P:
            raise Refusal("KEY_MALFORMED", self.keyid, "its coordinate is not the canonical one")
        if y in _SMALL_ORDER_Y:
            raise Refusal("KEY_WEAK", self.keyid, "a small-order point, under which anybody can sign")
        if not _on_curve(y):
            raise Refusal("KEY_MALFORMED", self.keyid, "it is not a point of the curve")
        if not crypto_core_ed25519_is_valid_point(self.raw):
            raise Refusal("KEY_WEAK", self.keyid, "a point outside the main subgroup")

    @classmethod
    def from_base64(cls, text: str) -> "PublicKey":
        """The key in standard base64, in its one canonical spelling (44 characters)."""
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal("KEY_MALFORMED", "public key", "it is not standard base64") from error
        if base64.b64encode(raw).decode() != text:
            raise Refusal("KEY_MALFORMED", "public key", "it is not written in canonical base64")
        return cls(raw)

    @property
    def base64(self) -> str:
        """The key in standard base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def keyid(self) -> str:
        """SHA-256 of the raw bytes, in hex: always computed, never taken from a file."""
        return hashlib.sha256(self.raw).hexdigest()

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `message`."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            VerifyKey(self.raw).verify(message, signature)
        except BadSignatureError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An Ed25519 signing key; `seed` is its 32 secret bytes and stays out of every representation."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != KEY_BYTES:
            raise Refusal("KEY_MALFORMED", "secret key", f"a seed of {len(self.seed)} bytes instead of {KEY_BYTES}")

    @classmethod
    def generate(cls) -> "SecretKey":
        """A new key from the operating system's randomness."""
        return cls(bytes(SigningKey.generate()))

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(bytes(SigningKey(self.seed).verify_key))

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, 64 bytes."""
        return SigningKey(self.seed).sign(message).signature


def _on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) has a root (RFC 8032, 5.1.3), by Euler's criterion."""
    return pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) == 1
