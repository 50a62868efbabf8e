"""`cloned.artifact.export@v1`: copy an artifact and its manifest into a folder outside the workspace.

Goes nowhere through a link, replaces no file, writes nothing into Cloned's own folders. Every path is walked component
by component on open descriptors, so a link put in between cannot lead it elsewhere. What it copies was compared with
the manifest's own hash before.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloned_sdk.host import JsonObject, Refused, ToolContext

TOOL_ID = "cloned.artifact.export@v1"
MANIFEST = "manifest.json"
MAX_BYTES = 64 * 1024 * 1024
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class _Artifact:
    name: str
    content: bytes
    manifest: bytes


def export(inputs: JsonObject, context: ToolContext) -> JsonObject:
    """Copy `artifact_id` into the absolute path `folder`, as NAME and NAME.manifest.json.

    Files that are there with the same bytes count as copied. Raises Refused ARTIFACT_UNKNOWN, ARTIFACT_CHANGED,
    FILE_UNSAFE for a folder it may not write to, FILE_EXISTS for another file of that name, FILE_UNWRITABLE where the
    system refuses.
    """
    artifact = _read_artifact(context.workspace, str(inputs["artifact_id"]))
    folder = str(inputs["folder"])
    wanted = [(artifact.name, artifact.content), (f"{artifact.name}.manifest.json", artifact.manifest)]
    with _opened_folder(folder, context.workspace) as target:
        present = [_is_there(target, name, data) for name, data in wanted]
        written = 0
        for (name, data), there in zip(wanted, present, strict=True):
            if not there:
                _write(target, name, data, sent=written > 0)
                written += 1
        os.fsync(target)
    return {
        "path": f"{folder.rstrip('/')}/{artifact.name}",
        "manifest_path": f"{folder.rstrip('/')}/{artifact.name}.manifest.json",
        "content_sha256": hashlib.sha256(artifact.content).hexdigest(),
        "manifest_sha256": hashlib.sha256(artifact.manifest).hexdigest(),
        "already_there": written == 0,
    }


def _read_artifact(workspace: Path, artifact_id: str) -> _Artifact:
    if _ID.fullmatch(artifact_id) is None:
        raise Refused("ARTIFACT_UNKNOWN", f"{artifact_id[:80]!r} is not an artifact's id")
    with contextlib.ExitStack() as stack:
        try:
            here = _keep(stack, os.open(workspace, _DIRECTORY))
            for part in (".cloned", "artifacts", artifact_id):
                here = _keep(stack, os.open(part, _DIRECTORY, dir_fd=here))
            manifest = _read(here, MANIFEST)
            name, sha256 = _content_of(manifest, artifact_id)
            content = _read(here, name)
        except FileNotFoundError as error:
            raise Refused("ARTIFACT_UNKNOWN", f"there is no artifact {artifact_id} in this workspace") from error
        except OSError as error:
            fact = f"artifact {artifact_id} cannot be read as plain files: {error.strerror}"
            raise Refused("ARTIFACT_CHANGED", fact) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refused("ARTIFACT_CHANGED", f"the content of artifact {artifact_id} is not what its manifest says")
    return _Artifact(name, content, manifest)


def _content_of(manifest: bytes, artifact_id: str) -> tuple[str, str]:
    """The name and SHA-256 of the one content file that the manifest names."""
    try:
        [(name, sha256)] = json.loads(manifest)["content_hashes"].items()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(
            "ARTIFACT_MANIFEST", f"the manifest of artifact {artifact_id} does not name its content"
        ) from error
    if not _plain_name(name) or not isinstance(sha256, str):
        raise Refused("ARTIFACT_MANIFEST", f"the manifest of artifact {artifact_id} names a file outside of itself")
    return name, sha256


def _plain_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(os.fsencode(name)) <= 200  # noqa: PLR2004 - 255 with room for the manifest's suffix
        and name.isprintable()
        and "/" not in name
        and not name.startswith(".")
    )


def _keep(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, "too large")
    return data


@contextlib.contextmanager
def _opened_folder(folder: str, workspace: Path) -> Iterator[int]:
    """The folder's descriptor; it is made where it is missing. Raises Refused FILE_UNSAFE, FILE_UNWRITABLE."""
    own = [workspace, workspace / ".cloned", *own_folders(os.environ)]
    parts = _parts(folder, own)
    forbidden = _identities(own)
    with contextlib.ExitStack() as stack:
        here = _keep(stack, os.open("/", _DIRECTORY))
        for part in parts:
            here = _keep(stack, _enter(here, part, folder))
            told = os.fstat(here)
            if (told.st_dev, told.st_ino) in forbidden:
                raise Refused("FILE_UNSAFE", f"{folder} lies in the workspace or in Cloned's own folders")
        yield here


