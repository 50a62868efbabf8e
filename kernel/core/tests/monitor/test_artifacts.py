import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloned.monitor import artifacts, validation
from cloned.monitor.artifacts import SAVE, Keeper
from cloned.monitor.authority import offer
from cloned.monitor.records import Authority, Authorized, Judged, payload_digest
from cloned_schemas.errors import ClonedError, TrustRefused, UserMistake
from cloned_schemas.records import ArtifactManifest
from cloned_sdk.host import CallRequest
from cloned_storage import tables
from cloned_storage.clock import SystemClock
from cloned_storage.database import Database, sqlite_url
from cloned_storage.layout import Places

REPORT = "# Report\n\nOne claim [1].\n"
PROVENANCE = [
    {
        "citation": 1,
        "source": "documents",
        "locator": "docs/a.md#L3",
        "retrieved_at": "2026-01-02T03:04:05.000006Z",
        "content_hash": "c" * 64,
    }
]


@pytest.fixture
def database(places: Places) -> Iterator[Database]:
    opened = Database(sqlite_url(places.database), SystemClock())
    with opened.begin() as transaction:
        tables.metadata.create_all(transaction.connection)
    yield opened
    opened.close()


@pytest.fixture
def keeper(places: Places, database: Database) -> Keeper:
    return Keeper(places, SystemClock(), database)


def authorized(correlation_id: str = "run/save/0", run_id: str | None = None, **changes: Any) -> Authorized:
    inputs = {
        "name": "report.md", "media_type": "text/markdown", "content": REPORT, "inputs_hash": "a" * 64,
        "pipeline_id": "research.report", "pipeline_version": "1.0.0", "provenance": PROVENANCE,
    } | changes  # fmt: skip
    request = CallRequest(SAVE.id, inputs, correlation_id, "person:ada", run_id)
    authority = Authority(None, {SAVE.id: offer(SAVE)}, {}, {}, 1, ())
    digest = payload_digest(SAVE.id, inputs)
    return Authorized(Judged("call", request, authority.offers[SAVE.id], digest, {}, (), {}, authority), (), None)


def findings(places: Places, *hashes: str) -> list[tuple[str, str]]:
    return [(found.error_id, found.subject) for found in artifacts.verify(places, frozenset(hashes))]


def test_the_tool_is_declared_by_the_contract_and_its_output_fits(keeper: Keeper) -> None:
    call = authorized()
    offered = call.judged.offered
    validation.check_inputs(offered.inputs, call.judged.request.inputs, SAVE.id)
    validation.check_output(offered.output, keeper.save(call), SAVE.id)


def test_an_artifact_is_its_content_and_a_manifest_of_how_it_came_to_be(keeper: Keeper, places: Places) -> None:
    saved = keeper.save(authorized())
    folder = places.artifacts / saved["artifact_id"]
    assert (places.root / saved["path"]).read_text() == REPORT
    assert saved["content_sha256"] == hashlib.sha256(REPORT.encode()).hexdigest()
    assert saved["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    manifest = ArtifactManifest.model_validate_json((folder / "manifest.json").read_bytes())
    assert manifest.content_hashes == {"report.md": saved["content_sha256"]}
    assert [place.model_dump() for place in manifest.provenance] == PROVENANCE
    assert (manifest.pipeline_id, manifest.inputs_hash) == ("research.report", "a" * 64)
    assert manifest.schema_ids["artifact_manifest"] == "urn:cloned:schema:artifact_manifest:1.0.0"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert findings(places, saved["manifest_sha256"]) == []


def test_equal_inputs_give_equal_content_and_other_ids(keeper: Keeper) -> None:
    first, second = keeper.save(authorized("run1/save/0")), keeper.save(authorized("run2/save/0"))
    assert first["content_sha256"] == second["content_sha256"]
    assert first["artifact_id"] != second["artifact_id"]


def test_a_repeat_of_the_same_call_finds_what_was_saved(keeper: Keeper, places: Places) -> None:
    assert keeper.save(authorized()) == keeper.save(authorized())
    assert len(artifacts.listed(places)) == 1
    keeper.save(authorized(content="other"))
    assert len(artifacts.listed(places)) == 2


def test_the_manifest_tells_of_the_calls_of_its_run(keeper: Keeper, places: Places, database: Database) -> None:
    def row(number: int, **changes: Any) -> dict[str, Any]:
        return {
            "call_id": f"c{number}", "caller": "person:ada", "correlation_id": f"r/{number}", "attempt": 1,
            "tool_id": "acme.docs.read@v1", "tool_version": "1.2.0", "schema_id": "d" * 64, "run_id": "r",
            "payload_hash": str(number) * 64, "process_id": "p", "state": "settled", "repeatable": True,
            "outcome": "success", "costs": "{}", "reservations": "[]", "judgement": "{}", "audit_offset": 0,
            "audited": True, "created_at": "x",
        } | changes  # fmt: skip

    rows = [row(2), row(1), row(3, outcome="failure"), row(4, run_id="other"), row(5, tool_id=SAVE.id)]
    with database.begin() as transaction:
        transaction.connection.execute(sa.insert(tables.calls), rows)
    manifest = artifacts.get(places, keeper.save(authorized(run_id="r"))["artifact_id"]).manifest
    assert [(made.tool_id, made.version, made.envelope_hash[0]) for made in manifest.tool_calls] == [
        ("acme.docs.read@v1", "1.2.0", "1"),
        ("acme.docs.read@v1", "1.2.0", "2"),
    ]
    assert manifest.schema_ids["acme.docs.read@v1"] == "d" * 64
    assert manifest.run_id == "r"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\\b", "a\0b", "-", "a.", "x" * 101, "a\nb"])
def test_names_with_path_parts_do_not_pass_the_schema(name: str) -> None:
    call = authorized(name=name)
    with pytest.raises(UserMistake, match="INPUT_INVALID"):
        validation.check_inputs(call.judged.offered.inputs, call.judged.request.inputs, SAVE.id)


@pytest.mark.parametrize("name", ["manifest.json", "MANIFEST.JSON"])
def test_the_manifests_name_is_taken(keeper: Keeper, places: Places, name: str) -> None:
    with pytest.raises(UserMistake, match="INPUT_INVALID"):
        keeper.save(authorized(name=name))
    assert artifacts.listed(places) == []


def change_content(folder: Path) -> None:
    (folder / "report.md").write_text(REPORT.replace("One", "Two"))


def remove_content(folder: Path) -> None:
    (folder / "report.md").unlink()


def link_content(folder: Path) -> None:
    (folder.parent / ".kept").write_text(REPORT)
    (folder / "report.md").unlink()
    (folder / "report.md").symlink_to(folder.parent / ".kept")


def add_file(folder: Path) -> None:
    (folder / "extra.md").write_text("more")


def change_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"inputs_hash": "b" * 64}))


