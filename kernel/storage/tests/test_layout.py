import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cloned_schemas.errors import ClonedError
from cloned_storage.layout import FOLDER, Places, UserPlaces, find_workspace, private_folder

Error = Callable[..., ClonedError]


def make(root: Path) -> Places:
    root.mkdir(parents=True, exist_ok=True)
    places = Places(root.resolve())
    places.prepare()
    return places


def test_a_prepared_workspace_is_private_and_shares_only_what_people_decide(tmp_path: Path) -> None:
    places = make(tmp_path / "w")
    assert places.home.stat().st_mode & 0o777 == 0o700
    for folder in (places.policy, places.trust, places.artifacts, places.run):
        assert folder.stat().st_mode & 0o777 == 0o700
    subprocess.run(["git", "init", "-q", places.root], check=True)
    for path in (places.config, places.registry, places.lock, places.policy / "personal.yaml", places.database,
                 places.audit_log, places.artifacts / "x", places.trust / "x", places.run / "x"):  # fmt: skip
        path.write_text("x")
    listed = subprocess.run(
        ["git", "-C", places.root, "ls-files", "-o", "--exclude-standard"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert sorted(listed) == sorted(
        f"{FOLDER}/{name}"
        for name in (".gitignore", "config.yaml", "registry.yaml", "plugins.lock.json", "policy/personal.yaml")
    )


def test_preparing_again_keeps_what_is_there(tmp_path: Path) -> None:
    places = make(tmp_path / "w")
    (places.home / ".gitignore").write_text("mine")
    places.prepare()
    assert (places.home / ".gitignore").read_text() == "mine"


def test_the_nearest_workspace_upwards_is_found(tmp_path: Path) -> None:
    outer, inner = make(tmp_path / "home/outer"), make(tmp_path / "home/outer/a/inner")
    deep = inner.root / "b/c"
    deep.mkdir(parents=True)
    env = {"HOME": str(tmp_path / "home")}
    assert find_workspace(deep, None, env) == inner
    assert find_workspace(inner.root.parent, None, env) == outer


def test_the_named_workspace_goes_before_the_environments_and_the_nearest(tmp_path: Path) -> None:
    here, named, other = make(tmp_path / "here"), make(tmp_path / "named"), make(tmp_path / "other")
    env = {"HOME": str(tmp_path), "CLONED_WORKSPACE": str(other.root)}
    assert find_workspace(here.root, named.root, env) == named
    assert find_workspace(here.root, Path("../named"), env) == named
    assert find_workspace(here.root, None, env) == other


def test_a_workspace_in_home_is_found_and_one_above_it_is_not(tmp_path: Path, error_of: Error) -> None:
    make(tmp_path)
    start = tmp_path / "home/project"
    start.mkdir(parents=True)
    env = {"HOME": str(tmp_path / "home")}
    assert error_of(find_workspace, start, None, env).id == "WORKSPACE_MISSING"
    assert error_of(find_workspace, tmp_path, None, env).id == "WORKSPACE_MISSING"
    at_home = make(tmp_path / "home")
    assert find_workspace(start, None, env) == at_home


def test_a_workspace_above_home_is_not_found_from_beside_home(tmp_path: Path, error_of: Error) -> None:
    make(tmp_path)
    (tmp_path / "beside").mkdir()
    env = {"HOME": str(tmp_path / "home")}
    assert error_of(find_workspace, tmp_path / "beside", None, env).id == "WORKSPACE_MISSING"


def test_a_home_that_is_a_link_bounds_the_search_all_the_same(tmp_path: Path, error_of: Error) -> None:
    make(tmp_path)
    (tmp_path / "real/project").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "real")
    env = {"HOME": str(tmp_path / "home")}
    assert error_of(find_workspace, tmp_path / "home/project", None, env).id == "WORKSPACE_MISSING"


@pytest.mark.parametrize("env", [{}, {"HOME": ""}])
def test_without_home_only_the_starting_folder_is_looked_at(
    tmp_path: Path, error_of: Error, env: dict[str, str]
) -> None:
    places = make(tmp_path)
    (tmp_path / "below").mkdir()
    assert find_workspace(tmp_path, None, env) == places
    assert error_of(find_workspace, tmp_path / "below", None, env).id == "WORKSPACE_MISSING"


def test_the_search_ends_at_a_folder_of_another_owner(
    tmp_path: Path, error_of: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    (tmp_path / "below").mkdir()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)  # to be somebody else, for whom all of this is foreign
    env = {"HOME": "/nonexistent"}
    assert error_of(find_workspace, tmp_path / "below", None, env).id == "WORKSPACE_MISSING"
    refused = error_of(find_workspace, tmp_path, tmp_path, env)
    assert (refused.id, str(tmp_path / FOLDER) in refused.fact) == ("WORKSPACE_OWNER", True)


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, error_of: Error) -> None:
    make(tmp_path / "theirs")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / FOLDER).symlink_to(tmp_path / "theirs" / FOLDER)
    assert error_of(find_workspace, tmp_path / "w", None, {"HOME": str(tmp_path)}).id == "FILE_UNSAFE"
    assert error_of(Places(tmp_path / "w").prepare).id == "FILE_UNSAFE"


