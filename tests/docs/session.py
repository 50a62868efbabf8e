"""A reader's own account: a fresh HOME with a clone of the repository, and pages followed in it from top to bottom.

A page may start where another ends; the state there is kept aside and put back at the very same paths.
"""

import getpass
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.expectation import Memory, matches
from tests.docs.pages import Typed, Written, before, steps
from tests.docs.terminal import Shell

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
CLONED = ("plugins", "docs", "README.md", "CONTRIBUTING.md")
"""What the clone in the reader's home holds: what pages name, and no environment."""
HOME_SHOWN, USER_SHOWN = "/home/ada", "ada"


@dataclass(slots=True)
class Account:
    """`home` is the same path for every page; `kept` has its state, and what ids stood for, after each page."""

    home: Path
    aside: Path
    kept: dict[str, Memory] = field(default_factory=dict)

    def follow(self, page: str) -> int:
        """Do everything that a page shows. Returns how many commands that were; AssertionError where one differs."""
        text = (DOCS / page).read_text(encoding="utf-8")
        memory = self._start(before(text))
        done = self._carry_out(page, steps(text), memory)
        shutil.copytree(self.home, self.aside / page, symlinks=True)
        self.kept[page] = memory
        return done

    def _start(self, after: str | None) -> Memory:
        if after is not None and after not in self.kept:
            self.follow(after)
        if self.home.exists():
            clear(self.home)
        if after is not None:
            shutil.copytree(self.aside / after, self.home, symlinks=True)
            return Memory(self.kept[after])
        self.home.mkdir(mode=0o700, parents=True)
        for name in CLONED:
            place, source = self.home / "cloned" / name, REPOSITORY / name
            place.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, place)
        return Memory()

    def open_after(self, page: str) -> Shell:
        """A shell where a page ends, to go on from there by hand."""
        self._start(page)
        return Shell(self.home, self._environment())

    def shown(self, printed: str) -> str:
        """What was printed, with this reader's home and name as the pages show them."""
        return printed.replace(str(self.home), HOME_SHOWN).replace(f":{getpass.getuser()}", f":{USER_SHOWN}")

    def _carry_out(self, page: str, todo: list[Typed | Written], memory: Memory) -> int:
        shell = Shell(self.home, self._environment())
        try:
            for position, step in enumerate(todo):
                if isinstance(step, Written):
                    self._write(shell, step)
                else:
                    self._type(f"docs/{page}:{step.line}", shell, step, memory, may_fail=_asks(todo, position + 1))
        finally:
            shell.close()
        return sum(isinstance(step, Typed) for step in todo)

    def _type(self, place: str, shell: Shell, step: Typed, memory: Memory, *, may_fail: bool) -> None:
        code, printed = shell.type(memory.real(step.command).replace(HOME_SHOWN, str(self.home)))
        shown = self.shown(printed)
        told = f"{place}\n$ {step.command}\n{shown}"
        assert code == 0 or may_fail, f"{told}\nended with {code}"
        if step.expected is not None:
            assert matches(step.expected, shown, memory), f"{told}\nis not what the page shows:\n{step.expected}"

    def _write(self, shell: Shell, step: Written) -> None:
        folder = Path(shell.type("pwd")[1].strip())
        place = folder / step.path.replace("~", str(self.home))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(step.text.replace(HOME_SHOWN, str(self.home)), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        """As of a person who has activated the environment that the tests run in."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, "NO_COLOR": "1", "LANG": "C.UTF-8", "USER": USER_SHOWN}


def clear(folder: Path) -> None:
    """Remove a folder; the store's are read-only on purpose."""
    for found in [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]:
        found.chmod(0o700)
    shutil.rmtree(folder)


def _asks(todo: list[Typed | Written], at: int) -> bool:
    """Whether the page goes on by asking for the exit code, so that the command before it may fail."""
    following = todo[at] if at < len(todo) else None
    return isinstance(following, Typed) and following.command == "echo $?"
