"""What `cloned-sdk pack` writes: the same bytes everywhere, a wheel that installers and the gate take."""

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloned_trust import manifestgate, wheelzip

from .conftest import Desk

INFO = "acme_weather-1.2.0.dist-info"


def packed_elsewhere(desk: Desk, root: Path, **environment: str) -> bytes:
    """The wheel of a copy of the plugin, packed by a process of its own with another umask, time and file order."""
    copy = root / "acme-weather"
    root.mkdir()
    for source in sorted(desk.plugin.rglob("*"), reverse=True):
        if source.is_file():
            place = copy / source.relative_to(desk.plugin)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            place.chmod(0o755)
            os.utime(place, (981173106, 981173106))
    code = "import os, sys; os.umask(0o077); from cloned_devkit.main import main; main(sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", code, "pack", str(copy), "--out", str(root / "dist")],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return (root / "dist" / desk.wheel.name).read_bytes()


def test_the_same_tree_gives_the_same_bytes_on_another_machine(desk: Desk, tmp_path: Path) -> None:
    first = desk.packed()
    assert packed_elsewhere(desk, tmp_path / "east", TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="1") == first
    assert packed_elsewhere(desk, tmp_path / "west", TZ="Pacific/Honolulu", LC_ALL="C.UTF-8") == first


def test_one_changed_byte_gives_another_wheel(desk: Desk) -> None:
    first = desk.packed()
    desk.write("src/acme_weather/data/towns.txt", "Bonn\n")
    assert desk.packed() != first


def test_members_are_stored_sorted_dated_and_plain(desk: Desk) -> None:
    with zipfile.ZipFile(io.BytesIO(desk.packed())) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == [
        "acme_weather/__init__.py",
        "acme_weather/data/towns.txt",
        "acme_weather/worker.py",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
        f"{INFO}/entry_points.txt",
        f"{INFO}/cloned/package.manifest.json",
        f"{INFO}/RECORD",
    ]
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert {(entry.compress_type, entry.extra, entry.flag_bits) for entry in entries} == {(zipfile.ZIP_STORED, b"", 0)}


def test_record_lists_every_member_with_its_digest(desk: Desk) -> None:
    with zipfile.ZipFile(io.BytesIO(desk.packed())) as archive:
        rows = {row[0]: row[1:] for row in csv.reader(archive.read(f"{INFO}/RECORD").decode().splitlines())}
        assert set(rows) == set(archive.namelist())
        assert rows.pop(f"{INFO}/RECORD") == ["", ""]
        for path, (digest, size) in rows.items():
            data = archive.read(path)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={expected}", len(data))


def test_the_manifest_holds_what_the_author_wrote_and_what_was_derived(desk: Desk) -> None:
    gate = manifestgate.judge(wheelzip.read(desk.packed()), desk.wheel.name)
    assert gate.findings == ()
    assert gate.manifest is not None
    assert (gate.manifest.id, gate.manifest.version) == ("acme-weather", "1.2.0")
    assert (gate.manifest.summary, gate.manifest.license) == ("Weather of the day", "Apache-2.0")
    assert [tool.id for tool in gate.manifest.tools] == ["acme.weather.today@v1"]


def test_pip_installs_the_wheel(desk: Desk, tmp_path: Path) -> None:
    desk.packed()
    target = tmp_path / "target"
    arguments = ["pip", "install", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(desk.wheel)]
    subprocess.run([sys.executable, "-m", *arguments], check=True, capture_output=True)
    assert (target / "acme_weather" / "worker.py").read_text() == (desk.package / "worker.py").read_text()
    assert json.loads((target / INFO / "cloned" / "package.manifest.json").read_text())["id"] == "acme-weather"


def test_a_data_plugin_needs_no_python_and_can_be_found_all_the_same(desk: Desk) -> None:
    shutil.rmtree(desk.package)
    desk.write("src/acme_weather/packs/small.yaml", "pack_id: small\n")
    contributes = "contributes: {policy_packs: [{id: small, path: acme_weather/packs/small.yaml, summary: Small}]}\n"
    desk.write("plugin.yaml", f"publisher_id: acme\nexecution: data\nisolation: data\n{contributes}")
    with zipfile.ZipFile(io.BytesIO(desk.packed())) as archive:
        assert archive.read(f"{INFO}/entry_points.txt") == b"[cloned.plugins]\nacme-weather = acme_weather\n"


