"""From a sentence as it stands in a Markdown source to the same sentence in our report.

Owns both directions of markup: what is taken out of the source's, and what is escaped so that no source can write
anything but text into a report (no link, no HTML, no heading, no citation of its own).
"""

import re
from html import unescape

_CODE = re.compile(r"(?<![`\\])(`{1,3})(?!`)([^`]{1,400})(?<!`)\1(?!`)")
_TARGET = r"(?:\([^()\s]{0,600}(?:\s[^()]{0,300})?\)|\[[^\]\[]{0,200}\])"
# Whichever begins first wins: a link may hold code, and code may hold what looks like a link.
_SPAN = re.compile(rf"{_CODE.pattern}|!\[[^\]\[]{{0,300}}\]{_TARGET}|\[([^\]\[]{{1,300}})\]{_TARGET}")
# While the rest is worked on, each piece of code is one character that no text has a use for.
_FIRST_HOLDER = 0xE000
_HOLDERS = re.compile("[\ue000-\uf8ff]")
_NOTE = re.compile(r"\[\^[^\]\[]{1,60}\]|^\[[ xX]\]\s")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,2000})>")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
_STARS = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*]{1,400}?)(?<=[^\s*])\1(?![\w*])")
_LINES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])([^_]{1,400}?)(?<=[^\s_])\1(?!\w)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_CELL = re.compile(r"\s*(?<!\\)\|\s*")

_SPECIAL = re.compile(r"[\\`*\[\]<>]|~~|(?<!\w)_|_(?!\w)|&(?=#?\w{1,32};)")
# GitHub's dialect turns these into links; a report links nowhere.
_SELF_LINKING = re.compile(r"\b(https?|ftp|mailto)(:)|\b(www)(\.)", re.IGNORECASE)


def plain(raw: str) -> str:
    """A sentence without markup, as a reader of the rendered source sees it. Code keeps its backticks."""
    return " ".join(_plain(raw).split())


def _plain(raw: str) -> str:
    code: dict[str, str] = {}

    def hold(content: str) -> str:
        if not content.strip():
            return ""
        holder = chr(_FIRST_HOLDER + len(code))
        code[holder] = f"`{content.strip()}`"
        return holder

    def shown(match: "re.Match[str]") -> str:
        if match[2] is not None:
            return hold(match[2])
        return _CODE.sub(lambda inner: hold(inner[2]), match[3] or "")

    text = _without_markup(_SPAN.sub(shown, _HOLDERS.sub("", raw)))
    return _HOLDERS.sub(lambda held: code.get(held.group(), ""), text)


def row(raw: str) -> str:
    """A table's row as one line of text."""
    return " · ".join(cell for cell in _CELL.split(raw.strip()) if cell)


def without_code(text: str) -> str:
    """What `plain` gave, without its code spans: the words that make it a sentence."""
    return _CODE.sub(" ", text)


def escape(text: str) -> str:
    """What `plain` gave, as Markdown that shows exactly that and nothing else. Code spans stay code."""
    parts: list[str] = []
    done = 0
    for match in _CODE.finditer(text):
        parts += [_escaped(text[done : match.start()]), match.group()]
        done = match.end()
    return "".join([*parts, _escaped(text[done:])])


def _escaped(text: str) -> str:
    text = _SPECIAL.sub(lambda found: f"\\{found.group()}", text)
    return _SELF_LINKING.sub(lambda found: f"{found[1] or found[3]}\\{found[2] or found[4]}", text)


def _without_markup(text: str) -> str:
    text = _AUTOLINK.sub(r"\1", _NOTE.sub("", text))
    text = _TAG.sub("", text)
    for _ in range(2):  # bold around italic
        text = _LINES.sub(r"\2", _STARS.sub(r"\2", text))
    return unescape(_ESCAPED.sub(r"\1", text))
