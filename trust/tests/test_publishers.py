"""Publishers' records and revocations: which keys count, and what is no longer trusted."""

from typing import Any

import pytest

from cloned_schemas.trust import Publisher, Revocations
from cloned_trust import publishers, revocations
from cloned_trust.keys import SecretKey
from cloned_trust.revocations import Moment
from cloned_trust.verdict import Refusal

ONE, TWO = SecretKey(bytes(range(32))).public, SecretKey(bytes(range(1, 33))).public
IDENTITY = "AQ" + "A" * 41 + "="


def listed(key: Any, **fields: Any) -> dict[str, Any]:
    return {"keyid": key.keyid, "public": key.base64, **fields}


def record(*keys: dict[str, Any], **fields: Any) -> Publisher:
    base = {"publisher_id": "acme", "name": "Acme", "namespaces": ["acme"], "keys": list(keys)}
    return Publisher.model_validate({**base, **fields})


def test_the_keys_of_a_record_are_given_in_its_order() -> None:
    assert publishers.key_set(record(listed(TWO), listed(ONE))) == (TWO, ONE)


@pytest.mark.parametrize(
    ("keys", "error_id"),
    [
        ([listed(ONE), listed(ONE)], "KEY_REPEATED"),
        ([listed(ONE, keyid=TWO.keyid)], "KEY_MALFORMED"),
        ([{"keyid": "0" * 64, "public": IDENTITY}], "KEY_WEAK"),
        ([listed(ONE), {"keyid": "0" * 64, "public": "/" * 42 + "8="}], "KEY_MALFORMED"),
    ],
)
def test_repeated_renamed_weak_and_malformed_keys_are_refused(keys: list[dict[str, Any]], error_id: str) -> None:
    with pytest.raises(Refusal, match=error_id):
        publishers.key_set(record(*keys))


def test_a_retired_key_counts_no_more() -> None:
    assert publishers.key_set(record(listed(ONE, valid_to_seq=7), listed(TWO, valid_from_seq=8))) == (TWO,)


def test_only_one_active_record_makes_a_publisher_trusted() -> None:
    acme = record(listed(ONE))
    assert publishers.find([acme], "acme") is acme
    for trusted, count in (([], "no record"), ([acme, acme], "two records")):
        with pytest.raises(Refusal, match=f"PUBLISHER_UNTRUSTED: acme: {count}"):
            publishers.find(trusted, "acme")
    with pytest.raises(Refusal, match="PUBLISHER_SUSPENDED"):
        publishers.find([record(listed(ONE), state="suspended")], "acme")


def judged(moment: Moment, **entry: Any) -> list[tuple[str, str]]:
    lists = Revocations.model_validate({"entries": [{"reason": "malicious", **entry}]})
    found = revocations.judge(
        lists,
        publisher_id="acme",
        keyids=[ONE.keyid, TWO.keyid],
        wheel_sha256="1" * 64,
        moment=moment,
        files={"2" * 64},
    )
    return [(finding.error_id, finding.severity) for finding in found]


@pytest.mark.parametrize(
    ("scope", "subject", "error_id"),
    [
        ("publisher", "acme", "PUBLISHER_REVOKED"),
        ("key", TWO.keyid, "KEY_REVOKED"),
        ("release", "1" * 64, "REVOKED"),
        ("file-sha256", "2" * 64, "REVOKED"),
    ],
)
def test_what_is_revoked_is_refused_at_install_and_load_and_nothing_else_is(
    scope: str, subject: str, error_id: str
) -> None:
    for action in ("kill", "block-load"):
        for moment in ("install", "load"):
            assert judged(moment, scope=scope, id=subject, action=action) == [(error_id, "refuse")]
    assert judged("install", scope=scope, id="other", action="kill") == []
    assert judged("install", scope=scope, id=subject, action="warn") == [(error_id, "notice")]


def test_a_yanked_release_is_not_installed_and_goes_on_running() -> None:
    entry = {"scope": "release", "id": "1" * 64, "action": "block-install"}
    assert judged("install", **entry) == [("YANKED", "refuse")]
    assert judged("load", **entry) == [("YANKED", "notice")]
    assert judged("install", **{**entry, "scope": "file-sha256", "id": "2" * 64}) == [("YANKED", "refuse")]


def test_a_publisher_or_key_blocked_from_install_keeps_its_own_error() -> None:
    for scope, subject, error_id in (("publisher", "acme", "PUBLISHER_REVOKED"), ("key", ONE.keyid, "KEY_REVOKED")):
        entry = {"scope": scope, "id": subject, "action": "block-install"}
        assert judged("install", **entry) == [(error_id, "refuse")]
        assert judged("load", **entry) == [(error_id, "notice")]


def test_releases_named_as_still_good_survive_their_key_and_publisher_alone() -> None:
    still_good = {"action": "kill", "releases_still_good": ["1" * 64]}
    assert judged("load", scope="key", id=ONE.keyid, **still_good) == []
    assert judged("load", scope="publisher", id="acme", **still_good) == []
    assert judged("load", scope="release", id="1" * 64, **still_good) == [("REVOKED", "refuse")]
    assert judged("load", scope="key", id=ONE.keyid, action="kill", releases_still_good=["3" * 64]) == [
        ("KEY_REVOKED", "refuse")
    ]
