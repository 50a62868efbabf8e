"""Make docs/images/demo.svg from what the commands really print, on a terminal, where Getting started ends.

Run it after a change of what they print: `.venv/bin/python -m tools.picture`. Ids and times are those of the run.
"""

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.docs.session import Account
from tests.docs.terminal import Shell

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
WIDTH = 118
ASK = 'cloned run pipeline.research.report --topic "What may a worker do?" --export-to ~/reports --no-wait'
WORDS = "$HOME/.local/share/cloned/store/*/tree/cloned_research/words.py"
FLIP = f"chmod u+w {WORDS} && printf X | dd of=$(echo {WORDS}) conv=notrunc status=none && chmod u-w {WORDS}"
STYLES = {
    r"^\$ .*$": "bold",
    r"^error \w+:|\brefused\b": "bold red",
    r"^waiting \w+:|\bwaiting\b": "yellow",
    r"\bsuccess\b|\bdone\b": "green",
    r"^Type \d{4} to agree:": "bold cyan",
    r"^# .*$": "dim",
}
REQUEST = re.compile(r"approvals approve ([0-9a-f-]{36})")


def shots(account: Account) -> Iterator[str]:
    """The picture's text: a few commands with what they printed, or as much of it as says something."""
    shell = account.open_after("getting-started.md")
    try:
        shell.type("cd ~/desk")
        asked = account.shown(shell.type(ASK)[1])
        yield f"$ {ASK}\n{asked}"
        request = REQUEST.search(asked)
        if request is None:
            raise RuntimeError(f"the run did not stop for an approval:\n{asked}")
        yield _part(account, shell, f"cloned approvals approve {request[1]} --resume", until="export: success")
        yield _part(account, shell, "cloned audit verify")
        shell.type(FLIP)
        yield "# one byte of an installed plugin is changed\n" + _part(account, shell, "cloned plugin verify")
    finally:
        shell.close()


def _part(account: Account, shell: Shell, command: str, until: str | None = None) -> str:
    lines = account.shown(shell.type(command)[1]).splitlines()
    if until is not None:
        end = next(number for number, line in enumerate(lines) if until in line)
        lines = [*lines[: end + 1], "…"]
    return "\n".join([f"$ {command}", *lines])


def drawn(text: str) -> str:
    """The text as a picture of a terminal. No font is fetched: the viewer's own is used."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), legacy_windows=False)
    shown = Text("\n".join(f"{line[: WIDTH - 2]}…" if len(line) > WIDTH else line for line in text.splitlines()))
    for pattern, style in STYLES.items():
        shown.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    console.print(shown)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("<svg class", '<svg xml:space="preserve" class').replace(
        "    <!-- Generated with Rich https://www.textualize.io -->\n", ""
    )
    form = form.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    return console.export_svg(title="cloned", theme=MONOKAI, code_format=form, unique_id="demo")


def main() -> int:
    """Write the picture; 0 when it was written."""
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder) / "home", Path(folder) / "aside")
        text = "\n\n".join(part.strip("\n") for part in shots(account))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(text), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
