"""The in-toto Statement v1 that a publisher signs over a release. Refuses statements about anything else.

Source: https://github.com/in-toto/attestation, spec/v1/statement.md.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cloned_trust import dsse, strictjson
from cloned_trust.keys import SecretKey
from cloned_trust.verdict import Refusal

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:cloned:plugin-release:v1"

_WHAT = "release statement"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREDICATE = ("manifest_sha256", "plugin_id", "publisher_id", "version")


@dataclass(frozen=True, slots=True)
class Statement:
    """What the publisher says: this wheel is that version of that plugin. Digests are lower-case hex SHA-256."""

    wheel_name: str
    wheel_sha256: str
    plugin_id: str
    version: str
    publisher_id: str
    manifest_sha256: str


def build(statement: Statement) -> bytes:
    """The statement as the bytes to sign: compact JSON with sorted keys."""
    fields = asdict(statement)
    body = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": statement.wheel_name, "digest": {"sha256": statement.wheel_sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {name: fields[name] for name in _PREDICATE},
    }
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def sign(statement: Statement, keys: Sequence[SecretKey]) -> bytes:
    """The content of `<wheel>.cloned.dsse.json`: the statement in a DSSE envelope, signed by each key."""
    return dsse.sign(PAYLOAD_TYPE, build(statement), keys)


def parse(payload: bytes) -> Statement:
    """The statement in a payload. Raises Refusal: STATEMENT_INVALID or JSON_*."""
    match strictjson.loads(payload, what=_WHAT):
        case {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "urn:cloned:plugin-release:v1",
            "subject": [{"name": str(name), "digest": {"sha256": str(wheel), **more_digests}, **more_subject}],
            "predicate": dict(predicate),
            **more,
        } if not (more or more_subject or more_digests):
            pass
        case _:
            raise Refusal("STATEMENT_INVALID", _WHAT, f"it is not a {PREDICATE_TYPE} statement about one wheel")
    texts = {key: value for key, value in predicate.items() if isinstance(value, str)}
    if set(predicate) != set(_PREDICATE) or set(texts) != set(_PREDICATE):
        raise Refusal("STATEMENT_INVALID", _WHAT, f"its predicate needs the texts {', '.join(_PREDICATE)} alone")
    if not (_SHA256.fullmatch(wheel) and _SHA256.fullmatch(texts["manifest_sha256"])):
        raise Refusal("STATEMENT_INVALID", _WHAT, "a digest is not 64 lower-case hex digits")
    return Statement(wheel_name=name, wheel_sha256=wheel, **texts)
