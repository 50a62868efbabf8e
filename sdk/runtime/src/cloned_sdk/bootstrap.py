"""The first code that runs in a worker: shut every door that is still open, then import the plugin and serve it.

Owns the order of that. Refuses to go on where a step fails: a worker that is not confined must not run plugin code.
Started as `python -I -S -B -c <code> ORDER`; ORDER is the number of a file descriptor or the path of a file, and
holds a BootOrder.
"""

import ctypes
import os
import resource
import sys
from importlib import import_module
from typing import Any, BinaryIO

from msgspec.json import decode

from cloned_sdk.plugin_finder import PluginFinder
from cloned_sdk.serve import Service
from cloned_sdk.tools import Server
from cloned_sdk.wire import BootOrder, Ceilings

# <linux/prctl.h>, <linux/seccomp.h>, <malloc.h>
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_M_ARENA_MAX = -8
_SOCK_FILTER_SIZE = 8
_ARENAS = 2


class _Program(ctypes.Structure):
    """`struct sock_fprog` of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main() -> None:
    """Serve the plugin named by the boot order in `sys.argv[1]` until the host closes the pipe."""
    order = _order(sys.argv[1])
    sys.argv[:] = ["worker"]
    source, out = _private_pipes()
    if order.limits is not None:
        _limit(order.limits)
    if order.seccomp:
        _confine(order.seccomp)
    with open(order.manifest, "rb") as file:  # noqa: PTH123 - pathlib takes 10 ms of a 15 ms start
        manifest = file.read()
    tools = _server(order).bind(manifest)
    service = Service(tools, name=order.toplevel, settings=order.settings, granted=order.granted)
    service.run(source, out)
    os._exit(0)  # nobody is left to hear a handler that still runs


def _order(place: str) -> BootOrder:
    with open(int(place) if place.isdecimal() else place, "rb") as file:  # noqa: PTH123 - see main
        file.seek(0)  # the host wrote it through the same open file
        return decode(file.read(), type=BootOrder)


def _private_pipes() -> tuple[BinaryIO, int]:
    """The protocol's pipes on private descriptors; a plugin's print() goes to the log, its input() finds an end."""
    source, out = os.dup(0), os.dup(1)  # not inheritable
    os.dup2(2, 1)
    read, write = os.pipe()
    os.close(write)
    os.dup2(read, 0)
    os.close(read)
    return os.fdopen(source, "rb", buffering=65536), out


def _limit(ceilings: Ceilings) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, ceilings.address_space),
        (resource.RLIMIT_CPU, ceilings.cpu_seconds),
        (resource.RLIMIT_NOFILE, ceilings.open_files),
        (resource.RLIMIT_FSIZE, ceilings.file_size),
        (resource.RLIMIT_NPROC, ceilings.processes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # noqa: PLW2901 - one value, capped
        resource.setrlimit(kind, (value, value))


def _confine(program: bytes) -> None:
    """Load the second seccomp filter. One thread runs yet, and threads and children inherit it. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "mallopt"):
        # glibc reserves 64 MB of address space for each thread's arena, which the limit above would count.
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
    filters = _Program(len(program) // _SOCK_FILTER_SIZE, program)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1, ctypes.c_void_p())
    _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters))


def _prctl(libc: Any, option: int, value: int, pointer: Any) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed; the worker cannot be confined")


def _server(order: BootOrder) -> Server:
    sys.meta_path.insert(0, PluginFinder(order.tree, order.toplevel))
    kind, _, place = order.entry.partition(":")
    module, _, name = place.partition(":")
    if kind != "python" or module.partition(".")[0] != order.toplevel:
        raise ImportError(f"entry {order.entry!r} is not one of package {order.toplevel}")
    server = vars(import_module(module)).get(name)
    if not isinstance(server, Server):
        raise TypeError(f"{order.entry} is no cloned_sdk.Server")
    return server
