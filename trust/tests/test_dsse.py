"""DSSE: what is signed is type and bytes, and a threshold counts keys."""

import base64
import json
from typing import Any

import pytest

from cloned_trust import dsse, statement
from cloned_trust.keys import PublicKey, SecretKey
from cloned_trust.statement import Statement
from cloned_trust.verdict import Refusal

TYPE = "application/vnd.test"
ONE, TWO, THREE = SecretKey.generate(), SecretKey.generate(), SecretKey.generate()
RELEASE = Statement("a_b-1.0.0-py3-none-any.whl", "1" * 64, "a-b", "1.0.0", "a", "2" * 64)


def refusal(envelope: bytes | None, *keys: PublicKey, threshold: int = 1) -> str:
    with pytest.raises(Refusal) as caught:
        dsse.verify(envelope, payload_type=TYPE, keys=keys or [ONE.public], threshold=threshold)
    return caught.value.finding.error_id


def changed(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(envelope), **fields}).encode()


def test_the_encoding_is_that_of_the_specification() -> None:
    # The example of the specification's protocol.md.
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_signed_payload_is_given_back_with_its_signers() -> None:
    envelope = dsse.sign(TYPE, b"body \xff", [ONE, TWO])
    verified = dsse.verify(envelope, payload_type=TYPE, keys=[TWO.public, THREE.public, ONE.public], threshold=2)
    assert verified == dsse.Verified(b"body \xff", (TWO.public.keyid, ONE.public.keyid))


def test_another_key_payload_or_type_is_refused() -> None:
    envelope = dsse.sign(TYPE, b"body", [ONE])
    assert refusal(envelope, TWO.public) == "SIG_INVALID"
    assert refusal(changed(envelope, payload=base64.b64encode(b"other").decode())) == "SIG_INVALID"
    assert refusal(changed(dsse.sign("text/plain", b"body", [ONE]), payloadType=TYPE)) == "SIG_INVALID"
    assert refusal(dsse.sign("text/plain", b"body", [ONE])) == "SIG_INVALID"


def test_nothing_is_no_signature() -> None:
    assert refusal(None) == "SIG_MISSING"
    assert refusal(b"") == "SIG_MISSING"
    assert refusal(dsse.sign(TYPE, b"body", [])) == "SIG_MISSING"


def test_one_key_counts_once_under_however_many_key_ids() -> None:
    envelope = dsse.sign(TYPE, b"body", [ONE, ONE, ONE])
    signatures = json.loads(envelope)["signatures"]
    renamed = [{**one, "keyid": f"{number:064x}"} for number, one in enumerate(signatures)]
    assert (
        refusal(changed(envelope, signatures=renamed), ONE.public, ONE.public, TWO.public, threshold=2) == "SIG_INVALID"
    )


def test_the_key_id_is_a_hint_and_never_a_condition() -> None:
    envelope = dsse.sign(TYPE, b"body", [ONE])
    (signature,) = json.loads(envelope)["signatures"]
    for hint in ({"keyid": "nonsense"}, {"keyid": TWO.public.keyid}, {}):
        other = changed(envelope, signatures=[{"sig": signature["sig"], **hint}])
        assert dsse.verify(other, payload_type=TYPE, keys=[ONE.public]).keyids == (ONE.public.keyid,)


def test_foreign_signatures_beside_ours_do_not_disturb() -> None:
    envelope = dsse.sign(TYPE, b"body", [THREE, ONE])
    assert dsse.verify(envelope, payload_type=TYPE, keys=[ONE.public]).keyids == (ONE.public.keyid,)


def test_a_threshold_below_one_still_needs_a_signature() -> None:
    assert refusal(dsse.sign(TYPE, b"body", [TWO]), ONE.public, threshold=0) == "SIG_INVALID"


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": 1},
        {"payload": "not base64"},
        {"payload": "Ym9keR=="},
        {"payloadType": None},
        {"signatures": {}},
        {"signatures": ["x"]},
        {"signatures": [{"sig": 1}]},
        {"signatures": [{"keyid": "x"}]},
        {"signatures": [{"keyid": 1, "sig": ""}]},
        {"signatures": [{"sig": "", "cert": "x"}]},
        {"signatures": [{"sig": "****"}]},
        {"signatures": [{"sig": ""}] * 17},
        {"unsigned": True},
    ],
)
def test_a_malformed_envelope_is_refused(fields: dict[str, Any]) -> None:
    assert refusal(changed(dsse.sign(TYPE, b"body", [ONE]), **fields)) == "SIG_FORMAT"


@pytest.mark.parametrize("data", [b"[]", b"null", b'"x"', b"{}"])
def test_other_json_is_no_envelope(data: bytes) -> None:
    assert refusal(data) == "SIG_FORMAT"


def test_an_envelope_is_read_strictly() -> None:
    envelope = dsse.sign(TYPE, b"body", [ONE])
    assert refusal(b'{"payload":"",' + envelope[1:]) == "JSON_DUPLICATE_KEY"


def test_a_statement_is_read_back() -> None:
    assert statement.parse(statement.build(RELEASE)) == RELEASE
    envelope = statement.sign(RELEASE, [ONE])
    verified = dsse.verify(envelope, payload_type=statement.PAYLOAD_TYPE, keys=[ONE.public])
    assert statement.parse(verified.payload) == RELEASE


def test_a_statement_is_in_toto_v1() -> None:
    body = json.loads(statement.build(RELEASE))
    assert body["_type"] == statement.STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert body["predicateType"] == statement.PREDICATE_TYPE == "urn:cloned:plugin-release:v1"
    assert body["subject"] == [{"name": RELEASE.wheel_name, "digest": {"sha256": "1" * 64}}]


@pytest.mark.parametrize(
    "fields",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"subject": []},
        {"subject": [{"name": "x", "digest": {"sha256": "1" * 64}}] * 2},
        {"subject": [{"name": "x", "digest": {"sha1": "1" * 40}}]},
        {"subject": [{"name": "x", "digest": {"sha256": "1" * 63}}]},
        {"subject": [{"name": "x", "digest": {"sha256": "A" * 64}}]},
        {"subject": [{"name": "x", "digest": {"sha256": "1" * 64, "md5": "x"}}]},
        {"subject": [{"name": "x", "digest": {"sha256": "1" * 64}, "uri": "x"}]},
        {"predicate": {}},
        {"predicate": []},
        {"predicate": {"plugin_id": "a-b", "version": 1, "publisher_id": "a", "manifest_sha256": "2" * 64}},
        {"predicate": {"plugin_id": "a-b", "version": "1", "publisher_id": "a", "manifest_sha256": "2" * 65}},
        {"predicate": {"plugin_id": "a-b", "version": "1", "publisher_id": "a", "manifest_sha256": "2" * 64, "x": "y"}},
        {"predicate": {**json.loads(statement.build(RELEASE))["predicate"], "more": 1}},
        {"more": 1},
    ],
)
def test_statements_about_something_else_are_refused(fields: dict[str, Any]) -> None:
    body = {**json.loads(statement.build(RELEASE)), **fields}
    with pytest.raises(Refusal, match="STATEMENT_INVALID"):
        statement.parse(json.dumps(body).encode())
