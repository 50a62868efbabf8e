"""The export copies exactly an artifact, only outwards, through no link, over no other file."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from cloned_sdk.host import JsonObject, Refused, ToolContext
from cloned_skills.export import export

ID = "0190b6a2-7d3c-7c44-9f57-5a3f6c1d2e4b"
CONTENT = b"# Report\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "workspace" / ".cloned" / "artifacts" / ID
    folder.mkdir(parents=True)
    (folder / "report.md").write_bytes(CONTENT)
    write_manifest(folder, {"report.md": hashlib.sha256(CONTENT).hexdigest()})
    return tmp_path / "workspace"


def write_manifest(folder: Path, hashes: object) -> None:
    (folder / "manifest.json").write_text(json.dumps({"content_hashes": hashes}))


def artifact(workspace: Path) -> Path:
    return workspace / ".cloned" / "artifacts" / ID


def out(workspace: Path, folder: Path | str, artifact_id: str = ID) -> JsonObject:
    context = ToolContext("call", None, "person:ada", workspace)
    return export({"artifact_id": artifact_id, "folder": str(folder)}, context)


def refused(workspace: Path, folder: Path | str, artifact_id: str = ID) -> str:
    with pytest.raises(Refused) as caught:
        out(workspace, folder, artifact_id)
    return caught.value.error_id


def test_content_and_manifest_arrive_as_they_are(workspace: Path, tmp_path: Path) -> None:
    told = out(workspace, tmp_path / "out" / "deep")
    assert Path(told["path"]).read_bytes() == CONTENT
    assert Path(told["manifest_path"]).read_bytes() == (artifact(workspace) / "manifest.json").read_bytes()
    assert told["content_sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert sorted(path.name for path in (tmp_path / "out" / "deep").iterdir()) == [
        "report.md",
        "report.md.manifest.json",
    ]


def test_a_second_export_finds_the_first_and_changes_nothing(workspace: Path, tmp_path: Path) -> None:
    assert not out(workspace, tmp_path / "out")["already_there"]
    before = (tmp_path / "out" / "report.md").stat()
    assert out(workspace, tmp_path / "out")["already_there"]
    assert (tmp_path / "out" / "report.md").stat().st_ino == before.st_ino


def test_an_export_that_was_cut_short_is_completed(workspace: Path, tmp_path: Path) -> None:
    out(workspace, tmp_path / "out")
    (tmp_path / "out" / "report.md.manifest.json").unlink()
    assert not out(workspace, tmp_path / "out")["already_there"]
    assert (tmp_path / "out" / "report.md.manifest.json").exists()


@pytest.mark.parametrize("name", ["report.md", "report.md.manifest.json"])
def test_another_file_is_never_overwritten_and_nothing_else_is_written(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    assert refused(workspace, tmp_path / "out") == "FILE_EXISTS"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_a_link_in_the_place_of_the_file_is_not_followed(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_bytes(CONTENT)
    (tmp_path / "out" / "report.md").symlink_to(tmp_path / "victim")
    assert refused(workspace, tmp_path / "out") == "FILE_UNSAFE"


def test_a_folder_through_a_link_is_refused_and_the_real_path_is_told(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Refused) as caught:
        out(workspace, tmp_path / "link" / "deep")
    assert caught.value.error_id == "FILE_UNSAFE"
    assert str(tmp_path / "real" / "deep") in str(caught.value.repair)
    assert list((tmp_path / "real").iterdir()) == []


def test_a_link_put_in_while_the_path_is_walked_leads_nowhere(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    plain_open = os.open

    def swapping_open(path: object, *args: object, **kwargs: object) -> int:
        if path == "b" and (tmp_path / "a").exists() and not (tmp_path / "a").is_symlink():
            (tmp_path / "a").rename(tmp_path / "moved")
            (tmp_path / "a").symlink_to(tmp_path / "secret")
        return plain_open(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swapping_open)
    out(workspace, tmp_path / "a" / "b")
    assert list((tmp_path / "secret").iterdir()) == []
    assert (tmp_path / "moved" / "b" / "report.md").exists()


@pytest.mark.parametrize(
    "folder",
    [
        "relative",
        "",
        "~/out",
        "{workspace}",
        "{workspace}/sub",
        "{workspace}/.cloned/artifacts",
        "{tmp}/other/.cloned",
        "{tmp}/other/.CLONED/x",
        "{tmp}/a/../workspace",
        "{tmp}/./out",
        "{home}/.config/cloned",
        "{home}/.local/state/cloned/x",
        "{home}/.local/share/cloned/store",
        "{home}/.cache/cloned",
        "{tmp}/a\nb",
        "{tmp}/a\0b",
    ],
)
def test_cloned_s_own_folders_and_odd_paths_are_refused_and_nothing_is_made(
    workspace: Path, tmp_path: Path, folder: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    given = folder.format(workspace=workspace, tmp=tmp_path, home=tmp_path / "home")
    assert refused(workspace, given) == "FILE_UNSAFE"
    assert sorted(tmp_path.rglob("*")) == before


def test_the_workspace_is_known_under_any_of_its_names(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert refused(tmp_path / "link" / "workspace", workspace / "out") == "FILE_UNSAFE"
    assert not (workspace / "out").exists()


def test_user_folders_are_found_where_the_environment_puts_them(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert refused(workspace, tmp_path / "state" / "cloned" / "x") == "FILE_UNSAFE"


@pytest.mark.parametrize("artifact_id", ["..", "../..", "x", "", ID.upper(), f"{ID}\n", ID.replace("a", "b")])
def test_what_is_no_artifact_s_id_is_unknown(workspace: Path, tmp_path: Path, artifact_id: str) -> None:
    assert refused(workspace, tmp_path / "out", artifact_id) == "ARTIFACT_UNKNOWN"
    assert not (tmp_path / "out").exists()


def test_changed_content_is_not_exported(workspace: Path, tmp_path: Path) -> None:
    (artifact(workspace) / "report.md").write_bytes(b"forged")
    assert refused(workspace, tmp_path / "out") == "ARTIFACT_CHANGED"
    assert not (tmp_path / "out").exists()


def test_an_artifact_that_is_a_link_is_not_followed(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    (artifact(workspace) / "report.md").unlink()
    (artifact(workspace) / "report.md").symlink_to(tmp_path / "secret")
    assert refused(workspace, tmp_path / "out") == "ARTIFACT_CHANGED"


@pytest.mark.parametrize(
    "hashes",
    [
        {},
        {"a": "0", "b": "0"},
        {"../../x": "0"},
        {"/etc/passwd": "0"},
        {".hidden": "0"},
        {"": "0"},
        {"a": 1},
        [],
        None,
        "x",
    ],
)
def test_a_manifest_that_names_anything_but_its_content_is_refused(
    workspace: Path, tmp_path: Path, hashes: object
) -> None:
    write_manifest(artifact(workspace), hashes)
    assert refused(workspace, tmp_path / "out") in {"ARTIFACT_MANIFEST", "ARTIFACT_UNKNOWN"}


def test_nothing_stays_aside_when_the_system_refuses(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_args: object, **_kwargs: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    assert refused(workspace, tmp_path / "out") == "FILE_UNWRITABLE"
    assert list((tmp_path / "out").iterdir()) == []
