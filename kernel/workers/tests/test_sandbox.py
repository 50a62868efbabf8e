"""What a hostile plugin finds inside its worker: nothing but its tree, its grants and a scratch folder."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.errors import Unavailable
from cloned_workers import sandbox
from cloned_workers.pool import WorkerPool, WorkerSpec
from cloned_workers.sandbox import Limits

Plant = Callable[..., WorkerSpec]
Ask = Callable[..., Any]

SOCKETS = {
    "tcp": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "tcp6": "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "icmp": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "packet": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "unix": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "vsock": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "datagram pair": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "bind": "socket.socketpair()[0].bind(chr(0) + 'abstract')",
    "connect": "socket.socketpair()[0].connect('/tmp/s')",
    "listen": "socket.socketpair()[0].listen()",
    "accept": "socket.socketpair()[0].accept()",
}
CALLS = {
    "exec": "os.execv(sys.executable, ['python'])",
    "fork": "os.fork()",
    "subprocess": "subprocess.run([sys.executable, '-c', ''])",
    "posix_spawn": "os.posix_spawn(sys.executable, ['python'], {})",
    "memfd": "os.memfd_create('x')",
    "pidfd": "os.pidfd_open(1)",
    "chroot": "os.chroot('/tmp')",
    "hostname": "socket.sethostname('x')",
    "clock": "time.clock_settime(time.CLOCK_REALTIME, 1)",
}
NUMBERS = {"ptrace": 101, "unshare": 272, "setns": 308, "mount": 165, "bpf": 321, "keyctl": 250, "userfaultfd": 323}
NUMBERS |= {"perf_event_open": 298, "io_uring_setup": 425, "process_vm_readv": 310, "kexec_load": 246}
NUMBERS |= {"init_module": 175, "personality": 135, "shmget": 29, "open_by_handle_at": 304, "add_key": 248}


def attempt(code: str) -> str:
    return (
        "import os, socket, subprocess, sys, time\n"
        f"try:\n    value = repr({code})\nexcept OSError as error:\n    value = error.errno\n"
    )


def test_no_socket_of_any_family_can_be_made_or_used(plant: Plant, ask: Ask) -> None:
    spec = plant()
    assert {name: ask(spec, attempt(code)) for name, code in SOCKETS.items()} == dict.fromkeys(SOCKETS, errno.EPERM)


def test_a_stream_pair_stays_so_that_asyncio_starts(plant: Plant, ask: Ask) -> None:
    code = "import asyncio\nasync def one(): return 1\nvalue = asyncio.run(one())"
    assert ask(plant(), code) == 1


def test_no_program_process_or_privileged_call_gets_through(plant: Plant, ask: Ask) -> None:
    spec = plant()
    assert {name: ask(spec, attempt(code)) for name, code in CALLS.items()} == dict.fromkeys(CALLS, errno.EPERM)


@pytest.mark.parametrize("filtered", sorted(NUMBERS))
def test_denied_system_calls_answer_eperm(plant: Plant, pool: WorkerPool, filtered: str) -> None:
    if os.uname().machine != "x86_64":
        pytest.fail("give this test the numbers of this machine; seccomp.py has them")
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"libc.syscall({NUMBERS[filtered]}, 0, 0, 0, 0, 0, 0)\nvalue = ctypes.get_errno()"
    )
    answer = pool.call(plant(), "acme.probe.run@v1", {"code": code}, call_id="c", timeout=20)
    assert answer["value"] == errno.EPERM


def test_clone3_is_told_to_be_unknown_and_threads_still_start(plant: Plant, ask: Ask) -> None:
    code = (
        "import ctypes, threading\nlibc = ctypes.CDLL(None, use_errno=True)\nlibc.syscall(435, 0, 0)\n"
        "seen = []\nthread = threading.Thread(target=seen.append, args=(1,))\nthread.start()\nthread.join()\n"
        "value = [ctypes.get_errno(), seen]"
    )
    assert ask(plant(), code) == [errno.ENOSYS, [1]]


def test_only_the_scratch_folder_can_be_written(plant: Plant, ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    code = """
import os
def writable(place):
    try:
        with open(os.path.join(place, "new"), "w"): return True
    except OSError: return False
places = ["/", "/sdk", "/sdk/cloned_sdk", "/plugin", "/plugin/acme_probe", "/granted", "/granted/docs", "/usr", "/dev"]
places += [os.path.dirname(os.__file__), os.path.join(os.path.dirname(os.__file__), "site-packages")]
value = [place for place in [*places, "/tmp"] if writable(place)]
"""
    assert ask(plant(grants={"docs": folder}), code) == ["/tmp"]
    assert list(folder.iterdir()) == []


def test_the_host_is_not_to_be_seen(plant: Plant, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "hunter2")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    places = ["/etc/passwd", "/proc/1/environ", "/proc/self/status", "/home", "/root/.ssh", "/var", "/run", "/sys"]
    code = f"import os\nvalue = [[p for p in {[*places, str(secret)]!r} if os.path.exists(p)], dict(os.environ)]"
    seen, environment = ask(plant(), code)
    assert seen == []
    assert set(environment) <= {"PWD", "LC_CTYPE", "LD_LIBRARY_PATH"}


def test_the_machines_name_and_processes_are_hidden(plant: Plant, ask: Ask) -> None:
    name, pid = ask(plant(), "import os\nvalue = [os.uname().nodename, os.getpid()]")
    assert name == "worker"
    assert pid < 10
    assert socket.gethostname() != "worker"


def test_no_descriptor_of_the_host_is_inherited(plant: Plant, ask: Ask, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    descriptor = os.open(secret, os.O_RDONLY)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library takes it so
    code = """
