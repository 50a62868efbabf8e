"""Take secrets out of whatever is written or shown. Owns the patterns; refuses to guess at names, addresses and paths.

What goes is replaced by `[REDACTED:<class>:<8 hex>]`; the digits tell equal values apart without telling them. Personal
data, headers and paths go where a tool's schema marks them: ordinary text holds too much that looks like them.
"""

import base64
import hashlib
import hmac
import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from cloned_schemas.tool import RedactionRule
from cloned_storage.files import locked, read_bytes, write_atomic
from cloned_storage.layout import private_folder

_SOME, _HIGH, _LONG = 2.5, 4.0, 20  # bits a character that a password and a random text have; characters of the latter
SHORTEST = 6  # bytes; a shorter value stands in too much ordinary text to be looked for

_compiled = cache(re.compile)  # when a text first needs the pattern: most processes need none, and all take 35 ms


def _formats(text: str) -> Iterator[tuple[str, str]]:
    """(the text that a token begins with, its pattern) of each line of token_formats.txt."""
    for prefix, rest in re.findall(r"^([^#\s]\S*) (.+)$", text, re.MULTILINE):
        start = re.escape(prefix)
        yield prefix, f"{start}(?<![A-Za-z0-9]{start}){rest}" if prefix[0].isalnum() else start + rest


_FORMATS = tuple(_formats(Path(__file__).with_name("token_formats.txt").read_text()))

_NAMES = ("password", "passwd", "passphrase", "passcode", "pass", "pwd", "secret", "token", "authorization", "auth",
          "credentials", "credential", "cookie", "signature", "sig", "key")  # fmt: skip
_KEYS = ("api", "access", "private", "account", "secret", "signing", "encryption", "shared")
_ASSIGNS = (
    r"\\?[\"']?\s{0,9}(?:=>|[:=])\s{0,9}(?:(?i:bearer|basic|token)\s{1,9})?\\?[\"']?"
    r"(?P<value>[^\s\"'`,;&<>(){}\[\]\\]{6,})"
)


def _assignments() -> Iterator[tuple[str, str]]:
    """A pattern for each name in each way of writing it; words that only end like it are other words."""
    for name in _NAMES:
        for written, not_before in ((name, "[a-z]"), (name.title(), "[A-Z]"), (name.upper(), "[A-Z]")):
            before = f"(?<!{not_before}{written})(?<!REDACTED:{written})"
            if name in {"sig", "signature"}:  # most signatures are public; those in addresses let somebody in
                before = f"(?:(?<=[?&]{written})|(?<=(?i:x-amz-){written}))"
            elif name == "key":
                before = (
                    "(?:" + "|".join(f"(?<=(?i:{kind}){mid}{written})" for kind in _KEYS for mid in ("", "[_-]")) + ")"
                )
            yield written, f"(?P<name>{written}{before}(?i:[_-]?id)?){_ASSIGNS}"


_ASSIGNED = tuple(_assignments())
_SCHEME = re.compile(r"(?i)\b(?P<name>bearer|basic)\s{1,9}(?P<value>[\w.~+/-]{8,}=*)")
_HEADER = re.compile(r"(?im)^(?P<name>(?:set-)?cookie|(?:proxy-)?authorization|x-api-key)\s*:\s*(?P<value>.{8,})$")
_URL = re.compile(r"://(?P<value>[^\s/@:\"'<>{}$]*:[^\s/@\"'<>{}$]+)(?=@)")
_KEY = re.compile(
    r"(?:.*[_-])?(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|authorization|auth|credentials?|cookie"
    rf"|(?:{'|'.join(_KEYS)})_?key(?:_id)?)"
)
# Tokens that are no secrets: a place in a listing, a count.
_COUNTER = re.compile(r"(?i).*(?:next|page|continuation|cursor|sync|max|min|total|num|input|output|prompt)[_-]?token")
_NO_SECRET = re.compile(r"vault:.*|[.~]?/[\w.-]+(?:/[\w.-]+)*|\w+://.*|.*(?:\$|\*\*|\.\.\.|%\().*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_PIECES = re.compile(r"[^\s\"'`<>,;]+")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED_CONTROLS = re.compile("\\\\u00|\\\\[bf]|[\x7f-\x9f]")
# One of these stands in every text that a pattern can match; a text without any is done after this look.
_WORDS = ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "sig", "bearer", "basic", "://")
_PREFIXES = tuple(prefix for prefix, _ in _FORMATS)