def test_a_kernel_plugins_libraries_come_from_pyproject(desk: Desk) -> None:
    desk.replace("plugin.yaml", "execution: worker\nisolation: sandbox", "execution: kernel\nisolation: in_process")
    desk.replace("pyproject.toml", '["cloned-sdk"]', '["cloned-sdk", "msgspec>=0.20,<1", "jinja2>=3.1"]')
    gate = manifestgate.judge(wheelzip.read(desk.packed()), desk.wheel.name)
    assert gate.manifest is not None
    assert gate.manifest.host_requires == ["jinja2>=3.1", "msgspec<1,>=0.20"]


def test_license_files_travel_with_the_wheel(desk: Desk) -> None:
    desk.replace("pyproject.toml", 'license = "Apache-2.0"', 'license = "Apache-2.0"\nlicense-files = ["LICENSE"]')
    desk.write("LICENSE", "the terms\n")
    with zipfile.ZipFile(io.BytesIO(desk.packed())) as archive:
        assert archive.read(f"{INFO}/licenses/LICENSE") == b"the terms\n"
        assert b"License-File: LICENSE" in archive.read(f"{INFO}/METADATA")


def test_hidden_files_and_caches_are_left_out_and_named(desk: Desk) -> None:
    clean = desk.packed()
    desk.write("src/acme_weather/.env", "TOKEN=1")
    desk.write("src/acme_weather/__pycache__/worker.cpython-311.pyc", "x")
    desk.write("src/acme_weather.egg-info/PKG-INFO", "x")
    result = desk.pack()
    assert desk.wheel.read_bytes() == clean
    for path in ("src/acme_weather/.env", "src/acme_weather/__pycache__", "src/acme_weather.egg-info"):
        assert f"left out: {path} " in result.stderr


def test_native_code_needs_the_capability_and_a_tag(desk: Desk) -> None:
    (desk.package / "fast.so").write_bytes(b"\x7fELF rest")
    refused = desk.pack()
    assert (refused.exit_code, desk.dist.exists()) == (5, False)
    assert "NATIVE_CODE" in refused.stderr
    desk.write("plugin.yaml", (desk.plugin / "plugin.yaml").read_text() + "capabilities_required: [native]\n")
    result = desk.run("pack", desk.plugin, "--out", desk.dist, "--tag", "cp311-cp311-linux_x86_64")
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(desk.dist / "acme_weather-1.2.0-cp311-cp311-linux_x86_64.whl") as archive:
        assert b"Root-Is-Purelib: false" in archive.read(f"{INFO}/WHEEL")


def refusal(desk: Desk) -> tuple[int, str, str]:
    """Exit code, first and second line; and nothing was written."""
    result = desk.pack()
    assert not desk.dist.exists()
    fact, repair, *_ = [*result.stderr.splitlines(), "", ""]
    return result.exit_code, fact, repair


@pytest.mark.parametrize(
    ("path", "error_id", "code", "repair"),
    [
        ("src/acme_weather/old.pyc", "FORBIDDEN_MEMBER", 5, "remove src/acme_weather/old.pyc"),
        ("src/acme_weather/x.pth", "FORBIDDEN_MEMBER", 5, "remove src/acme_weather/x.pth"),
        ("src/acme_weather/sitecustomize.py", "FORBIDDEN_MEMBER", 5, "remove the file"),
        ("src/other/__init__.py", "TOPLEVEL_NOT_OWNED", 5, "move it below src/acme_weather"),
        ("src/acme_weather/a b.txt", "ZIP_NAME", 5, "rename the file"),
        ("src/acme_weather/über.txt", "ZIP_NAME", 5, "rename the file"),
        ("src/acme_weather/Worker.py", "ZIP_DUPLICATE", 5, "rename one of the files"),
        ("src/acme_weather/nul.txt", "ZIP_NAME", 5, "rename the file"),
    ],
)
def test_a_file_that_no_wheel_may_hold_is_refused_with_its_repair(
    desk: Desk, path: str, error_id: str, code: int, repair: str
) -> None:
    desk.write(path, "")
    exit_code, fact, said = refusal(desk)
    assert exit_code == code
    assert fact.startswith(f"{error_id}: ")
    assert repair in said


