"""Other processes to work beside, and a way to act at an exact step of a call in this one."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Desk, environment

Spawn = Callable[..., "Other"]
AtStep = Callable[[str, Callable[[], object]], None]
_AWAITED: dict[str, Callable[[], object]] = {}


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "cloned.step" and (action := _AWAITED.pop(str(arguments[0]), None)) is not None:
        action()


sys.addaudithook(_hook)  # one for the whole process: a hook cannot be taken away again


@pytest.fixture
def at_step() -> Iterator[AtStep]:
    """Do something when a step is announced for the next time, in the thread that announces it."""
    yield _AWAITED.__setitem__
    _AWAITED.clear()


@dataclass(frozen=True, slots=True)
class Other:
    """A process that has the workspace open and waits to begin."""

    process: "subprocess.Popen[str]"

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or "null")

    def say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> Any:
        """What it tells at its end."""
        told = self.hear()
        _, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        return told


@pytest.fixture
def spawn(probed: Desk, home: Path) -> Iterator[Spawn]:
    """Start processes that open the workspace, and wait until each has."""
    started: list[Other] = []

    def start(verb: str, *arguments: object) -> Other:
        command = [sys.executable, "-m", "tests.concurrency.driver", str(probed.root), verb, *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment(home), text=True, stdin=pipe, stdout=pipe, stderr=pipe)
        other = Other(process)
        started.append(other)
        assert other.hear() == "ready", other.process.communicate()[1]
        return other

    yield start
    for other in started:
        other.process.kill()
        other.process.communicate()
