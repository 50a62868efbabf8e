"""Read a documentation page as what a reader would do with it: commands to type, files to write, output to expect.

Owns the form of pages and nothing else; terminal.py types, expectation.py compares.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'\btitle="(?P<path>[^"]+)"')
AFTER = re.compile(r"^<!-- after: (?P<page>[^ ]+) -->$", re.MULTILINE)
SET_UP = re.compile(r"make [a-z]+( [A-Z]+=\S.*)?|git clone \S+( \S+)?|cd [\w.~/-]+|\. \.venv/bin/activate")
"""What a block of `sh` may hold: setting up, which every run of the tests has done already."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A command, the output that the page shows for it (None: nothing is said) and the line where it stands."""

    command: str
    expected: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Written:
    """A file that the reader writes, in the folder where they are."""

    path: str
    text: str
    line: int


def steps(page: str) -> list[Typed | Written]:
    """What a page makes a reader do, in order."""
    found: list[Typed | Written] = []
    for fence in FENCE.finditer(page):
        line = page.count("\n", 0, fence.start()) + 2
        info, body = fence["info"], fence["body"]
        if info.split(" ")[0] == "console":
            found += _typed(body, line)
        elif title := TITLE.search(info):
            found.append(Written(title["path"], body, line))
    return found


def _typed(body: str, line: int) -> list[Typed]:
    """`$ ` begins a command, which a backslash carries on; what follows is its output."""
    found: list[Typed] = []
    for block in re.split(r"^(?=\$ )", body, flags=re.MULTILINE):
        if not block.strip():
            continue
        lines = block.splitlines()
        assert lines[0].startswith("$ "), f"line {line}: a console block begins with a command, not {lines[0]!r}"
        words = [lines.pop(0).removeprefix("$ ")]
        while words[-1].endswith("\\"):
            words.append(lines.pop(0).removeprefix("> "))
        output = "\n".join(lines)
        found.append(Typed("\n".join(words), output if output.strip() else None, line))
        line += block.count("\n")
    return found


def before(page: str) -> str | None:
    """The page at whose end this one starts, by its path below docs/."""
    found = AFTER.search(page)
    return found["page"] if found else None


def shell_blocks(page: str) -> list[str]:
    """The lines of blocks that show commands without being run."""
    blocks = [fence["body"] for fence in FENCE.finditer(page) if fence["info"].split(" ")[0] in {"sh", "bash", "shell"}]
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


def titled(root: Path) -> list[Path]:
    """Every page that a reader may follow: the two at the top and all below docs/."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