def change_both(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["content_hashes"]["report.md"] = hashlib.sha256(b"forged").hexdigest()
    (folder / "report.md").write_bytes(b"forged")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def garble_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "error_id", "name"),
    [
        (change_content, "ARTIFACT_CHANGED", "/report.md"),
        (remove_content, "ARTIFACT_CHANGED", "/report.md"),
        (link_content, "ARTIFACT_CHANGED", "/report.md"),
        (add_file, "ARTIFACT_CHANGED", "/extra.md"),
        (change_manifest, "ARTIFACT_MANIFEST", "/manifest.json"),
        (change_both, "ARTIFACT_MANIFEST", "/manifest.json"),
        (garble_manifest, "ARTIFACT_MANIFEST", ""),
        (remove_manifest, "ARTIFACT_MANIFEST", ""),
    ],
)
def test_what_was_changed_is_found_by_its_name(
    keeper: Keeper, places: Places, harm: Callable[[Path], None], error_id: str, name: str
) -> None:
    saved, other = keeper.save(authorized("one")), keeper.save(authorized("two"))
    harm(places.artifacts / saved["artifact_id"])
    found = findings(places, saved["manifest_sha256"], other["manifest_sha256"])
    assert (error_id, saved["artifact_id"] + name) in found
    assert not any(other["artifact_id"] in subject for _, subject in found)


def test_a_removed_artifact_and_one_that_the_audit_does_not_know_are_found(keeper: Keeper, places: Places) -> None:
    saved = keeper.save(authorized())
    assert findings(places) == [("ARTIFACT_MANIFEST", f"{saved['artifact_id']}/manifest.json")]
    assert findings(places, saved["manifest_sha256"], "e" * 64) == [("ARTIFACT_MANIFEST", "e" * 64)]


def test_a_repeat_does_not_build_on_a_changed_artifact(keeper: Keeper, places: Places) -> None:
    saved = keeper.save(authorized())
    change_both(places.artifacts / saved["artifact_id"])
    with pytest.raises(TrustRefused, match="ARTIFACT_CHANGED"):
        keeper.save(authorized())


def test_the_audits_hashes_are_those_of_its_entries() -> None:
    told: list[dict[str, Any]] = [
        {"kind": "intent"},
        {"artifact_manifest_hash": "a" * 64},
        {"artifact_manifest_hash": None},
    ]
    entries = list(enumerate(told))
    assert artifacts.recorded(entries) == {"a" * 64}


@pytest.mark.parametrize("artifact_id", ["", "..", "../../etc", "01900000-0000-7000-8000-000000000000", "x" * 36])
def test_an_unknown_artifact_is_a_mistake(places: Places, artifact_id: str) -> None:
    with pytest.raises(UserMistake, match="ARTIFACT_UNKNOWN"):
        artifacts.get(places, artifact_id)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
import test_artifacts as tests
from pathlib import Path
from cloned_storage.clock import SystemClock
from cloned.monitor.artifacts import Keeper
from cloned_storage.database import Database, sqlite_url
from cloned_storage.layout import Places
places = Places(Path(sys.argv[1]))
told = ("cloned.step", (sys.argv[2],))
sys.addaudithook(lambda event, args: os.kill(os.getpid(), signal.SIGKILL) if (event, args) == told else None)
Keeper(places, SystemClock(), Database(sqlite_url(places.database), SystemClock())).save(tests.authorized())
"""


@pytest.mark.parametrize("step", ["artifact.written", "artifact.renamed"])
def test_a_save_killed_at_a_step_is_found_or_made_again(keeper: Keeper, places: Places, step: str) -> None:
    command = [sys.executable, "-c", KILLED, str(places.root), step, str(Path(__file__).parent)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = artifacts.listed(places)
    assert len(before) == (step == "artifact.renamed")
    saved = keeper.save(authorized())
    assert artifacts.listed(places) == [saved["artifact_id"]]
    assert before in ([], [saved["artifact_id"]])
    assert findings(places, saved["manifest_sha256"]) == []
    assert not list(places.artifacts.glob(".*.unfinished"))


def test_a_folder_that_cannot_be_written_is_told(keeper: Keeper, places: Places) -> None:
    places.artifacts.rmdir()
    places.artifacts.write_text("no folder")
    with pytest.raises(ClonedError, match="WORKSPACE_READ_ONLY"):
        keeper.save(authorized())
