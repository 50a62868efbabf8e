"""Read and write the files that people and this kernel keep. Refuses links, other kinds of file, and size."""

import contextlib
import difflib
import fcntl
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from cloned_schemas.errors import TrustRefused, Unavailable, UserMistake
from cloned_trust import strictjson, strictyaml
from cloned_trust.verdict import Refusal

MAX_BYTES = 1 << 20
UNFINISHED = ".unfinished"
_SHOWN_PROBLEMS = 20
_Model = TypeVar("_Model", bound=BaseModel)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a plain file of at most `limit` bytes.

    Raises FILE_UNSAFE for a link or another kind of file, FILE_TOO_LARGE before reading, FILE_UNREADABLE.
    """
    try:
        with open(path, "rb", opener=_open_plain) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise TrustRefused("FILE_UNSAFE", f"{path} is not a plain file")
            data = file.read(limit + 1) if found.st_size <= limit else b""
    except OSError as error:
        if path.is_symlink() or path.is_dir():
            raise TrustRefused("FILE_UNSAFE", f"{path} is a link or a folder, not a plain file") from error
        raise UserMistake("FILE_UNREADABLE", f"cannot read {path}: {error.strerror}") from error
    if max(found.st_size, len(data)) > limit:
        raise UserMistake("FILE_TOO_LARGE", f"{path} has {found.st_size} bytes; at most {limit} are read")
    return data


def _open_plain(path: str, flags: int) -> int:
    # O_NONBLOCK: opening a FIFO must not wait for somebody to write to it.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)


def read_yaml(path: Path, model: type[_Model]) -> _Model:
    """A YAML file as its model. Raises FILE_*."""
    return validate(model, parse_yaml(read_bytes(path), str(path)), str(path))


def read_json(path: Path, model: type[_Model]) -> _Model:
    """A JSON file as its model. Raises FILE_*."""
    return validate(model, parse_json(read_bytes(path), str(path)), str(path))


def parse_json(data: bytes, what: str) -> Any:
    """The value of a strict JSON document; `what` names it. Raises FILE_SYNTAX, FILE_TOO_LARGE."""
    return _parsed(strictjson.loads, data, what)


def parse_yaml(data: bytes, what: str) -> Any:
    """The value of a strict YAML document; `what` names it. Raises FILE_SYNTAX with the line, FILE_TOO_LARGE."""
    return _parsed(strictyaml.loads, data, what)


def _parsed(loads: Callable[..., Any], data: bytes, what: str) -> Any:
    try:
        return loads(data, what=what)
    except Refusal as refusal:
        found = refusal.finding
        large = found.error_id in {"FILE_TOO_LARGE", "JSON_SIZE"}
        raise UserMistake("FILE_TOO_LARGE" if large else "FILE_SYNTAX", f"{what}: {found.detail}") from refusal


def validate(model: type[_Model], data: Any, what: str) -> _Model:
    """`data` as a model. Raises FILE_INVALID with the fields that do not fit and, for unknown ones, the likely name."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_PROBLEMS]
        problems = [_problem(model, problem["loc"], problem["type"], problem["msg"]) for problem in found]
        fact = f"{what}: {problems[0]}" + (f" (and {len(problems) - 1} more)" if problems[1:] else "")
        raise UserMistake("FILE_INVALID", fact, details={"problems": problems}) from error


def _problem(model: type[BaseModel], loc: tuple[int | str, ...], kind: str, message: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "the document"
    if kind != "extra_forbidden":
        return printable(f"{path}: {message}")
    close = difflib.get_close_matches(str(loc[-1])[:80], _fields(model, loc[:-1]), 1)
    return printable(f"{path[:200]}: there is no such field" + (f"; did you mean {close[0]!r}?" if close else ""))


def _fields(annotation: Any, loc: tuple[int | str, ...]) -> list[str]:
    """The fields of the model that stands at `loc`; list items and mapping values add nothing to an annotation."""
    models = [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    if not models:
        return [name for argument in get_args(annotation) for name in _fields(argument, loc)]
    fields = models[0].model_fields
    inner = [(place, fields[str(part)]) for place, part in enumerate(loc) if str(part) in fields]
    return _fields(inner[0][1].annotation, loc[inner[0][0] + 1 :]) if inner else list(fields)


def printable(text: str) -> str:
    """`text` with each character that a terminal could act on, or a reader not see, written as its code."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file by `data`, durable when this returns; nobody ever sees half of it. Raises WORKSPACE_READ_ONLY."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise Unavailable("WORKSPACE_READ_ONLY", f"cannot write {path}: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait for a lock on a file and hold it for the block: alone, or with other readers. Raises WORKSPACE_READ_ONLY.

    It is the kernel's flock: it ends with the process, and holds between threads as between processes.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable("WORKSPACE_READ_ONLY", f"cannot lock {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def dump_yaml(data: Any, like: bytes | None = None) -> bytes:
    """YAML that `parse_yaml` reads back as `data`, in the shape and with the comments of `like` where that is given.

    Items of a list are matched by their `id`. Raises FILE_SYNTAX where `like` is refused or cannot keep its form.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - as above

    yaml = YAML(typ="rt", pure=True)
    yaml.width, yaml.allow_unicode = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    shaped = data
    if like is not None and parse_yaml(like, "the file as it was") is not None:
        shaped = _reshape(yaml.load(like), data)
    out = io.BytesIO()
    yaml.dump(shaped, out)
    if parse_yaml(out.getvalue(), "the file as it would be") != data:
        raise UserMistake("FILE_SYNTAX", "the file cannot be rewritten in its present form", repair="change it by hand")
    return out.getvalue()


def _reshape(old: Any, new: Any) -> Any:
    """`new`, as changes made to the commented `old` where both are of the same kind."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [key for key in old if key not in new]:
            del old[key]
        for key, value in new.items():
            old[key] = _reshape(old[key], value) if key in old else value
        return old
    if isinstance(old, list) and isinstance(new, list):
        by_id = {item["id"]: item for item in old if isinstance(item, dict) and "id" in item}
        old[:] = [_reshape(by_id.get(item.get("id")), item) if isinstance(item, dict) else item for item in new]
        return old
    return old if old == new and type(old) is type(new) else new
