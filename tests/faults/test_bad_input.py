"""Bad input from every side: the workspace's files, the command line, a call's inputs and ids, a granted folder.

Each ends with its own error id and its family's exit code, and changes nothing but the audit.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cloned.workspace import Workspace
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import CallOutcome, CallRequest
from tests.attacks import rogue
from tests.attacks.premises import Watched, beside, error_of
from tests.attacks.rogue import LOOK
from tests.conftest import FIRST_PARTY, Command, Desk, Dist

AGENT = "agent:ada"
HUGE = 100_000_000


# The workspace's files


def _bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


SYNTAX = {
    "cut-off": b"schema_version: [1\n",
    "alias-bomb": _bomb(),
    "duplicate-key": b"schema_version: 1\nschema_version: 1\n",
    "tag": b"!!python/object/apply:os.system [id]\n",
    "second-document": b"schema_version: 1\n---\nschema_version: 1\n",
    "not-utf-8": b"name: \xff\xfe\n",
    "deep": b"a: " + b"[" * 40 + b"]" * 40 + b"\n",
    "bottomless": b"[" * 100_000,
    "half-a-surrogate-pair": b'name: "\\ud800"\n',
    "nan": b"schema_version: .nan\n",
    "control-characters": b"name: \x1b[2J\n",
}
NAMES = ("config.yaml", "registry.yaml", "plugins.lock.json")


def synced(desk: Desk, command: Command) -> dict[str, Any]:
    """The error that a person gets who wants to accept whatever stands in the files; nothing was accepted."""
    watched = Watched.now(desk)
    told = error_of(beside(desk, command).at_terminal("plugin", "sync", "--json"))
    watched.assert_untouched()
    return told


@pytest.mark.parametrize("data", SYNTAX.values(), ids=SYNTAX)
def test_a_registry_that_is_no_plain_yaml_is_refused(desk: Desk, command: Command, data: bytes) -> None:
    desk.places.registry.write_bytes(data)
    told = synced(desk, command)
    assert (told["id"], told["family"]) == ("FILE_SYNTAX", "user_mistake")
    assert "registry.yaml" in told["message"]


@pytest.mark.parametrize(("name", "data"), [("config.yaml", _bomb()), ("plugins.lock.json", b'{"a": 1, "a": 1}')])
def test_the_other_files_are_read_as_strictly(desk: Desk, command: Command, name: str, data: bytes) -> None:
    (desk.places.home / name).write_bytes(data)
    assert synced(desk, command)["id"] == "FILE_SYNTAX"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"[]", b"7", b'"text"'])
def test_a_file_of_the_wrong_type_is_refused(desk: Desk, name: str, data: bytes) -> None:
    (desk.places.home / name).write_bytes(data)
    watched = Watched.now(desk)
    with pytest.raises(UserMistake, match="FILE_INVALID"):
        desk.ask("plugin.sync")
    watched.assert_untouched()


@pytest.mark.parametrize(
    ("name", "data", "suggestion"),
    [
        ("config.yaml", "vualt: {provider: file}\n", "vault"),
        ("registry.yaml", "schema_version: 1\nplugin: []\n", "plugins"),
        ("plugins.lock.json", '{"schema_version": 1, "plugin": []}', "plugins"),
    ],
)
def test_an_unknown_field_is_refused_with_the_likely_name(
    desk: Desk, command: Command, name: str, data: str, suggestion: str
) -> None:
    place = desk.places.home / name
    place.write_text((place.read_text() if name == "config.yaml" else "") + data)
    told = synced(desk, command)
    assert told["id"] == "FILE_INVALID"
    assert any(f"did you mean '{suggestion}'?" in problem for problem in told["details"]["problems"])


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_100_mb_is_refused_before_it_is_read(desk: Desk, command: Command, name: str) -> None:
    sound = (desk.places.home / name).read_bytes()
    os.truncate(desk.places.home / name, HUGE)  # a hole, so it costs no disk
    told = error_of(beside(desk, command).at_terminal("plugin", "sync", "--json"))
    assert (told["id"], f"has {HUGE} bytes" in told["message"]) == ("FILE_TOO_LARGE", True)
    (desk.places.home / name).write_bytes(sound)
    assert desk.ask("plugin.sync").accepted == []


def linked(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


def piped(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def writable_by_others(place: Path) -> None:
    place.chmod(0o666)


@pytest.mark.parametrize("name", [*NAMES, "audit.log", "state.db"])
@pytest.mark.parametrize("change", [linked, piped, writable_by_others])
def test_a_part_that_is_no_plain_file_of_ones_own_is_refused(desk: Desk, name: str, change: Any) -> None:
    change(desk.places.home / name)
    with pytest.raises(Exception, match="FILE_UNSAFE"):
        desk.ask("plugin.list")


def test_a_workspace_that_is_a_link_is_refused(desk: Desk, command: Command) -> None:
    linked(desk.places.home)
    assert error_of(beside(desk, command)("plugin", "list", "--json"))["id"] == "FILE_UNSAFE"


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        (b"pack_id: [", "FILE_SYNTAX"),
        (b"pack_id: personal\nallow: {}\n", "FILE_INVALID"),
        (b"pack_id: personal\nbudgets: {api_requests: {period: day, cap: -1}}\n", "FILE_INVALID"),
        (b"pack_id: personal\nallowlists: {egress_domains: ['*.com']}\n", "EGRESS_RULE"),
    ],
)
def test_an_overlay_that_does_not_fit_cannot_be_applied(
    desk: Desk, dist: Dist, command: Command, overlay: bytes, expected: str
) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    desk.ask("plugin.install", **{"id": FIRST_PARTY[0], "from": str(dist.folder), "enable": True})
    desk.places.policy.joinpath("personal.yaml").write_bytes(overlay)
    watched = Watched.now(desk)
    assert error_of(beside(desk, command).at_terminal("policy", "apply", "personal", "--json"))["id"] == expected
    watched.assert_untouched()


# The command line

NO_TEXT = os.fsdecode(b"\xff\xfe\x1b[2J")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("plugin", "install", f"{NO_TEXT}.whl"), "PLUGIN_NOT_FOUND"),
        (("plugin", "show", NO_TEXT), "PLUGIN_UNKNOWN"),
        (("trust", "add", NO_TEXT), "FILE_UNREADABLE"),
        (("audit", "show", NO_TEXT), None),
        (("artifacts", "show", NO_TEXT), "ARTIFACT_UNKNOWN"),
        (("approvals", "approve", NO_TEXT), "APPROVAL_UNKNOWN"),
        (("plugin", "show", "x" * 100_000), "PLUGIN_UNKNOWN"),
    ],
)
def test_a_word_that_is_no_text_is_an_ordinary_mistake(
    desk: Desk, command: Command, arguments: tuple[str, ...], expected: str | None
) -> None:
    told = error_of(beside(desk, command)(*arguments, "--json"))
    assert told["family"] == "user_mistake"
    assert expected in {None, told["id"]}
    plain = beside(desk, command)(*arguments)
    assert (plain.code, plain.out) == (2, "")
    assert "\x1b" not in plain.err


def test_a_workspace_whose_path_is_no_text_is_one_like_others(tmp_path: Path, command: Command) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9")
    root.mkdir()
    inside = Command(root, command.env)
    assert inside("init").code == 0
    assert "name: caf\\udce9" in (root / ".cloned" / "config.yaml").read_text()
    for asked in (("plugin", "list"), ("audit", "verify"), ("doctor",)):
        done = inside(*asked, "--json")
        assert done.code == 0, done.out


# A call's inputs and ids


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, dist: Dist) -> Desk:
    return rogue.furnish(tmp_path_factory.mktemp("house"), dist, rogue.worker())


@pytest.fixture
def opened(house: Desk) -> Iterator[Workspace]:
    with house.open() as workspace:
        yield workspace


def called(workspace: Workspace, request: CallRequest) -> CallOutcome:
    """How a call ended that must not have begun: the audit has one record of it, and that is its end."""
    outcome = workspace.monitor.call(request)
    [entry] = [entry for _, entry in workspace.audit.entries() if entry.get("call_id") == outcome.call_id]
    assert (entry["kind"], entry["outcome"], entry["error_id"]) == ("outcome", "blocked", outcome.error_id)
    return outcome


def nested(levels: int) -> list[Any]:
    box: list[Any] = []
    for _ in range(levels):
        box = [box]
    return box


def endless() -> list[Any]:
    box: list[Any] = []
    box.append(box)
    return box


NO_JSON: dict[str, Callable[[], Any]] = {
    "deep": lambda: nested(40),
    "bottomless": lambda: nested(100_000),
    "endless": endless,
    "surrogate": lambda: "\ud800",
    "surrogate-in-a-key": lambda: {"\ud800": 1},
    "nan": lambda: math.nan,
    "infinity": lambda: [1.5, -math.inf],
    "bytes": lambda: b"text",
    "set": lambda: {"one"},
    "key-that-is-no-text": lambda: {1: "one"},
    "object": object,
}


@pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON)
def test_inputs_that_are_no_plain_json_are_refused(opened: Workspace, value: Callable[[], Any]) -> None:
    outcome = called(opened, CallRequest(LOOK, {"how": "well", "more": value()}, str(uuid4()), AGENT))
    assert outcome.error_id == "INPUT_INVALID"


def test_inputs_over_a_mebibyte_are_refused(opened: Workspace) -> None:
    outcome = called(opened, CallRequest(LOOK, {"how": "well", "more": "x" * (1 << 20)}, str(uuid4()), AGENT))
    assert outcome.error_id == "INPUT_TOO_LARGE"


def test_inputs_as_deep_as_may_be_arrive(opened: Workspace) -> None:
    request = CallRequest(LOOK, {"how": "well", "more": nested(25)}, str(uuid4()), AGENT)
    assert opened.monitor.call(request).outcome == "success"


HOSTILE = {
    "empty": "",
    "very-long": "x" * 5_000_000,
    "controls": "a\x1b[2J\n\0b",
    "surrogate": "a\ud800",
    "bidi": "a\u202eb",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_ids_that_no_reader_could_read_are_refused_and_told_in_short(opened: Workspace, text: str) -> None:
    good: dict[str, Any] = {
        "tool_id": LOOK, "inputs": {"how": "well"}, "correlation_id": str(uuid4()), "caller": AGENT, "run_id": "r",
    }  # fmt: skip
    for name in ("tool_id", "correlation_id", "caller", "run_id"):
        before = opened.places.audit_log.stat().st_size
        outcome = called(opened, CallRequest(**{**good, name: text}))
        assert outcome.error_id == "INPUT_INVALID"
        assert len(str(outcome.message)) < 200
        assert opened.places.audit_log.stat().st_size - before < 2000
    assert called(opened, CallRequest(**good, sources=(text,))).error_id == "INPUT_INVALID"


# A granted folder


def test_nothing_outside_of_a_granted_folder_is_read_whatever_leads_there(furnished: Desk, tmp_path: Path) -> None:
    docs, outside = tmp_path / "docs", tmp_path / "outside"
    docs.mkdir()
    outside.mkdir()
    (docs / "good.md").write_text("Turtles are slow.\n")
    (outside / "secret.md").write_text("Turtles hide the treasure in Tortuga.\n")
    (docs / "link.md").symlink_to(outside / "secret.md")
    (docs / "relative.md").symlink_to("../outside/secret.md")
    (docs / "folder").symlink_to(outside)
    (docs / os.fsdecode(b"\xff\xfe.md")).write_text("Turtles.\n")
    os.mkfifo(docs / "pipe.md")
    furnished.ask("plugin.grant", id="cloned-connector-documents", folder=[f"docs={docs}"])
    with furnished.open() as workspace:

        def ask(tool: str, **inputs: Any) -> CallOutcome:
            return workspace.monitor.call(CallRequest(f"cloned.documents.{tool}@v1", inputs, str(uuid4()), AGENT))

        found = ask("search", query="turtles")
        listed = ask("list")
        reads = [
            ask("read", folder="docs", path=path)
            for path in (
                "link.md",
                "relative.md",
                "folder/secret.md",
                "../outside/secret.md",
                str(outside / "secret.md"),
            )
        ]
    assert found.output is not None
    assert [passage["path"] for passage in found.output["passages"]] == ["good.md"]
    assert listed.output is not None
    assert [document["path"] for document in listed.output["documents"]] == ["good.md"]
    assert len(listed.output["skipped"]) == 5
    assert {(read.outcome, read.error_id) for read in reads} == {("failure", "TOOL_FAILED")}
    told = repr((found, listed, reads)).encode() + furnished.places.audit_log.read_bytes()
    assert b"Tortuga" not in told


def test_a_folder_that_a_link_takes_the_place_of_is_not_lent(furnished: Desk, tmp_path: Path) -> None:
    docs, outside = tmp_path / "docs", tmp_path / "outside"
    for folder in (docs, outside):
        folder.mkdir()
    furnished.ask("plugin.grant", id="cloned-connector-documents", folder=[f"docs={docs}"])
    docs.rmdir()
    docs.symlink_to(outside)
    with furnished.open() as workspace:
        outcome = workspace.monitor.call(CallRequest("cloned.documents.list@v1", {}, "one", AGENT))
    assert (outcome.outcome, outcome.error_id) == ("failure", "FOLDER_MISSING")


def test_what_cloned_keeps_for_itself_cannot_be_lent(furnished: Desk) -> None:
    for place in (furnished.places.home, furnished.root, furnished.user.state, Path("/")):
        with pytest.raises(UserMistake, match="FOLDER_UNSAFE"):
            furnished.ask("plugin.grant", id="cloned-connector-documents", folder=[f"docs={place}"])