def _parts(folder: str, own: Sequence[Path]) -> list[str]:
    """The components of the path, refused by their names before anything is made."""
    parts = [part for part in folder.split("/") if part]
    plain = folder.startswith("/") and folder.isprintable() and not any(part in (".", "..") for part in parts)
    if not plain or not parts:
        raise Refused("FILE_UNSAFE", f"{folder[:200]!r} is not a plain absolute path to a folder")
    inside = any(Path(folder).is_relative_to(place) for place in own)
    if inside or any(part.casefold() == ".cloned" for part in parts):
        raise Refused("FILE_UNSAFE", f"{folder} lies in a workspace or in Cloned's own folders")
    return parts


def own_folders(environment: Mapping[str, str]) -> list[Path]:
    """The user's folders that hold Cloned's configuration, state, store and cache (XDG base directories)."""
    home = Path(environment.get("HOME") or Path.home())
    defaults = {
        "XDG_CONFIG_HOME": ".config",
        "XDG_STATE_HOME": ".local/state",
        "XDG_DATA_HOME": ".local/share",
        "XDG_CACHE_HOME": ".cache",
    }
    return [Path(environment.get(name) or home / default) / "cloned" for name, default in defaults.items()]


def _identities(paths: Sequence[Path]) -> set[tuple[int, int]]:
    """Device and inode of each that exists: the same folder under any name."""
    found = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            told = path.stat()
            found.add((told.st_dev, told.st_ino))
    return found


def _enter(here: int, part: str, folder: str) -> int:
    try:
        try:
            return os.open(part, _DIRECTORY, dir_fd=here)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
            return os.open(part, _DIRECTORY, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(
                "FILE_UNSAFE",
                f"{folder} leads through {part}, which is a link or no folder",
                repair=f"give the real path, {Path(folder).resolve()}, if that is where it shall go",
            ) from error
        raise _by_system(folder, error, sent=False) from error


def _is_there(folder: int, name: str, data: bytes) -> bool:
    """Whether a file of that name and those bytes is there. Raises Refused where another thing is."""
    try:
        there = _read(folder, name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused("FILE_UNSAFE", f"{name} is there already and is no plain file") from error
    if there != data:
        raise Refused("FILE_EXISTS", f"another file {name} is there already", repair="choose another folder")
    return True


def _write(folder: int, name: str, data: bytes, *, sent: bool) -> None:
    """Make the file in one instant: written aside, synced, then linked to its name, which fails where one is there."""
    aside = f".cloned-export-{secrets.token_hex(8)}"
    try:
        descriptor = os.open(
            aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
        )
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.unlink(aside, dir_fd=folder)
    except FileExistsError as error:
        raise Refused("FILE_EXISTS", f"another file {name} is there already", details={"sent": sent}) from error
    except OSError as error:
        raise _by_system(name, error, sent=sent) from error


def _by_system(subject: str, error: OSError, *, sent: bool) -> Refused:
    return Refused("FILE_UNWRITABLE", f"{subject} cannot be written: {error.strerror}", details={"sent": sent})
