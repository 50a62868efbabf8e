"""The filters as a kernel would run them: a small interpreter of classic BPF judges each system call."""

import struct
from errno import ENOSYS, EPERM

import pytest

from cloned_workers import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PLAIN = {"x86_64": {"read": 0, "openat": 257, "futex": 202}, "aarch64": {"read": 63, "openat": 56, "futex": 98}}
BY_ARGUMENT = {"x86_64": {"socketpair": 53, "clone": 56, "clone3": 435}}
BY_ARGUMENT["aarch64"] = {"socketpair": 199, "clone": 220, "clone3": 435}
MACHINES = sorted(ARCH)
PTHREAD_FLAGS = 0x3D0F00
FORK_FLAGS = 0x01200011


def judge(program: bytes, number: int, *arguments: int, arch: int) -> int:
    """What seccomp returns for one call; each instruction as in <linux/filter.h>."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(list(arguments) + [0] * 6)[:6])
    operations = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        code, yes, no, value = operations[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return int(value)
        else:
            met = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += yes if met else no


def denied(error: int) -> int:
    return 0x00050000 | error


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["first_stage", "second_stage"])
def program(request: pytest.FixtureRequest, machine: str) -> bytes:
    stages = {"first_stage": seccomp.first_stage, "second_stage": seccomp.second_stage}
    return stages[request.param](machine)


def test_ordinary_work_is_allowed(program: bytes, machine: str) -> None:
    answers = {name: judge(program, number, arch=ARCH[machine]) for name, number in PLAIN[machine].items()}
    assert answers == dict.fromkeys(PLAIN[machine], ALLOW)


def test_a_foreign_architecture_is_killed(program: bytes, machine: str) -> None:
    for foreign in (0x40000003, 0xC00000B7 if machine == "x86_64" else 0xC000003E, 0):
        assert judge(program, 1, arch=foreign) == KILL


def test_x32_calls_are_killed() -> None:
    for program in (seccomp.first_stage("x86_64"), seccomp.second_stage("x86_64")):
        assert judge(program, 0x40000000 | 41, arch=ARCH["x86_64"]) == KILL


def test_everything_in_the_tables_is_denied(machine: str) -> None:
    for table, program in (
        (seccomp.FIRST, seccomp.first_stage(machine)),
        (seccomp.SECOND, seccomp.second_stage(machine)),
    ):
        numbers = {name: calls[machine] for name, calls in table.items() if machine in calls}
        answers = {name: judge(program, number, arch=ARCH[machine]) for name, number in numbers.items()}
        assert answers == dict.fromkeys(numbers, denied(EPERM))
        assert len(set(numbers.values())) == len(numbers)


def test_programs_may_start_before_the_second_stage_alone(machine: str) -> None:
    execve = seccomp.SECOND["execve"][machine]
    assert judge(seccomp.first_stage(machine), execve, arch=ARCH[machine]) == ALLOW
    assert judge(seccomp.second_stage(machine), execve, arch=ARCH[machine]) == denied(EPERM)


@pytest.mark.parametrize(
    ("family", "kind", "allowed"),
    [(1, 1, True), (1, 0o2000001, True), (1, 0o2004001, True), (1, 2, False), (1, 5, False), (2, 1, False)],
)
def test_only_unix_stream_pairs_are_allowed(machine: str, family: int, kind: int, allowed: bool) -> None:
    program, number = seccomp.first_stage(machine), BY_ARGUMENT[machine]["socketpair"]
    assert judge(program, number, family, kind, arch=ARCH[machine]) == (ALLOW if allowed else denied(EPERM))


def test_clone_makes_no_namespace_and_later_nothing_but_threads(machine: str) -> None:
    first, second = seccomp.first_stage(machine), seccomp.second_stage(machine)
    number = BY_ARGUMENT[machine]["clone"]
    for bit in (17, 25, 26, 27, 28, 29, 30):  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
        assert judge(first, number, FORK_FLAGS | 1 << bit, arch=ARCH[machine]) == denied(EPERM)
    assert judge(first, number, FORK_FLAGS, arch=ARCH[machine]) == ALLOW
    assert judge(second, number, FORK_FLAGS, arch=ARCH[machine]) == denied(EPERM)
    assert judge(second, number, PTHREAD_FLAGS, arch=ARCH[machine]) == ALLOW


def test_clone3_seems_unknown(machine: str) -> None:
    number = BY_ARGUMENT[machine]["clone3"]
    assert judge(seccomp.first_stage(machine), number, arch=ARCH[machine]) == denied(ENOSYS)


def test_a_machine_without_a_table_is_an_error_not_an_empty_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.first_stage("riscv64")
