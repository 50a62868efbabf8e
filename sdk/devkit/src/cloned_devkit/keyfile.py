"""A publisher's secret key in a file, 0600. Refuses one that others can read; the seed appears in no message."""

import base64
import binascii
import json
from pathlib import Path

from cloned_devkit import files
from cloned_devkit.mistakes import Mistake
from cloned_trust import strictjson
from cloned_trust.keys import SecretKey
from cloned_trust.verdict import Refusal

KEY_TYPE = "ed25519"
_MAX_BYTES = 4096


def read(path: Path) -> SecretKey:
    """The key in a file that `write_new` made. Raises Mistake: KEY_FILE, FILE_UNREADABLE, FILE_UNSAFE."""
    data = files.read(path, _MAX_BYTES, private=True)
    try:
        match strictjson.loads(data, what="key file"):
            case {"kty": "ed25519", "seed": str(seed), **rest} if not rest:
                return SecretKey(base64.b64decode(seed, validate=True))
            case _:
                raise Mistake("KEY_FILE", f"{path} is not a key file: it needs kty and seed, and nothing else")
    except (Refusal, binascii.Error):
        # `from None`: a decoder's message may quote what it read.
        raise Mistake("KEY_FILE", f"{path} does not hold a key of 32 bytes in base64") from None


def write_new(path: Path, key: SecretKey) -> None:
    """Keep a key in a new file. Raises Mistake FILE_EXISTS, FILE_UNREADABLE."""
    value = {"kty": KEY_TYPE, "seed": base64.b64encode(key.seed).decode()}
    files.write_new(path, json.dumps(value).encode() + b"\n", 0o600)
