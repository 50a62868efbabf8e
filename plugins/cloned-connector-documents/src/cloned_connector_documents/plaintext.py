"""From a file's bytes to clean text whose lines are the file's lines.

Owns decoding and the removal of what a reader cannot see. Refuses binary content; never changes the number of lines.
"""

import re

from cloned_connector_documents.folders import Unreadable

_MOST_CONTROLS = 100
"""One control character in so many is taken for binary content."""

# Zero-width and bidirectional characters, soft hyphens, tags: text that a person cannot see but a model reads.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def decode(data: bytes) -> str:
    """UTF-8 text with one line feed between lines and nothing invisible in it. Raises Unreadable."""
    if b"\0" in data:
        raise Unreadable("binary content")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from error
    text = text.replace("\r\n", "\n")
    if len(_CONTROL.findall(text)) * _MOST_CONTROLS > len(text):
        raise Unreadable("binary content")
    return clean(text)


def clean(text: str) -> str:
    """The text without characters that nobody can see; the number of lines stays."""
    return _INVISIBLE.sub("", _CONTROL.sub(" ", text))


def blank_between(text: str, opening: str, closing: str, *, at_line_start: bool = False) -> str:
    """Replace every stretch from `opening` to `closing` (lower case, ASCII) by its line breaks.

    One without an end reaches to the end of the text; with `at_line_start` only where it begins a line. Linear in the
    text whatever it holds, which a regular expression with a lazy middle is not.
    """
    lowered = text if opening == "<!--" else _ascii_lower(text)
    kept: list[str] = []
    done = 0
    while (start := lowered.find(opening, done)) != -1:
        end = lowered.find(closing, start + len(opening))
        if end == -1:
            if at_line_start and text[text.rfind("\n", 0, start) + 1 : start].strip():
                break
            end = len(text)
        else:
            end += len(closing)
        kept += [text[done:start], " ", "\n" * text.count("\n", start, end)]
        done = end
    return "".join([*kept, text[done:]])


def _ascii_lower(text: str) -> str:
    # str.lower() may change the length of a text ("İ"); positions must stay.
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
