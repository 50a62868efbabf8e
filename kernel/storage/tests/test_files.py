import multiprocessing
import os
import re
import resource
import signal
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_schemas.config import WorkspaceConfig
from cloned_schemas.errors import ClonedError
from cloned_schemas.policy import PolicyPack
from cloned_schemas.registry import Lock, Registry
from cloned_storage.files import (
    MAX_BYTES,
    UNFINISHED,
    dump_yaml,
    locked,
    parse_json,
    parse_yaml,
    printable,
    read_bytes,
    read_json,
    read_yaml,
    validate,
    write_atomic,
)

Error = Callable[..., ClonedError]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_plain_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a" * MAX_BYTES)
    assert read_bytes(path) == b"a" * MAX_BYTES


def test_a_hundred_megabytes_are_refused_before_reading(tmp_path: Path, error_of: Error) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    assert error_of(read_yaml, path, Registry).id == "FILE_TOO_LARGE"
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_an_endless_device_and_a_growing_file_are_refused(error_of: Error) -> None:
    assert error_of(read_bytes, Path("/dev/zero")).id == "FILE_UNSAFE"
    # Its size is told as 0, so that only what is read can tell.
    assert error_of(read_bytes, Path("/proc/self/environ"), 1).id == "FILE_TOO_LARGE"


def test_a_link_a_fifo_and_a_folder_are_no_files(tmp_path: Path, error_of: Error) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "loop", "fifo", "."):
        assert error_of(read_bytes, tmp_path / name).id in {"FILE_UNSAFE", "FILE_UNREADABLE"}
    assert error_of(read_bytes, tmp_path / "link").id == "FILE_UNSAFE"
    assert error_of(read_bytes, tmp_path / "fifo").id == "FILE_UNSAFE"


def test_a_missing_file_is_told(tmp_path: Path, error_of: Error) -> None:
    refused = error_of(read_bytes, tmp_path / "gone")
    assert (refused.id, "No such file" in refused.fact) == ("FILE_UNREADABLE", True)


def test_a_name_that_is_not_utf_8_is_read_and_told(tmp_path: Path, error_of: Error) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    path.write_bytes(b"schema_version: 1\n")
    assert read_yaml(path, Registry) == Registry()
    path.write_bytes(b"a: [")
    assert error_of(read_yaml, path, Registry).id == "FILE_SYNTAX"


def test_syntax_is_told_with_the_file_and_the_line(tmp_path: Path, error_of: Error) -> None:
    path = tmp_path / "registry.yaml"
    path.write_bytes(b"schema_version: 1\nplugins: [\n")
    assert error_of(read_yaml, path, Registry).fact.startswith(f"{path}: line 3: ")
    path.write_bytes(b'{"schema_version": 1, "schema_version": 1}')
    assert error_of(read_json, path, Lock).fact.startswith(f"{path}: ")
    assert error_of(parse_json, b"\xff", "x").id == "FILE_SYNTAX"
    assert error_of(parse_json, b" " * (MAX_BYTES + 1), "x").id == "FILE_TOO_LARGE"
    assert error_of(parse_json, b"[" * 100_000, "x").id == "FILE_SYNTAX"
    assert error_of(parse_yaml, b" " * MAX_BYTES, "x").id == "FILE_TOO_LARGE"


def test_an_unknown_field_is_told_with_its_path_and_the_likely_name(error_of: Error) -> None:
    data = {"plugins": [{"id": "cloned-x", "grants": {"host": []}}], "plugin": []}
    refused = error_of(validate, Registry, data, "registry.yaml")
    assert refused.id == "FILE_INVALID"
    assert refused.details["problems"] == [
        "plugins[0].grants.host: there is no such field; did you mean 'hosts'?",
        "plugin: there is no such field; did you mean 'plugins'?",
    ]
    assert refused.fact == (
        "registry.yaml: plugins[0].grants.host: there is no such field; did you mean 'hosts'? (and 1 more)"
    )


def test_the_likely_name_is_found_within_mappings_and_optional_parts(error_of: Error) -> None:
    data = parse_yaml(
        b"pack_id: p\nworkspace_type: personal\nversion: 1.0.0\nsummary: s\n"
        b"budgets: {api: {period: day, cap: 1, caps: 1}}\napprovals: {rules: [{match: {tool: x, tool_id: a.b@v1}}]}\n",
        "pack",
    )
    assert error_of(validate, PolicyPack, data, "pack").details["problems"] == [
        "budgets.api.caps: there is no such field; did you mean 'cap'?",
        "approvals.rules[0].match.tool: there is no such field; did you mean 'tool_id'?",
    ]


@pytest.mark.parametrize("data", [None, [], "text", 3, {"schema_version": 2}, {"plugins": {}}])
def test_another_shape_is_told(error_of: Error, data: object) -> None:
    assert error_of(validate, Registry, data, "registry.yaml").id == "FILE_INVALID"


def test_a_message_shows_no_value_and_nothing_that_a_terminal_acts_on(error_of: Error) -> None:
    hostile = {"plugins": [{"id": "SECRET-VALUE\x1b[2J"}], "\x1b[31m\u202e": 1}
    refused = error_of(validate, Registry, hostile, "registry.yaml")
    assert "SECRET-VALUE" not in str(refused)
    assert "\x1b" not in str(refused)
    assert "\\u001b[31m\\u202e: there is no such field" in refused.details["problems"]