import os, stat
value = []
for number in range(4096):
    try: mode = os.fstat(number).st_mode
    except OSError: continue
    value.append("pipe" if stat.S_ISFIFO(mode) else number)
"""
    try:
        assert set(ask(plant(), code)) == {"pipe"}
    finally:
        os.close(descriptor)


def test_a_granted_folder_is_read_and_a_link_out_of_it_dangles(plant: Plant, ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("hello")
    (tmp_path / "secret").write_text("hunter2")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to("../secret")
    code = """
folder = call.granted["docs"]
value = [(folder / "a.md").read_text(), (folder / "out").exists(), (folder / "up").exists(), str(folder)]
"""
    assert ask(plant(grants={"docs": folder}), code) == ["hello", False, False, "/granted/docs"]


def test_a_granted_folder_that_is_gone_or_swapped_for_a_link_is_named(
    plant: Plant, pool: WorkerPool, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "swapped").symlink_to("elsewhere")
    for name in ("gone", "swapped"):
        with pytest.raises(Unavailable, match=name) as caught:
            pool.call(plant(grants={"docs": tmp_path / name}), "acme.probe.run@v1", {}, call_id="c", timeout=5)
        assert (caught.value.id, caught.value.details["sent"]) == ("FOLDER_MISSING", False)


def test_third_party_packages_of_the_host_are_out_of_reach(plant: Plant, ask: Ask) -> None:
    code = """
import importlib, sys
value = []
for name in ("pluggy", "pydantic", "sqlalchemy", "pip", "cloned", "cloned_schemas"):
    try: importlib.import_module(name)
    except ImportError: continue
    value.append(name)
import os
packages = os.path.join(os.path.dirname(os.__file__), "site-packages")
value += os.listdir(packages) if os.path.isdir(packages) else []
"""
    assert ask(plant(), code) == []


def test_memory_files_threads_and_scratch_are_bounded(plant: Plant, ask: Ask) -> None:
    limits = Limits(address_space=600 * 1024**2, open_files=32, file_size=1024**2, scratch=4 * 1024**2)
    spec = plant(limits=limits)
    memory = "try:\n    x = bytearray(1024**3)\nexcept MemoryError:\n    value = 'MemoryError'"
    files = "import os\ntry:\n    while True: os.open('/dev/null', 0)\nexcept OSError as e: value = e.errno"
    large = "try:\n    open('/tmp/x', 'wb').write(bytes(2 * 1024**2))\nexcept OSError as e: value = e.errno"
    many = (
        "import os\ntry:\n    for n in range(9): open(f'/tmp/{n}', 'wb').write(bytes(900_000))\n"
        "except OSError as e: value = e.errno"
    )
    bomb = """
import threading
stop = threading.Event()
threads = 0
try:
    while threads < 100_000:
        threading.Thread(target=stop.wait, daemon=True).start()
        threads += 1
except (RuntimeError, MemoryError): pass
stop.set()
value = threads
"""
    assert ask(spec, memory) == "MemoryError"
    assert ask(spec, bomb) < 200
    assert ask(spec, large) == errno.EFBIG
    assert ask(spec, many) == errno.ENOSPC
    assert ask(spec, files) == errno.EMFILE


def test_limits_cannot_be_raised_again(plant: Plant, ask: Ask) -> None:
    code = """
import resource
value = []
for kind in ("AS", "CPU", "NOFILE", "FSIZE", "CORE"):
    number = getattr(resource, f"RLIMIT_{kind}")
    try: resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError): continue
    value.append(kind)
"""
    assert ask(plant(), code) == []


def test_this_machine_reports_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    report = sandbox.probe()
    assert report.level == "sandbox"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "root" in sandbox.probe().reasons[0]


def test_without_bubblewrap_nothing_is_started(plant: Plant, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_PROGRAM_PLACES", "/nowhere")
    with pytest.raises(Unavailable) as caught:
        pool.call(plant(), "acme.probe.run@v1", {}, call_id="c", timeout=5)
    assert (caught.value.id, caught.value.details) == ("SANDBOX_UNAVAILABLE", {"sent": False})
    assert caught.value.repair == "apt-get install bubblewrap"
    assert sandbox.probe().level == "unavailable"


def test_a_bubblewrap_that_cannot_isolate_is_told_apart_from_a_broken_plugin(
    plant: Plant, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(sandbox, "_PROGRAM_PLACES", str(tmp_path))
    with pytest.raises(Unavailable, match="No permissions") as caught:
        pool.call(plant(), "acme.probe.run@v1", {}, call_id="c", timeout=5)
    assert caught.value.id == "SANDBOX_UNAVAILABLE"