@pytest.mark.parametrize("name", ["policy", "trust", "artifacts", "run"])
@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path, error_of: Error, name: str, target: str) -> None:
    places = make(tmp_path / "w")
    (tmp_path / "there").mkdir()
    (places.home / name).rmdir()
    (places.home / name).symlink_to(tmp_path / target)
    assert error_of(places.admit).id == "FILE_UNSAFE"
    assert error_of(places.prepare).id == "FILE_UNSAFE"
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "registry.yaml",
        "plugins.lock.json",
        "state.db",
        "state.db-wal",
        "audit.log",
        "audit.lock",
        ".gitignore",
    ],
)
def test_a_link_fifo_socket_or_folder_in_the_place_of_a_file_is_refused(
    tmp_path: Path, error_of: Error, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = make(tmp_path / "w")
    path = places.home / name
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")
    assert error_of(places.admit).id == "FILE_UNSAFE"
    path.unlink()
    os.mkfifo(path, 0o600)
    assert error_of(places.admit).id == "FILE_UNSAFE"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        monkeypatch.chdir(places.home)  # a socket's address is short
        made.bind(name)
    assert error_of(places.admit).id == "FILE_UNSAFE"
    path.unlink()
    path.mkdir(mode=0o700)
    assert error_of(places.admit).id == "FILE_UNSAFE"


@pytest.mark.parametrize("name", [".", "policy", "config.yaml", "state.db"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_may_write_is_refused_with_its_mending(
    tmp_path: Path, error_of: Error, name: str, mode: int
) -> None:
    places = make(tmp_path / "w")
    path = places.home / name
    if not path.exists():
        path.touch(0o600)
    path.chmod(path.stat().st_mode | mode)
    refused = error_of(places.admit)
    assert (refused.id, refused.repair) == ("FILE_UNSAFE", f"run 'chmod go-w {path}'")


def test_a_path_that_is_not_utf_8_is_a_workspace_like_any_other(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    places = make(root)
    assert find_workspace(root, None, {"HOME": str(tmp_path)}) == places
    user = UserPlaces.from_environment({"HOME": str(tmp_path)})
    assert user.workspace_state(root, "x") != user.workspace_state(tmp_path, "x")


def test_a_file_in_the_place_of_the_root_is_told(tmp_path: Path, error_of: Error) -> None:
    (tmp_path / "file").touch()
    assert error_of(Places(tmp_path / "file").prepare).id == "WORKSPACE_READ_ONLY"
    assert error_of(find_workspace, tmp_path, tmp_path / "file", {}).id == "WORKSPACE_MISSING"


def test_the_users_folders_follow_xdg_and_ignore_relative_values(tmp_path: Path) -> None:
    env = {"HOME": "/home/ada", "XDG_STATE_HOME": str(tmp_path), "XDG_DATA_HOME": "relative"}
    user = UserPlaces.from_environment(env)
    assert user.config == Path("/home/ada/.config/cloned")
    assert user.state == tmp_path / "cloned"
    assert user.store == Path("/home/ada/.local/share/cloned/store")
    assert user.publishers == Path("/home/ada/.config/cloned/publishers")
    assert user.revocations == Path("/home/ada/.config/cloned/revocations.json")


@pytest.mark.parametrize("env", [{}, {"HOME": "here"}])
def test_without_home_the_users_folders_are_not_guessed(error_of: Error, env: dict[str, str]) -> None:
    assert error_of(UserPlaces.from_environment, env).id == "USAGE"


@pytest.mark.parametrize("name", ["config", "state", "data", "store", "publishers"])
def test_a_user_folder_that_others_may_write_is_refused(tmp_path: Path, error_of: Error, name: str) -> None:
    env = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "STATE", "DATA")}
    folder = getattr(UserPlaces.from_environment(env), name)
    private_folder(folder)
    folder.chmod(0o770)
    refused = error_of(UserPlaces.from_environment, env)
    assert (refused.id, refused.repair) == ("STORE_MODE", f"run 'chmod 700 {folder}'")
    assert error_of(private_folder, folder).id == "STORE_MODE"


def test_private_folders_are_made_with_their_parents_private(tmp_path: Path, error_of: Error) -> None:
    made = private_folder(tmp_path / "a/b/c")
    assert [folder.stat().st_mode & 0o777 for folder in (made, made.parent, made.parent.parent)] == [0o700] * 3
    (tmp_path / "file").touch()
    assert error_of(private_folder, tmp_path / "file/below").id == "WORKSPACE_READ_ONLY"


def test_another_place_or_another_id_is_another_workspace(tmp_path: Path) -> None:
    user = UserPlaces.from_environment({"HOME": str(tmp_path)})
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    states = {user.workspace_state(tmp_path / name, id_) for name in ("a", "b") for id_ in ("1", "2")}
    assert len(states) == 4
    assert user.workspace_state(tmp_path / "link", "1") == user.workspace_state(tmp_path / "a", "1")
