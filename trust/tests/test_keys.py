"""Keys: what libsodium signs is verified, and no key is accepted under which a signature proves nothing."""

import base64
import hashlib

import pytest

from cloned_trust.keys import PublicKey, SecretKey
from cloned_trust.verdict import Refusal

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def plus(one: Point, other: Point) -> Point:
    """Addition on the twisted Edwards curve -x² + y² = 1 + d·x²·y² (RFC 8032, 5.1.4), in affine coordinates."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def times(factor: int, point: Point) -> Point:
    result = IDENTITY
    while factor:
        if factor & 1:
            result = plus(result, point)
        point, factor = plus(point, point), factor >> 1
    return result


def encoded(point: Point, *, y_offset: int = 0, flip_sign: bool = False) -> bytes:
    x, y = point
    return (y + y_offset | ((x & 1) ^ flip_sign) << 255).to_bytes(32, "little")


def decoded(raw: bytes) -> Point | None:
    number = int.from_bytes(raw, "little")
    y, sign = number & ~(1 << 255), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    if root * root % P != square:
        return None
    return (root if root & 1 == sign else P - root), y


def torsion() -> list[Point]:
    """The eight points of order 1, 2, 4 and 8: multiples of ORDER times a point that generates them all."""
    for y in range(2, 100):
        point = decoded(y.to_bytes(32, "little"))
        if point and times(4, generator := times(ORDER, point)) != IDENTITY:
            return [times(count, generator) for count in range(8)]
    raise AssertionError("some small y gives a point of full order")


def refusal(raw: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        PublicKey(raw)
    return caught.value.finding.error_id


def test_a_signature_verifies_under_its_key_and_message_alone() -> None:
    secret, other = SecretKey.generate(), SecretKey.generate()
    signature = secret.sign(b"message")
    assert secret.public.verify(b"message", signature)
    assert not secret.public.verify(b"massage", signature)
    assert not other.public.verify(b"message", signature)
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64)):
        assert not secret.public.verify(b"message", wrong)


def test_a_malleable_signature_is_refused() -> None:
    secret = SecretKey.generate()
    signature = secret.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not secret.public.verify(b"message", signature[:32] + scalar.to_bytes(32, "little"))


def test_the_identity_point_is_refused() -> None:
    assert refusal(encoded(IDENTITY)) == "KEY_WEAK"


def test_all_small_order_points_are_refused_with_either_sign() -> None:
    points = torsion()
    assert len({encoded(point) for point in points}) == 8
    for point in points:
        assert times(8, point) == IDENTITY
        assert refusal(encoded(point)) == "KEY_WEAK"
        assert refusal(encoded(point, flip_sign=True)) == "KEY_WEAK"


def test_points_outside_the_main_subgroup_are_refused() -> None:
    honest = decoded(SecretKey.generate().public.raw)
    assert honest is not None
    for point in torsion()[1:]:
        assert refusal(encoded(plus(honest, point))) == "KEY_WEAK"


def test_non_canonical_coordinates_are_refused() -> None:
    for y in range(19):
        for sign in (0, 1):
            assert refusal((y + P | sign << 255).to_bytes(32, "little")) == "KEY_MALFORMED"


def test_bytes_that_are_no_point_are_refused() -> None:
    off_curve = next(y for y in range(2, 100) if decoded(y.to_bytes(32, "little")) is None)
    assert refusal(off_curve.to_bytes(32, "little")) == "KEY_MALFORMED"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_other_lengths_are_refused(length: int) -> None:
    assert refusal(b"\1" * length) == "KEY_MALFORMED"
    with pytest.raises(Refusal, match="KEY_MALFORMED"):
        SecretKey(b"\1" * length)


def test_the_key_id_is_the_digest_of_the_raw_key() -> None:
    public = SecretKey(bytes(range(32))).public
    assert public.keyid == hashlib.sha256(public.raw).hexdigest()
    assert PublicKey.from_base64(public.base64) == public


def test_base64_has_one_spelling() -> None:
    text = SecretKey(bytes(range(32))).public.base64
    other_padding_bits = text[:-2] + chr(ord(text[-2]) + 1) + "="
    assert base64.b64decode(other_padding_bits) == base64.b64decode(text)
    for wrong in (other_padding_bits, text[:-1], text + "\n", " " + text, "é" * 44, text.replace(text[0], "-", 1), ""):
        with pytest.raises(Refusal, match="KEY_MALFORMED"):
            PublicKey.from_base64(wrong)


def test_a_secret_key_does_not_show_its_seed() -> None:
    secret = SecretKey(bytes(range(32)))
    assert repr(secret) == "SecretKey()"
