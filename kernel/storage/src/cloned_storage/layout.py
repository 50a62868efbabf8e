"""Where everything lies, in a workspace and for its user. Refuses links, foreign owners and what others may write."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloned_schemas.errors import TrustRefused, Unavailable, UserMistake

FOLDER = ".cloned"
_SHARED = "/*\n!/.gitignore\n!/config.yaml\n!/registry.yaml\n!/plugins.lock.json\n!/policy/\n"
_FOLDERS = ("policy", "trust", "artifacts", "run")
_FILES = ("config.yaml", "registry.yaml", "plugins.lock.json", "state.db", "audit.log", "audit.lock", ".gitignore")
_DATABASE_SIDES = ("state.db-wal", "state.db-shm", "state.db-journal")
_XDG = (("CONFIG", ".config"), ("STATE", ".local/state"), ("DATA", ".local/share"))


class _Below:
    """An attribute that is a path below another one."""

    def __init__(self, name: str, folder: str = "root") -> None:
        self._name, self._folder = name, folder

    def __get__(self, places: object, owner: object = None) -> Path:
        return Path(getattr(places, self._folder), self._name)


@dataclass(frozen=True, slots=True)
class Places:
    """One workspace. `root` is the folder that holds `.cloned`, absolute and with links resolved."""

    root: Path

    home = _Below(FOLDER)
    config = _Below(f"{FOLDER}/config.yaml")  # a proposal, as are the next three
    registry = _Below(f"{FOLDER}/registry.yaml")
    lock = _Below(f"{FOLDER}/plugins.lock.json")
    policy = _Below(f"{FOLDER}/policy")  # the folder of overlays
    trust = _Below(f"{FOLDER}/trust")  # may only narrow what the user trusts
    database = _Below(f"{FOLDER}/state.db")
    audit_log = _Below(f"{FOLDER}/audit.log")
    audit_lock = _Below(f"{FOLDER}/audit.lock")
    artifacts = _Below(f"{FOLDER}/artifacts")
    run = _Below(f"{FOLDER}/run")  # locks and doorbells

    def prepare(self) -> None:
        """Make what is missing (0700, .gitignore), admit the rest. Raises WORKSPACE_READ_ONLY and what `admit` does."""
        self.admit()
        try:
            for folder in (self.home, *(self.home / name for name in _FOLDERS)):
                folder.mkdir(mode=0o700, exist_ok=True)
            if not (self.home / ".gitignore").exists():
                (self.home / ".gitignore").write_text(_SHARED)
        except OSError as error:
            raise Unavailable("WORKSPACE_READ_ONLY", f"cannot write in {self.root}: {error.strerror}") from error

    def admit(self) -> None:
        """Pass if every part of `.cloned` that is there is the user's own, no link and of its kind.

        Raises WORKSPACE_OWNER for a foreign owner, FILE_UNSAFE for a link, another kind of file, or one that others may
        write: a repository or an archive may hold any of these.
        """
        for folder in (self.home, *(self.home / name for name in _FOLDERS)):
            _admit(folder, stat.S_IFDIR)
        for name in (*_FILES, *_DATABASE_SIDES):
            _admit(self.home / name, stat.S_IFREG)


def _admit(path: Path, kind: int) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable("WORKSPACE_READ_ONLY", f"cannot look at {path}: {error.strerror}") from error
    if stat.S_IFMT(found.st_mode) != kind:
        raise TrustRefused("FILE_UNSAFE", f"{path} must be a plain {'folder' if kind == stat.S_IFDIR else 'file'}")
    if found.st_uid != os.geteuid():
        raise TrustRefused("WORKSPACE_OWNER", f"{path} belongs to user {found.st_uid}")
    if found.st_mode & 0o022:
        raise TrustRefused("FILE_UNSAFE", f"others may write {path}", repair=f"run 'chmod go-w {path}'")


def find_workspace(start: Path, explicit: Path | None, env: Mapping[str, str]) -> Places:
    """The explicit workspace, else $CLONED_WORKSPACE, else the nearest `.cloned` from `start` upwards.

    The search ends at HOME and at the first folder of another owner; without a HOME it looks at `start` alone.
    Raises WORKSPACE_MISSING, and what `Places.admit` refuses.
    """
    named = explicit or (Path(env["CLONED_WORKSPACE"]) if env.get("CLONED_WORKSPACE") else None)
    try:
        root = (start / named).resolve() if named else _search(start.resolve(), env)
    except (OSError, RuntimeError) as error:  # a place that may not be looked at, links that lead in a circle
        raise UserMistake("WORKSPACE_MISSING", f"cannot look for {FOLDER} in {named or start}: {error}") from error
    if root is None or not os.path.lexists(root / FOLDER):
        raise UserMistake("WORKSPACE_MISSING", f"there is no {FOLDER} in {root or f'{start} or above'}")
    places = Places(root)
    places.admit()
    return places


def _search(start: Path, env: Mapping[str, str]) -> Path | None:
    home = Path(env["HOME"]).resolve() if env.get("HOME") else start
    for folder in (start, *start.parents):
        above_home = folder != home and home.is_relative_to(folder)
        if above_home or folder.stat().st_uid != os.geteuid():
            return None
        if os.path.lexists(folder / FOLDER):
            return folder
    return None


@dataclass(frozen=True, slots=True)
class UserPlaces:
    """The user's own folders, outside every workspace: whom they trust, what they accepted, the store of plugins."""

    config: Path
    state: Path
    data: Path

    publishers = _Below("publishers", "config")  # the folder of trusted publishers, `<id>.json` each
    revocations = _Below("revocations.json", "config")
    store = _Below("store", "data")  # verified plugins

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "UserPlaces":
        """By the XDG base directory specification (it says to ignore relative values). Makes no folder.

        Raises USAGE without the HOME it needs, STORE_MODE when another user owns one of the folders or may write it.
        """
        places = cls(*(_xdg(env, kind, default) / "cloned" for kind, default in _XDG))
        for folder in (places.config, places.publishers, places.revocations, places.state, places.data, places.store):
            _refuse_shared(folder)
        return places

    def workspace_state(self, root: Path, workspace_id: str) -> Path:
        """The folder of what was accepted for one workspace: another place or another id is another workspace."""
        named = os.fsencode(root.resolve()) + b"\0" + workspace_id.encode()
        return self.state / "workspaces" / hashlib.sha256(named).hexdigest()[:32]


def _xdg(env: Mapping[str, str], kind: str, default: str) -> Path:
    if (chosen := Path(env.get(f"XDG_{kind}_HOME", ""))).is_absolute():
        return chosen
    if not (home := Path(env.get("HOME", ""))).is_absolute():
        raise UserMistake("USAGE", "the environment names no HOME", repair=f"set HOME or XDG_{kind}_HOME")
    return home / default


def private_folder(path: Path) -> Path:
    """Make a folder of the user's own (0700) where it is missing. Raises STORE_MODE, WORKSPACE_READ_ONLY."""
    try:
        for folder in (*reversed(path.parents), path):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable("WORKSPACE_READ_ONLY", f"cannot make {path}: {error.strerror}") from error
    _refuse_shared(path)
    return path


def _refuse_shared(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        fact = f"{path} belongs to another user or can be written by one"
        raise TrustRefused("STORE_MODE", fact, repair=f"run 'chmod 700 {path}'")
