"""The attack corpus in the store, D19 and D18: what changed since install or is revoked is refused and named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.trust import Revocations
from cloned_trust import wheelzip
from cloned_trust.keys import SecretKey
from cloned_trust.stored import StoredVerdict, TreeEntry, judge_stored
from tests.attacks import forge
from tests.attacks.expect import ACME, refusal
from tests.attacks.forge import ForgedPublisher, ForgedRelease, Tweak


def _installed(release: ForgedRelease, tree: tuple[TreeEntry, ...], **changes: Any) -> StoredVerdict:
    members = {member.path.rpartition("/")[2]: member.data for member in wheelzip.read(release.wheel)}
    given = {
        "wheel_sha256": release.wheel_sha256,
        "signature": release.signature,
        "manifest": members["package.manifest.json"],
        "record": members["RECORD"],
        "tree": tree,
        "publishers": [ACME.record],
        "revocations": Revocations(),
    }
    return judge_stored(**{**given, **changes})


TAMPERED = {
    "edited": lambda entry: replace(entry, sha256="0" * 64),
    "unreadable": lambda entry: replace(entry, sha256=None),
    "link": lambda entry: replace(entry, kind="link"),
    "fifo": lambda entry: replace(entry, kind="other"),
    "folder": lambda entry: replace(entry, kind="dir", mode=0o555),
    "writable": lambda entry: replace(entry, mode=0o644),
    "setuid": lambda entry: replace(entry, mode=0o4444),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("name", ["worker.py", "RECORD", "package.manifest.json"])
def test_d19_each_tampered_file_of_the_store_is_named(canary: Path, name: str, change: Any) -> None:
    release = forge.release(ACME, canary=canary)
    tree = forge.tree(wheelzip.read(release.wheel))
    assert _installed(release, tree).accepted
    path = next(entry.path for entry in tree if entry.path.endswith(name))
    tampered = tuple(change(entry) if entry.path == path else entry for entry in tree)
    verdict = _installed(release, tampered)
    assert not verdict.accepted
    assert [(finding.error_id, finding.subject) for finding in verdict.findings] == [("TREE_MISMATCH", path)]


def test_d19_extra_missing_and_reshaped_things_in_the_store_are_named(canary: Path) -> None:
    release = forge.release(ACME, canary=canary)
    tree = forge.tree(wheelzip.read(release.wheel))
    pyc = TreeEntry("acme_weather/__pycache__", "dir", 0, None, 0o555)
    for tampered, path in (
        ((*tree, pyc), pyc.path),
        ((*tree, replace(tree[0], path="acme_weather/extra.py")), "acme_weather/extra.py"),
        ((*tree, tree[0]), tree[0].path),
        (tree[1:], tree[0].path),
        (tree[:-1], tree[-1].path),
        ((*tree[:-1], replace(tree[-1], mode=0o755)), tree[-1].path),
    ):
        verdict = _installed(release, tampered)
        assert not verdict.accepted
        assert {(finding.error_id, finding.subject) for finding in verdict.findings} == {("TREE_MISMATCH", path)}


def test_d19_a_changed_manifest_record_wheel_or_signature_in_the_store_is_refused(canary: Path) -> None:
    release = forge.release(ACME, canary=canary)
    tree = forge.tree(wheelzip.read(release.wheel))
    stranger = SecretKey.generate()
    unsigned = forge.release(ForgedPublisher(ACME.record, (stranger,)), canary=canary).signature
    for changes, expected in (
        ({"manifest": b"{}"}, "TREE_MISMATCH"),
        ({"record": b""}, "TREE_MISMATCH"),
        ({"wheel_sha256": "0" * 64}, "DIGEST_MISMATCH"),
        ({"signature": None}, "SIG_MISSING"),
        ({"signature": unsigned}, "PUBLISHER_UNTRUSTED"),
        ({"publishers": []}, "PUBLISHER_UNTRUSTED"),
        ({"publishers": [ACME.record.model_copy(update={"namespaces": ["other"]})]}, "NAMESPACE_NOT_OWNED"),
        ({"publishers": [ACME.record.model_copy(update={"executions": ["data"]})]}, "EXECUTION_NOT_GRANTED"),
        ({"publishers": [ACME.record.model_copy(update={"state": "suspended"})]}, "PUBLISHER_SUSPENDED"),
    ):
        verdict = _installed(release, tree, **changes)
        assert not verdict.accepted
        assert {finding.error_id for finding in verdict.findings} == {expected}


def test_d19_a_statement_that_the_installed_manifest_contradicts_is_refused(canary: Path) -> None:
    lying = Tweak(statement=lambda said: replace(said, version="1.0.1"))
    release = forge.release(ACME, canary=canary, tweak=lying)
    verdict = _installed(release, forge.tree(wheelzip.read(release.wheel)))
    assert [finding.error_id for finding in verdict.findings] == ["STATEMENT_INVALID"]


def _revoked(**entry: Any) -> Revocations:
    return Revocations.model_validate({"entries": [{"reason": "malicious", "action": "block-load", **entry}]})


def test_d18_a_revoked_release_key_publisher_or_file_is_refused_at_install_and_at_load(canary: Path) -> None:
    release = forge.release(ACME, canary=canary)
    members = wheelzip.read(release.wheel)
    for entry, expected in (
        ({"scope": "release", "id": release.wheel_sha256}, "REVOKED"),
        ({"scope": "key", "id": ACME.keys[0].public.keyid}, "KEY_REVOKED"),
        ({"scope": "publisher", "id": "acme"}, "PUBLISHER_REVOKED"),
        ({"scope": "file-sha256", "id": members[1].sha256}, "REVOKED"),
    ):
        installed = _installed(release, forge.tree(members), revocations=_revoked(**entry))
        assert [finding.error_id for finding in installed.findings] == [expected]
        assert not installed.accepted
        assert refusal(release, ACME, revocations=_revoked(**entry)) == expected


def test_d18_a_yanked_release_is_refused_at_install_and_noticed_at_load(canary: Path) -> None:
    release = forge.release(ACME, canary=canary)
    yanked = _revoked(scope="release", id=release.wheel_sha256, action="block-install", reason="yanked")
    assert refusal(release, ACME, revocations=yanked) == "YANKED"
    verdict = _installed(release, forge.tree(wheelzip.read(release.wheel)), revocations=yanked)
    assert verdict.accepted
    assert [(finding.error_id, finding.severity) for finding in verdict.findings] == [("YANKED", "notice")]