def test_many_problems_are_told_as_twenty(error_of: Error) -> None:
    refused = error_of(validate, Registry, {f"x{number}": 1 for number in range(1000)}, "registry.yaml")
    assert len(refused.details["problems"]) == 20


def test_printable_text_is_left_as_it_is_and_the_rest_is_shown() -> None:
    assert printable("äöü → 漢字 😀") == "äöü → 漢字 😀"
    assert printable("a\tb\u202e\ufeff\udcff\x9b") == "a\\u0009b\\u202e\\ufeff\\udcff\\u009b"


def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o666)
    write_atomic(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    write_atomic(path, b"newer", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["x"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "x").symlink_to("target")
    write_atomic(tmp_path / "x", b"new")
    assert ((tmp_path / "target").read_text(), (tmp_path / "x").read_text()) == ("theirs", "new")


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path, error_of: Error) -> None:
    (tmp_path / "x").mkdir()
    assert error_of(write_atomic, tmp_path / "x", b"new").id == "WORKSPACE_READ_ONLY"
    assert error_of(write_atomic, tmp_path / "gone/x", b"new").id == "WORKSPACE_READ_ONLY"
    assert not [name for name in names(tmp_path) if name.endswith(UNFINISHED)]


def test_a_full_disk_leaves_the_old_file(error_of: Error, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    process = multiprocessing.get_context("spawn").Process(target=write_beyond_the_limit, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (path.read_text(), names(tmp_path)) == ("old", ["x"])


def write_beyond_the_limit(path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with pytest.raises(ClonedError) as caught:
        write_atomic(path, b"x" * 100_000)
    assert caught.value.id == "WORKSPACE_READ_ONLY"


def test_a_lock_lets_readers_in_together_and_a_writer_alone(tmp_path: Path) -> None:
    path, inside, told = tmp_path / "lock", threading.Barrier(2, timeout=20), []

    def read() -> None:
        with locked(path, shared=True):
            inside.wait()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    def write() -> None:
        with locked(path):
            told.append("writer")

    with locked(path, shared=True):
        writer = threading.Thread(target=write)
        writer.start()
        told.append("reader")
    writer.join()
    assert told == ["reader", "writer"]


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path, error_of: Error) -> None:
    (tmp_path / "link").symlink_to("elsewhere")

    def lock(path: Path) -> None:
        with locked(path):
            pass

    assert error_of(lock, tmp_path / "link").id == "WORKSPACE_READ_ONLY"
    assert error_of(lock, tmp_path / "gone/x").id == "WORKSPACE_READ_ONLY"


COMMENTED = b"""# What we use, and why.
schema_version: 1
plugins:
  # reads our handbook
  - id: cloned-connector-documents
    enabled: true   # since May
    grants:
      folders: [docs]
  - id: cloned-research   # writes the reports
"""


def test_a_changed_file_keeps_a_persons_comments_order_and_style() -> None:
    data = parse_yaml(COMMENTED, "registry.yaml")
    data["plugins"][0]["enabled"] = False
    data["plugins"][1]["version"] = "1.0"
    data["plugins"].append({"id": "cloned-skills", "enabled": True})
    dumped = dump_yaml(data, COMMENTED).decode()
    assert parse_yaml(dumped.encode(), "registry.yaml") == data
    for kept in ("# What we use, and why.", "# reads our handbook", "# since May", "# writes the reports", "[docs]"):
        assert kept in dumped
    assert re.search(r"version: ['\"]1\.0['\"]", dumped)


def test_a_removed_plugin_takes_nobody_elses_comments_along() -> None:
    data = parse_yaml(COMMENTED, "registry.yaml")
    del data["plugins"][0]
    dumped = dump_yaml(data, COMMENTED).decode()
    assert parse_yaml(dumped.encode(), "registry.yaml") == data
    assert "# writes the reports" in dumped


def test_a_file_unchanged_stays_byte_for_byte() -> None:
    assert dump_yaml(parse_yaml(COMMENTED, "x"), COMMENTED) == COMMENTED


def test_an_alias_bomb_is_not_even_looked_at_for_its_comments(error_of: Error) -> None:
    assert error_of(dump_yaml, {}, b"a: &a [1]\nb: *a\n").id == "FILE_SYNTAX"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from("ab:-# 1~"), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(["a", "id", "y", "1"]), values, max_size=4)


@given(documents, documents)
def test_what_is_dumped_reads_back_as_it_was_whatever_it_replaces(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert parse_yaml(dump_yaml(new), "x") == new
    assert parse_yaml(dump_yaml(new, dump_yaml(old)), "x") == new


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    config = WorkspaceConfig(workspace_id="01890a5d-ac96-774b-bcce-b302099a8057", name="Zoë's: #1 'x'", type="personal")
    write_atomic(tmp_path / "config.yaml", dump_yaml(config.model_dump(exclude_defaults=True)))
    assert read_yaml(tmp_path / "config.yaml", WorkspaceConfig) == config
