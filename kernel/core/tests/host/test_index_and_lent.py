"""The command index, unmanaged copies, and what a plugin is lent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloned.host import index
from cloned.host.lent import LentHost
from cloned_sdk.host import Host, SkillPackSource
from cloned_storage.clock import SystemClock
from kernel.core.tests.host.bench import Bench, kernel_release, lent
from tests.attacks import forge

COMMAND = {"path": ["mood", "list"], "operation": "acme.moods", "help": "List moods", "example": "cloned mood list"}
HOLD = """
import sys
from pathlib import Path
from kernel.core.tests.host.bench import holder
with holder(Path(sys.argv[1])).lease("run") as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


def test_the_index_tells_each_command_and_what_it_was_built_for(bench: Bench, tmp_path: Path) -> None:
    release = bench.install(kernel_release(contributes={"commands": [COMMAND], "operations": ["acme.moods"]}))
    place = tmp_path / "index.json"
    place.write_bytes(index.render(bench.host.enabled()))
    found = index.read(place)
    assert found is not None
    assert found.built_for == {"acme-mood": release.wheel_sha256}
    [command] = found.commands
    assert (command["plugin_id"], command["path"], command["effect"]) == ("acme-mood", ["mood", "list"], "read")
    assert index.render(bench.host.enabled()) == place.read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"schema_version":2,"built_for":{},"commands":[]}', b"[" * 200_000, b" " * (5 << 20)],
)
def test_a_damaged_index_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.json").write_bytes(content)
    assert index.read(tmp_path / "index.json") is None
    assert index.read(tmp_path / "missing") is None


def test_an_entry_that_is_no_command_is_left_out(tmp_path: Path) -> None:
    good = {"plugin_id": "a-b", "operation": "a.b", "help": "h", "path": ["x"], "parameters": []}
    bad = [7, {}, {**good, "path": []}, {**good, "path": ["x", 1]}, {**good, "operation": None}]
    body = {"schema_version": 1, "built_for": {}, "commands": [*bad, good]}
    (tmp_path / "index.json").write_text(json.dumps(body))
    found = index.read(tmp_path / "index.json")
    assert found is not None
    assert found.commands == (good,)


def test_reading_the_index_loads_nothing_heavy() -> None:
    code = "import sys, cloned.host.index; print([n for n in sys.modules if n.partition('.')[0] in sys.argv[1:]])"
    heavy = ["pydantic", "jsonschema", "sqlalchemy", "msgspec", "pluggy", "cloned_trust", "packaging"]
    found = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_plugin_that_pip_installed_is_told_as_unmanaged_and_never_imported(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    site = tmp_path / "site"
    info = site / "Acme.Gale-2.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Acme.Gale\nVersion: 2.0.0\n")
    (info / "entry_points.txt").write_text("[cloned.plugins]\ngale = acme_gale:plugin\n")
    (site / "acme_gale.py").write_bytes(forge.canary_source(canary))
    data = site / "acme_rain-1.0.0.dist-info"
    (data / "cloned").mkdir(parents=True)
    (data / "METADATA").write_text("Metadata-Version: 2.4\nName: acme-rain\nVersion: 1.0.0\n")
    (data / "cloned/package.manifest.json").write_text("{}")
    sys.path.insert(0, str(site))
    found = index.unmanaged()
    assert [(one.plugin_id, one.version, one.state) for one in found] == [
        ("acme-gale", "2.0.0", "unmanaged"),
        ("acme-rain", "1.0.0", "unmanaged"),
    ]
    assert not canary.exists()
    assert "acme_gale" not in sys.modules


@pytest.fixture
def host(tmp_path: Path) -> LentHost:
    from kernel.core.tests.host.bench import holder  # noqa: PLC0415 - also used in other processes

    return holder(tmp_path)


def test_a_lease_is_held_once_in_a_process_and_again_when_it_is_free(host: LentHost) -> None:
    with host.lease("run") as mine, host.lease("run") as again, host.lease("other") as other:
        assert (mine, again, other) == (True, False, True)
    with host.lease("run") as mine:
        assert mine
    assert list(host.run.iterdir()) == []


def test_a_lease_of_a_process_that_was_killed_is_free(host: LentHost, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    root = Path(__file__).parents[4]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        with host.lease("run") as mine:
            assert not mine
        other.kill()
        other.wait()
    with host.lease("run") as mine:
        assert mine


def test_a_lock_file_of_the_past_is_not_taken_for_the_present(host: LentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    place = host.run / "acme-mood.run.lock"
    opened: list[int] = []
    real = os.open

    def late(path: object, *rest: object) -> int:
        descriptor = real(path, *rest)  # type: ignore[arg-type]
        if not opened:
            place.unlink()  # its holder goes between our open and our lock
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with host.lease("run") as mine:
        monkeypatch.undo()
        assert mine
        assert len(opened) == 2
        with host.lease("run") as again:
            assert not again


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a" * 101, "a\n", ".hidden"])
def test_a_lease_cannot_leave_its_folder(host: LentHost, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a lease"), host.lease(name):
        pass


def test_a_lease_that_is_a_link_is_not_followed(host: LentHost, tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (host.run / "acme-mood.run.lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"), host.lease("run"):
        pass


def test_the_state_folder_is_the_plugins_own(host: LentHost, tmp_path: Path) -> None:
    folder = host.state_folder
    assert folder == tmp_path / "states/acme-mood"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert host.state_folder == folder


def test_what_is_lent_is_the_protocol(bench: Bench, tmp_path: Path) -> None:
    bench.install(kernel_release())
    lines: list[tuple[str, str]] = []
    made = lent(bench.host.plugin("acme-mood"), tmp_path)
    packs = [SkillPackSource("b-b", "1", pack, b"") for pack in ("z", "a")]
    host: Host = LentHost(
        made.plugin_id, made.settings, made.database, made.tools, SystemClock(), made.states, made.run,
        lambda level, line: lines.append((level, line)), lambda: packs,
    )  # fmt: skip
    host.log("info", "hello")
    assert lines == [("info", "acme-mood: hello")]
    assert [pack.id for pack in host.skill_packs()] == ["a", "z"]
    assert host.new_id() < host.new_id()
    assert host.now().tzinfo is not None
