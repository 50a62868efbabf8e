"""Compare what a command printed with what a page shows of it.

`…` stands for anything (alone on a line: for any lines), runs of spaces are one, empty lines do not count. Ids,
digests, codes and times differ from run to run: an id of the page stands for the one that was printed in its place,
there and in every later command and output of the page.
"""

import re

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
HEX = r"[0-9a-f]{12,64}"
TIME = r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?"
CODE = r"Type \d{4} to agree: \d{4}"
TOKEN = re.compile(rf"(?P<time>{TIME})|(?P<code>{CODE})|(?P<id>{ID})|(?P<hex>\b{HEX}\b)|(?P<any> ?… ?)")


class Memory(dict[str, str]):
    """The real value that each id or digest of the page stands for."""

    def real(self, text: str) -> str:
        """A page's command with the ids that were really printed. A shortened id stands for the one it begins."""
        for shown, real in self.items():
            text = text.replace(shown, real)
        return text


def matches(expected: str, printed: str, memory: Memory) -> bool:
    """Whether the output is as shown; remembers what the page's ids stand for."""
    groups: dict[str, str] = {}
    pattern = "".join(_line(line, memory, groups) for line in _lines(expected))
    found = re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed)))
    if found is None:
        return False
    memory.update({token: found[group] for token, group in groups.items()})
    return True


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _line(line: str, memory: Memory, groups: dict[str, str]) -> str:
    if line == "…":
        return r"(?:[^\n]*\n)*?"
    parts, at = [], 0
    for token in TOKEN.finditer(line):
        parts += [re.escape(line[at : token.start()]), _token(token, memory, groups)]
        at = token.end()
    return "".join([*parts, re.escape(line[at:]), r"\n"])


def _token(token: re.Match[str], memory: Memory, groups: dict[str, str]) -> str:
    if token["any"]:
        return r"[^\n]*?"
    if token["time"] or token["code"]:
        return TIME if token["time"] else CODE
    text = token[0]
    if text in memory:
        return re.escape(memory[text])
    if text in groups:
        return f"(?P={groups[text]})"
    groups[text] = f"t{len(groups)}"
    return f"(?P<{groups[text]}>{ID if token['id'] else HEX})"
