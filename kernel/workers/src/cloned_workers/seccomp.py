"""Assemble the two seccomp filters of a worker, as classic BPF (struct sock_filter[]), for x86_64 and aarch64.

The first is loaded by bubblewrap and denies sockets, namespaces, mounts, debugging and the kernel's side doors; the
second is loaded by the SDK's bootstrap and denies new programs and processes, which bubblewrap itself still needs.
Denied calls fail with EPERM, clone3 with ENOSYS (libc then uses clone, whose flags a filter can read); a foreign
architecture kills. Loads nothing itself. Numbers: <asm/unistd_64.h>, <asm-generic/unistd.h>; layout: seccomp(2).
"""

import struct
from collections.abc import Mapping
from errno import ENOSYS, EPERM

_LD_WORD, _AND = 0x20, 0x54  # BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K
_JEQ, _JGE, _JSET, _RET = 0x15, 0x35, 0x45, 0x06  # BPF_JMP|BPF_K|…, BPF_RET|BPF_K
_KILL, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24  # offsets in struct seccomp_data; low words, both machines being little-endian
_X32_BIT = 0x4000_0000
_CLONE_THREAD = 0x0001_0000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; NEWTIME exists for clone3 and unshare alone
_CLONE_NEW = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
_AF_UNIX, _SOCK_STREAM, _SOCK_FLAGS = 1, 1, 0o2004000  # SOCK_CLOEXEC | SOCK_NONBLOCK

_ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}  # AUDIT_ARCH_*

_Table = Mapping[str, Mapping[str, int]]


def _table(text: str) -> _Table:
    """System call to its number a machine, from `group: name x86_64 aarch64, …` lines; `-` where it does not exist."""
    rows = [row.split() for line in text.strip().splitlines() for row in line.partition(":")[2].split(",")]
    return {row[0]: {arch: int(no) for arch, no in zip(_ARCHES, row[1:], strict=True) if no != "-"} for row in rows}


FIRST = _table("""
network: socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242
processes: ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440
processes: kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438
namespaces: unshare 272 97, setns 308 268, mount 165 40, umount2 166 39, chroot 161 51, pivot_root 155 41
namespaces: open_tree 428 428, move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432
namespaces: fspick 433 433, mount_setattr 442 442, open_by_handle_at 304 265, name_to_handle_at 303 264
around the filter: io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, personality 135 92
around the filter: bpf 321 280, userfaultfd 323 282, perf_event_open 298 241, modify_ldt 154 -, uselib 134 -
around the filter: memfd_create 319 279, memfd_secret 447 447, fanotify_init 300 262, lookup_dcookie 212 18
keys: keyctl 250 219, add_key 248 217, request_key 249 218
memory that no limit counts: shmget 29 194, shmat 30 196, semget 64 190, msgget 68 186, mq_open 240 180
memory of others: move_pages 279 239, migrate_pages 256 238
kernel: kexec_load 246 104, kexec_file_load 320 294, init_module 175 105, finit_module 313 273, delete_module 176 106
kernel: create_module 174 -, query_module 178 -, get_kernel_syms 177 -, _sysctl 156 -, sysfs 139 -, ustat 136 -
machine: reboot 169 142, acct 163 89, swapon 167 224, swapoff 168 225, quotactl 179 60, quotactl_fd 443 443
machine: iopl 172 -, ioperm 173 -, vhangup 153 58, syslog 103 116, nfsservctl 180 42
machine: settimeofday 164 170, clock_settime 227 112, clock_adjtime 305 266, adjtimex 159 171
machine: sethostname 170 161, setdomainname 171 162
""")
"""Denied from the interpreter's first instruction on."""

SECOND = _table("programs and processes: execve 59 221, execveat 322 281, fork 57 -, vfork 58 -")
"""Denied as well before any plugin code runs. `clone` then makes threads only: a worker is one process."""

_BY_ARGUMENT = _table("judged by argument: socketpair 53 199, clone 56 220, clone3 435 435")


def first_stage(machine: str) -> bytes:
    """The filter for `bwrap --seccomp`. Raises KeyError for a machine without a table."""
    rules = [*_denials(FIRST, machine), *_socketpair(machine), *_clone(machine, _CLONE_NEW, deny_where_set=True)]
    return _program(machine, [*rules, *_when(_BY_ARGUMENT["clone3"][machine], [_errno(ENOSYS)])])


def second_stage(machine: str) -> bytes:
    """The filter for the SDK's bootstrap. Raises KeyError for a machine without a table."""
    return _program(machine, [*_denials(SECOND, machine), *_clone(machine, _CLONE_THREAD, deny_where_set=False)])


def _program(machine: str, rules: list[bytes]) -> bytes:
    opening = [_op(_LD_WORD, _ARCH), _op(_JEQ, _ARCHES[machine], 1, 0), _op(_RET, _KILL), _op(_LD_WORD, _NR)]
    if machine == "x86_64":
        opening += [_op(_JGE, _X32_BIT, 0, 1), _op(_RET, _KILL)]
    return b"".join([*opening, *rules, _op(_RET, _ALLOW)])


def _denials(table: _Table, machine: str) -> list[bytes]:
    denied = [numbers[machine] for numbers in table.values() if machine in numbers]
    return [op for number in denied for op in _when(number, [_errno(EPERM)])]


def _socketpair(machine: str) -> list[bytes]:
    """Only AF_UNIX stream pairs, which reach nobody else and without which asyncio cannot start."""
    checks = [
        *(_op(_LD_WORD, _ARG0), _op(_JEQ, _AF_UNIX, 1, 0), _errno(EPERM)),
        *(_op(_LD_WORD, _ARG1), _op(_AND, 0xFFFF_FFFF ^ _SOCK_FLAGS), _op(_JEQ, _SOCK_STREAM, 1, 0), _errno(EPERM)),
    ]
    return _when(_BY_ARGUMENT["socketpair"][machine], [*checks, _op(_RET, _ALLOW)])


def _clone(machine: str, flags: int, *, deny_where_set: bool) -> list[bytes]:
    deny, allow = _errno(EPERM), _op(_RET, _ALLOW)
    ends = [deny, allow] if deny_where_set else [allow, deny]
    return _when(_BY_ARGUMENT["clone"][machine], [_op(_LD_WORD, _ARG0), _op(_JSET, flags, 0, 1), *ends])


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """`body`, which must end in a return, for one system call; the next rule otherwise."""
    return [_op(_JEQ, number, 0, len(body)), *body]


def _errno(number: int) -> bytes:
    return _op(_RET, _ERRNO | number)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
