"""Start a worker inside bubblewrap (trust.md section 8, level 2) and tell whether this machine can.

Owns the command line: what the worker sees of the file system, which descriptors it inherits, which limits hold.
Refuses to start anything where the sandbox is missing; there is no fallback. Knows nothing of protocol or pool.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

import cloned_sdk
from cloned_schemas.errors import error_for
from cloned_sdk.wire import BootOrder, Ceilings
from cloned_workers import seccomp

_PROGRAM_PLACES = "/usr/bin:/usr/local/bin:/bin:/run/current-system/sw/bin"  # PATH may be anybody's
_REPAIR = "apt-get install bubblewrap"
_PROBE_SECONDS = 20
_NAMESPACES = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--new-session"),
    *("--die-with-parent", "--hostname", "worker"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may use. Bytes, seconds of processor time over its life, counts.

    `scratch` caps the memory behind its only writable folder, `processes` its threads (the kernel does not count
    root's); a worker that reaches a limit fails by itself, and only by itself.
    """

    address_space: int = 2 * 1024**3
    cpu_seconds: int = 3600
    open_files: int = 256
    file_size: int = 256 * 1024**2
    scratch: int = 256 * 1024**2
    processes: int = 64

    @property
    def ceilings(self) -> Ceilings:
        """The part that the worker's bootstrap sets on itself."""
        return Ceilings(self.address_space, self.cpu_seconds, self.open_files, self.file_size, self.processes)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a worker sees of this machine: its verified tree, and folders by name; all read-only."""

    tree: Path
    grants: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """The level that workers get here. `reasons` say why not the full one, or what weakens it; `repair` mends it."""

    level: Literal["sandbox", "unavailable"]
    reasons: tuple[str, ...] = ()
    repair: str = ""


def probe() -> SandboxReport:
    """Start the interpreter in the real sandbox once and see. Takes some 20 ms; the caller may keep the answer."""
    program = _program()
    if program is None:
        missing = "bubblewrap (bwrap) is not installed" if sys.platform == "linux" else "workers need Linux"
        return SandboxReport("unavailable", (missing,), _REPAIR)
    try:
        filter_ = seccomp.first_stage(platform.machine())
    except KeyError:
        return SandboxReport("unavailable", (f"no system call filter for {platform.machine()}",), "use another machine")
    with _inherited(filter_) as descriptor:
        command = [*_enclosure(program, Cell(Path(cloned_sdk.__path__[0])), descriptor), *_python(), "-c", "pass"]
        try:
            ran = subprocess.run(
                command, env={}, pass_fds=[descriptor], capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            return SandboxReport("unavailable", (f"bubblewrap did not run: {problem}",), _REPAIR)
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip()[-500:]
        return SandboxReport("unavailable", (f"bubblewrap failed: {said}",), "allow unprivileged user namespaces")
    root = ("the host runs as root, and so do workers outside their sandbox; run it as an ordinary user",)
    return SandboxReport("sandbox", root if os.geteuid() == 0 else ())


def start(cell: Cell, order: BootOrder) -> "subprocess.Popen[bytes]":
    """Start a worker with pipes on its three standard streams.

    Call it on a thread that outlives the worker: the kernel ends the worker with the thread that started it
    (PR_SET_PDEATHSIG). Raises Unavailable SANDBOX_UNAVAILABLE, FOLDER_MISSING, OSError.
    """
    program = _program()
    if program is None or platform.machine() not in ("x86_64", "aarch64"):
        report = probe()
        raise error_for("SANDBOX_UNAVAILABLE", "; ".join(report.reasons), repair=report.repair, details={"sent": False})
    for name, place in cell.grants.items():
        if not place.is_dir() or str(place) != os.path.realpath(place):
            fact = f"the granted folder {name} ({place}) is not there, or a link stands in its place"
            raise error_for("FOLDER_MISSING", fact, details={"sent": False, "grant": name})
    order.seccomp = seccomp.second_stage(platform.machine())
    with ExitStack() as open_files:
        filter_ = open_files.enter_context(_inherited(seccomp.first_stage(platform.machine())))
        orders = open_files.enter_context(_inherited(msgspec.json.encode(order)))
        command = [*_enclosure(program, cell, filter_), *_python(), "-c", launch_code("/sdk"), str(orders)]
        return spawn(command, pass_fds=[filter_, orders])


def spawn(command: list[str], *, pass_fds: list[int]) -> "subprocess.Popen[bytes]":
    """Run a command as a worker is run: empty environment, no descriptor but these, a process group of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        *(command,), env={}, cwd="/", pass_fds=pass_fds, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )


