"""Attack D19: an installed plugin is edited in the store. It is refused by name, and no code of it runs."""

import os
import py_compile
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloned_schemas.errors import TrustRefused
from kernel.core.tests.host.bench import ACME, PLUGIN, Bench, kernel_release
from tests.attacks import forge

Writable = Callable[[Path], None]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def flip(source: Path) -> None:
    source.write_bytes(forge.flipped(source.read_bytes(), 1))
    source.chmod(0o444)
    source.parent.chmod(0o555)


def grow(source: Path) -> None:
    (source.parent / "more.py").write_bytes(b"")
    (source.parent / "more.py").chmod(0o444)
    source.chmod(0o444)
    source.parent.chmod(0o555)


def lose(source: Path) -> None:
    source.unlink()
    source.parent.chmod(0o555)


def link(source: Path) -> None:
    kept = source.parents[4] / "kept.py"
    shutil.copy(source, kept)
    source.unlink()
    source.symlink_to(kept)
    source.parent.chmod(0o555)


def loosen(source: Path) -> None:
    source.chmod(0o644)
    source.parent.chmod(0o555)


def loosen_folder(source: Path) -> None:
    source.chmod(0o444)
    source.parent.chmod(0o755)


def plant_bytecode(source: Path) -> None:
    cache = source.parent / "__pycache__"
    cache.mkdir()
    (cache / f"{source.stem}.{sys.implementation.cache_tag}.pyc").write_bytes(b"planted")
    source.chmod(0o444)
    source.parent.chmod(0o555)


def edit_manifest(source: Path) -> None:
    source.chmod(0o444)
    source.parent.chmod(0o555)
    (manifest,) = source.parents[1].glob("*.dist-info/cloned/package.manifest.json")
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"summary":"', b'"summary":"A'))
    manifest.chmod(0o444)


def edit_record(source: Path) -> None:
    source.chmod(0o444)
    source.parent.chmod(0o555)
    (record,) = source.parents[1].glob("*.dist-info/RECORD")
    record.chmod(0o644)
    record.write_bytes(record.read_bytes() + b"more.py,,\n")
    record.chmod(0o444)


TAMPERINGS = [flip, grow, lose, link, loosen, loosen_folder, plant_bytecode, edit_manifest, edit_record]


@pytest.mark.parametrize("tamper", TAMPERINGS)
@pytest.mark.parametrize("execution", ["kernel", "worker"])
def test_a_tampered_plugin_is_refused_by_name_and_nothing_of_it_runs(
    bench: Bench, writable: Writable, canary: Path, tamper: Callable[[Path], None], execution: str
) -> None:
    song = forge.canary_source(canary).decode()
    if execution == "kernel":
        release = bench.install(kernel_release(song + PLUGIN, files={"__init__.py": song}))
        source = bench.tree(release) / "acme_mood/plugin.py"
    else:
        release = bench.install(forge.release(ACME, canary=canary))
        source = bench.tree(release) / "acme_weather/worker.py"
    plugin = bench.host.plugin(release.plugin_id)
    writable(source)
    tamper(source)
    with pytest.raises(TrustRefused, match="TREE_MISMATCH") as caught:
        bench.host.before_spawn(plugin)
    assert caught.value.details["sent"] is False
    bench.refresh()
    assert bench.states() == {release.plugin_id: "TREE_MISMATCH"}
    assert release.plugin_id in (bench.host.verdicts()[0].reason or "")
    for hook in ("cloned_checks", "cloned_operations", "cloned_skill_packs"):
        assert bench.host.ask(hook) == []
    with pytest.raises(TrustRefused, match="TREE_MISMATCH"):
        bench.host.activate(release.plugin_id)
    assert bench.host.verdicts()[0].tools == tuple(tool.id for tool in release.manifest.tools)
    assert not canary.exists()


def test_restoring_the_byte_brings_the_plugin_back(bench: Bench, writable: Writable) -> None:
    release = bench.install(forge.release(ACME))
    source = bench.tree(release) / "acme_weather/worker.py"
    before = source.read_bytes()
    writable(source)
    flip(source)
    bench.refresh()
    assert bench.states() == {"acme-weather": "TREE_MISMATCH"}
    writable(source)
    source.write_bytes(before)
    source.chmod(0o444)
    source.parent.chmod(0o555)
    bench.refresh()
    assert bench.states() == {"acme-weather": "enabled"}
    bench.host.before_spawn(bench.host.plugin("acme-weather"))


def test_a_file_of_equal_size_and_time_is_still_noticed_before_a_spawn(bench: Bench, writable: Writable) -> None:
    release = bench.install(forge.release(ACME))
    plugin = bench.host.plugin("acme-weather")
    source = bench.tree(release) / "acme_weather/worker.py"
    times = source.stat()
    writable(source)
    flip(source)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(TrustRefused, match=r"acme_weather/worker\.py"):
        bench.host.before_spawn(plugin)


def test_a_source_that_is_changed_after_it_was_judged_is_not_compiled(
    bench: Bench, writable: Writable, canary: Path
) -> None:
    release = bench.install(kernel_release())
    source = bench.tree(release) / "acme_mood/plugin.py"
    writable(source)
    source.write_bytes(forge.canary_source(canary))
    with pytest.raises(TrustRefused, match="TREE_MISMATCH"):
        bench.host.activate("acme-mood")
    assert bench.host.ask("cloned_checks") == []
    assert bench.reported == [("acme-mood", "TREE_MISMATCH")]
    with pytest.raises(TrustRefused, match="TREE_MISMATCH") as caught:
        bench.host.ask("cloned_checks", "acme-mood")
    assert caught.value.details["sent"] is False
    assert not canary.exists()


def test_bytecode_that_is_planted_after_it_was_judged_never_runs(
    bench: Bench, writable: Writable, canary: Path, tmp_path: Path
) -> None:
    release = bench.install(kernel_release())
    source = bench.tree(release) / "acme_mood/plugin.py"
    writable(source)
    cached = source.parent / "__pycache__" / f"plugin.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir()
    song = tmp_path / "song.py"
    song.write_bytes(forge.canary_source(canary))
    py_compile.compile(str(song), str(cached), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    [(_, checks)] = bench.host.ask("cloned_checks")
    assert [check.id for check in checks] == ["acme.mood"]
    assert not canary.exists()
    runpy.run_path(str(cached))
    assert canary.exists()  # it would have sung


def test_no_bytecode_is_written_into_the_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    release = bench.install(kernel_release())
    tree = bench.tree(release)
    before = sorted(tree.rglob("*"))
    bench.host.activate("acme-mood")
    assert sorted(tree.rglob("*")) == before
