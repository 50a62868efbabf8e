"""Write the table of error ids in docs/operators/exit-codes-and-errors.md from errors.json; a test compares the two.

Run it after a change of errors.json: `.venv/bin/python tools/error_page.py`.
"""

import re
from pathlib import Path

from cloned_schemas.errors import FAMILIES, registry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators" / "exit-codes-and-errors.md"
PART = re.compile(r"(?<=<!-- begin: errors -->\n).*?(?=<!-- end: errors -->)", re.DOTALL)
WORDS = {
    "user_mistake": "the command or a file must change",
    "approval_required": "a person must decide first",
    "policy_denied": "policy, a grant or a person said no",
    "trust_refused": "something is not what was signed or accepted",
    "unavailable": "something is missing or busy; try again",
    "plugin_fault": "a plugin failed; its author must look",
}


def rendered() -> str:
    """A section a family, by exit code, with its ids in order."""
    sections = []
    for family in sorted(FAMILIES, key=_exit_code):
        rows = [
            f"| `{spec.id}` | {spec.title} | {spec.repair} |" for spec in registry().values() if spec.family == family
        ]
        head = f"### {_exit_code(family)}: {WORDS[family]}\n\nFamily `{family}`."
        sections.append("\n".join([head, "", "| id | what it means | next step |", "|---|---|---|", *rows]))
    return "\n" + "\n\n".join(sections) + "\n\n"


def _exit_code(family: str) -> int:
    return next(spec.exit_code for spec in registry().values() if spec.family == family)


def main() -> None:
    """Replace what stands between the two marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(PART.sub(lambda _: rendered(), page), encoding="utf-8")


if __name__ == "__main__":
    main()