def launch_code(*folders: str) -> str:
    """The code after `python -c` that starts the SDK's bootstrap; `folders` hold cloned_sdk and msgspec."""
    return f"import sys; sys.path += {list(folders)!r}; from cloned_sdk.bootstrap import main; main()"


def _enclosure(program: str, cell: Cell, filter_: int) -> list[str]:
    grants = [part for name, place in cell.grants.items() for part in _bind(place, f"/granted/{_safe(name)}")]
    return [
        *(program, *_NAMESPACES, *_interpreter()),
        *_bind(Path(cloned_sdk.__path__[0]), "/sdk/cloned_sdk"),
        *_bind(Path(msgspec.__path__[0]), "/sdk/msgspec"),
        *_bind(cell.tree, "/plugin"),
        *grants,
        *("--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom"),
        *("--size", str(cell.limits.scratch), "--tmpfs", "/tmp"),  # noqa: S108 - the worker's own
        *("--remount-ro", "/", "--chdir", "/tmp", "--seccomp", str(filter_), "--"),  # noqa: S108 - as above
    ]


def _safe(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"{name!r} cannot name a granted folder")
    return name


def _bind(place: Path, seen_as: str) -> tuple[str, str, str]:
    return ("--ro-bind", str(place), seen_as)


def _python() -> list[str]:
    return [_executable(), "-I", "-S", "-B", "-X", "utf8"]


@cache
def _executable() -> str:
    # The interpreter behind a virtual environment; CPython sets it everywhere, typeshed does not know it.
    return os.path.realpath(str(vars(sys)["_base_executable"]))


@cache
def _interpreter() -> tuple[str, ...]:
    """The host's interpreter, its standard library and the system's libraries; no third-party packages, no /etc."""
    standard = Path(os.__file__).parent
    parts = [*_system_libraries(), *_bind(Path(_executable()), _executable()), *_bind(standard, str(standard))]
    if (standard / "site-packages").is_dir():
        parts += ["--tmpfs", f"{standard}/site-packages", "--remount-ro", f"{standard}/site-packages"]
    shared = Path(_executable()).parents[1] / "lib" / str(sysconfig.get_config_var("INSTSONAME"))
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and shared.is_file():
        parts += [*_bind(shared, str(shared)), "--setenv", "LD_LIBRARY_PATH", str(shared.parent)]
    return tuple(parts)


def _system_libraries() -> Iterator[str]:
    multiarch = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
    general = Path(multiarch) if Path(multiarch).is_dir() else Path("/usr/lib")
    for folder in (general, Path("/usr/lib64")):
        if folder.is_dir():
            yield from _bind(folder, str(folder))
    for top in (Path("/lib"), Path("/lib64")):
        if top.is_symlink():
            yield from ("--symlink", str(top.readlink()), str(top))
        elif top.is_dir():
            yield from _bind(top, str(top))


def _program() -> str | None:
    return shutil.which("bwrap", path=_PROGRAM_PLACES) if sys.platform == "linux" else None


@contextmanager
def _inherited(data: bytes) -> Iterator[int]:
    """A descriptor of an anonymous file holding `data`; the child's copy is the child's to close."""
    descriptor = os.memfd_create("cloned", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