def test_a_link_is_refused_whatever_it_leads_to(desk: Desk) -> None:
    (desk.package / "link.py").symlink_to(desk.package / "worker.py")
    exit_code, fact, _ = refusal(desk)
    assert (exit_code, fact) == (5, "FILE_UNSAFE: src/acme_weather/link.py is a link")


def test_a_name_that_is_not_utf_8_is_refused_and_shown_escaped(desk: Desk) -> None:
    (desk.package / os.fsdecode(b"\xff.txt")).write_text("")
    exit_code, fact, _ = refusal(desk)
    assert exit_code == 5
    assert fact.startswith("ZIP_NAME: acme_weather/\\udcff.txt")


def test_a_fifo_is_refused_without_waiting_for_a_writer(desk: Desk) -> None:
    os.mkfifo(desk.package / "pipe")
    assert refusal(desk)[1].startswith("FILE_UNSAFE: ")


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("pyproject.toml", 'version = "1.2.0"', 'dynamic = ["version"]', "[project] has dynamic"),
        ("pyproject.toml", "dependencies", 'scripts = {x = "y:z"}\ndependencies', "[project] has scripts"),
        ("pyproject.toml", 'name = "acme-weather"', 'name = "Acme_Weather"', "acme-weather 1.2.0"),
        ("pyproject.toml", 'version = "1.2.0"', 'version = "1.2"', "pyproject.toml: version"),
        ("pyproject.toml", 'license = "Apache-2.0"\n', "", "[project] has no license"),
        ("pyproject.toml", "[project]", "[project", "FILE_SYNTAX"),
        ("pyproject.toml", '["cloned-sdk"]', '["not a requirement!"]', "dependencies"),
        ("plugin.yaml", "publisher_id: acme", "version: 1.0.0", "take version out"),
        ("plugin.yaml", "execution: worker", "execution: worker\nexecution: data", "stands twice"),
        ("plugin.yaml", "execution: worker", "execution: worker\nexcution: data", "plugin.yaml: excution"),
        ("plugin.yaml", "isolation: sandbox", "isolation: in_process", "cannot run with isolation"),
        ("plugin.yaml", "isolation: sandbox", "isolation: &x sandbox", "anchors, aliases and tags"),
        ("plugin.yaml", "isolation: sandbox", "isolation: !!str sandbox", "anchors, aliases and tags"),
        ("plugin.yaml", "publisher_id: acme", "<<: {publisher_id: acme}", "publisher_id"),
        ("plugin.yaml", "publisher_id: acme", "%YAML 1.1\n---\npublisher_id: acme", "directives"),
        ("plugin.yaml", "publisher_id: acme", "publisher_id: " + "[" * 40 + "]" * 40, "nested deeper than 32"),
        ("plugin.yaml", "publisher_id: acme", "a: 1\n---\npublisher_id: acme", "second document"),
        ("plugin.yaml", "publisher_id: acme", "publisher_id: [", "FILE_SYNTAX: plugin.yaml: line"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(desk: Desk, file: str, old: str, new: str, says: str) -> None:
    desk.replace(file, old, new)
    exit_code, fact, repair = refusal(desk)
    assert exit_code == 2
    assert says in f"{fact}\n{repair}"
    assert file in f"{fact}\n{repair}"


def test_a_plugin_yaml_that_is_too_large_or_not_text_is_refused(desk: Desk) -> None:
    desk.write("plugin.yaml", "#" * (256 * 1024 + 1))
    assert refusal(desk)[1].startswith("FILE_TOO_LARGE")
    (desk.plugin / "plugin.yaml").write_bytes(b"publisher_id: \xff\n")
    assert refusal(desk)[1].startswith("FILE_SYNTAX: plugin.yaml: byte 14 is not UTF-8")


def test_a_file_that_the_manifest_names_must_be_there(desk: Desk) -> None:
    desk.replace("plugin.yaml", "acme_weather.worker:server", "acme_weather.absent:server")
    exit_code, fact, repair = refusal(desk)
    assert (exit_code, fact.split(":")[0]) == (5, "MISSING_FILE")
    assert "plugin.yaml" in repair