def _base64_forms(text: bytes) -> Iterator[str]:
    """The characters that base64 of anything around a text must hold, for its three alignments, in both alphabets."""
    for before in range(3):
        after = -(before + len(text)) % 3
        encoded = base64.b64encode(bytes(before) + text + bytes(after)).decode()
        core = encoded[(0, 2, 3)[before] : len(encoded) - (0, 2, 3)[after]]
        yield from (core, core.replace("+", "-").replace("/", "_"))


_BASE64_MARKS = tuple(
    {form for text in (b"ghp_", b"github_pat_", b"AKIA", b"xoxb-", b"-----BEGIN") for form in _base64_forms(text)}
)


def kept_salt(folder: Path) -> bytes:
    """32 random bytes kept in a folder of the user's state: without them nobody can guess what was redacted.

    People's decisions are sealed with them, too, so two processes that come first must end up with the same.
    """
    place = private_folder(folder) / "redaction.salt"
    if not place.exists():
        with locked(place.with_name("redaction.lock")):
            if not place.exists():
                write_atomic(place, secrets.token_bytes(32))
    return read_bytes(place, 64)


class Redactor:
    """Knows the workspace's salt and the values that must not be told. Safe to use from any thread.

    `known` are fingerprints as `remember` gives them: so a process recognises what another one's vault handed out,
    where it stands by itself between spaces or quotes, without being told it.
    """

    def __init__(self, salt: bytes, known: Iterable[str] = ()) -> None:
        self._salt = salt
        self._known = frozenset(known)
        self._lengths = frozenset(int(fingerprint.partition(":")[0]) for fingerprint in self._known)
        self._needles: dict[str, str] = {}

    def remember(self, secret: bytes) -> str:
        """Take out this value from now on, also within base64, URLs, JSON and hex. Answers with its fingerprint."""
        secret = secret.strip()
        if len(secret) >= SHORTEST:
            mark = self._mark("secret", secret)
            forms = {form: mark for form in _forms(secret) if len(form) >= SHORTEST}
            longest_first = sorted((self._needles | forms).items(), key=lambda item: -len(item[0]))
            self._needles = dict(longest_first)  # replaced as a whole: readers in other threads need no lock
        return self._fingerprint(secret)

    def text(self, text: str) -> str:
        """A text without secrets and without control characters other than tab, line feed and carriage return."""
        if self._is_plain(text, _CONTROLS):
            return text
        text = _CONTROLS.sub("", text)
        for needle, mark in self._needles.items():
            text = text.replace(needle, mark)
        text = _PIECES.sub(self._if_known, text) if self._known else text
        for prefix, pattern in _FORMATS:
            if prefix in text:
                text = _compiled(pattern).sub(lambda found: self._mark("token", found[0].encode()), text)
        if any(mark in text for mark in _BASE64_MARKS):
            text = _BASE64.sub(self._if_token_inside, text)
        text = _HEADER.sub(self._if_secret, text)
        for name, pattern in _ASSIGNED:
            if name in text:
                text = _compiled(pattern).sub(self._if_secret, text)
        return _URL.sub(self._if_secret, _SCHEME.sub(self._if_secret, text))

    def line(self, text: str, most: int = 1000) -> str:
        """The same as one line of at most `most` characters, for logs and headers."""
        return " ".join(self.text(text).split())[:most]

    def value(self, value: Any, rules: Sequence[RedactionRule] = ()) -> Any:
        """A JSON value without secrets: what `rules` point at goes whole, then keys and strings as `text` has them.

        A rule's first segment (inputs, outputs) names the value itself; `*` stands for every key or item.
        """
        for rule in rules:
            parts = [part.replace("~1", "/").replace("~0", "~") for part in rule.pointer.split("/")[1:]]
            value = self._without(value, parts, rule.redaction_class)
        try:
            plain = self._is_plain(msgspec.json.encode(value).decode(), _ESCAPED_CONTROLS)
        except UnicodeError:  # lone surrogates
            plain = False
        return value if plain else self._walked(value)

    def _is_plain(self, text: str, controls: re.Pattern[str]) -> bool:
        lowered = text.lower()
        ordinary = text.isascii() and "\\" not in text and text.isprintable()  # then no control can stand in it
        return not (
            any(word in lowered for word in _WORDS)
            or any(mark in text for mark in _PREFIXES)
            or any(mark in text for mark in _BASE64_MARKS)
            or any(needle in text for needle in self._needles)
            or (not ordinary and controls.search(text))
            or (self._known and _PIECES.sub(self._if_known, text) != text)
        )

    def _walked(self, value: Any, key: str = "") -> Any:
        match value:
            case str() if _secret_name(key) and _secret_here(key, value):
                return self._mark(_class_of(key), value.encode(errors="replace"))
            case str():
                return self.text(value)
            case list() | tuple():
                return [self._walked(item) for item in value]
            case dict():
                return {self.text(name): self._walked(item, name) for name, item in value.items()}
        return value

    def _without(self, value: Any, parts: list[str], redaction_class: str) -> Any:
        if not parts:
            told = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
            return self._mark(redaction_class, told.encode(errors="replace"))
        part, rest = parts[0], parts[1:]
        if isinstance(value, dict):
            return {k: self._without(v, rest, redaction_class) if part in ("*", k) else v for k, v in value.items()}
        if isinstance(value, list):
            return [
                self._without(v, rest, redaction_class) if part in ("*", str(i)) else v for i, v in enumerate(value)
            ]
        return value

    def _if_secret(self, found: re.Match[str]) -> str:
        name = found.groupdict().get("name") or ""
        if name:  # with what it is the end of, as in `next_page_token`
            name = re.findall(r"[\w-]+", found.string[max(0, found.start("name") - 20) : found.end("name")])[-1]
        if name and not _secret_here(name, found["value"]):
            return found[0]
        start, end = found.start("value") - found.start(), found.end("value") - found.start()
        return found[0][:start] + self._mark(_class_of(name), found["value"].encode(errors="replace")) + found[0][end:]

    def _if_token_inside(self, found: re.Match[str]) -> str:
        run = found[0].rstrip("=").replace("-", "+").replace("_", "/")
        if not any(mark in found[0] for mark in _BASE64_MARKS):
            return found[0]
        decoded = (base64.b64decode(run[start:][: (len(run) - start) // 4 * 4]).decode("latin-1") for start in range(4))
        inside = any(prefix in text and _compiled(form).search(text) for text in decoded for prefix, form in _FORMATS)
        return self._mark("token", found[0].encode()) if inside else found[0]

    def _if_known(self, found: re.Match[str]) -> str:
        piece = found[0].encode(errors="replace")
        known = len(piece) in self._lengths and self._fingerprint(piece) in self._known
        return self._mark("secret", piece) if known else found[0]

    def _mark(self, redaction_class: str, value: bytes) -> str:
        return f"[REDACTED:{redaction_class}:{self._digest(value)[:8]}]"

    def _fingerprint(self, secret: bytes) -> str:
        return f"{len(secret)}:{self._digest(secret)}"

    def _digest(self, value: bytes) -> str:
        return hmac.new(self._salt, value, hashlib.sha256).hexdigest()


def _forms(secret: bytes) -> Iterator[str]:
    """How a value may stand in a text, JSON within JSON included; a key of several lines, line by line."""
    yield from (secret.hex(), secret.hex().upper(), *_base64_forms(secret))
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    quoted = quote(text, safe="")
    yield from (quoted, re.sub("%..", lambda found: found[0].lower(), quoted))
    for part in (text, *(line for line in text.split("\n")[1:-1] if len(line) > 2 * SHORTEST)):
        ascii_only = any_text = part
        for _ in range(4):
            yield from (ascii_only, any_text)
            ascii_only, any_text = json.dumps(ascii_only)[1:-1], json.dumps(any_text, ensure_ascii=False)[1:-1]


def _secret_name(key: str) -> bool:
    return _KEY.fullmatch(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", key).lower()) is not None


def _class_of(name: str) -> str:
    lowered = name.lower()
    if "cookie" in lowered or "authorization" in lowered or lowered in {"bearer", "basic", "x-api-key"}:
        return "header"
    return "token" if lowered.endswith("token") else "secret"


def _secret_here(name: str, value: str) -> bool:
    """Whether a value beside a name is random enough to be one: prose, places, references and counters are not."""
    lowered = name.lower()
    if _NO_SECRET.fullmatch(value) or _COUNTER.fullmatch(name) or "[REDACTED:" in value:
        return False
    if lowered == "basic":
        return _is_basic(value)
    if "cookie" in lowered or "authorization" in lowered or lowered == "x-api-key":
        return any(_is_random(piece, 8) for piece in re.split(r"[\s;=,]+", value))
    weak = re.search("pass|pwd|secret|credential", lowered) is not None
    return not re.search(r"\s", value) and _is_random(value, SHORTEST if weak else 12)


def _is_basic(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _is_random(value: str, least: int) -> bool:
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    counts = Counter(value).values()
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts)  # Shannon's, in bits a character
    both_cases = value.lower() != value != value.upper()
    return (len(value) >= least and mixed and entropy >= _SOME) or (
        len(value) >= _LONG and both_cases and entropy >= _HIGH
    )
