"""What a release may hold and should not: invisible text, text that speaks to a model, names that pass for ours.

Heuristics for people to read. What must hold for safety is in the gates; a notice here never stands for a check there.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from cloned_schemas.manifest import Manifest
from cloned_schemas.tool import EgressTarget
from cloned_trust.verdict import Finding, Severity
from cloned_trust.wheelzip import Member

NAMESPACE = "cloned"
FIRST_PARTY = frozenset(
    f"{NAMESPACE}-{name}"
    for name in (
        *("agent", "api", "builder", "command-center", "context", "creator", "engine", "evidence", "learning"),
        *("legal", "llm", "mcp", "observability", "onboarding", "operator", "policy-packs", "research", "skills"),
        *("bridge", "runtime-resume-spawn", "runtime-tmux", "sandbox-container", "state", "supervisor"),
        *("connector-data", "connector-documents", "connector-github", "connector-mcp", "connector-web"),
        *("connector-youtube", "vault-azure", "vault-file", "vault-keyring"),
    )
)
MANY_HOSTS = 10

_SOURCES = (".py", ".pyi", ".json", ".yaml", ".yml", ".toml", ".j2", ".js")
_PROSE = (".md", ".txt", ".html", "/metadata")
# Format characters (bidirectional controls, joiners, tags …), private use; letters drawn as nothing; and
# variation selectors in a row, in which whole programs were hidden.
_INVISIBLE = frozenset({"Cf", "Co"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
_VARIATIONS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_TO_THE_MODEL = re.compile(
    r"""(ignore|disregard|forget)\s+(all\s+|any\s+|the\s+|your\s+)*(previous|prior|above|earlier|other)\b
      | \b(do\s+not|don't|never)\s+(tell|inform|mention|reveal|show)\b.{0,40}\b(user|person|human|operator)\b
      | \b(you\s+must|always)\s+(first\s+)?(call|use|invoke|run|read|send)\b
      | \bbefore\s+(using|calling)\s+(any|this|other)\b.{0,60}\b(call|read|send|use)\b
      | \b(system\s+prompt|as\s+an?\s+(ai|assistant|language\s+model))\b
      | <\s*/?\s*(system|important|instructions?|assistant)\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_LOOKALIKES = str.maketrans({"0": "o", "1": "l", "i": "l", "3": "e", "5": "s", "-": None})


def lint(manifest: Manifest, members: Sequence[Member]) -> Iterator[Finding]:
    """All lints over a manifest and the wheel's members.

    Findings: CHECK_INVISIBLE_TEXT and CHECK_CONFUSABLE_NAME refuse; CHECK_TOOL_TEXT, CHECK_DESCRIPTION,
    CHECK_EXAMPLES and CHECK_EGRESS_WIDE are notices.
    """
    yield from _invisible(manifest, members)
    yield from _confusable(manifest.id)
    yield from _tool_text(manifest)
    yield from _wide_egress(manifest)


def _invisible(manifest: Manifest, members: Sequence[Member]) -> Iterator[Finding]:
    """In the manifest's own text, however JSON escaped it, and in every text file; prose alone is only noticed."""
    for hidden in _hidden(json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False)):
        yield Finding("CHECK_INVISIBLE_TEXT", manifest.id, f"the manifest's text holds {_named(hidden)}")
    for member in members:
        name = member.path.lower()
        if name.endswith((*_SOURCES, *_PROSE)):
            text = member.data.decode("utf-8", errors="replace").removeprefix("\ufeff")
            for hidden in _hidden(text):
                detail = f"line {text[: text.index(hidden)].count(chr(10)) + 1} holds {_named(hidden)}"
                severity: Severity = "refuse" if name.endswith(_SOURCES) else "notice"
                yield Finding("CHECK_INVISIBLE_TEXT", member.path, detail, severity)


def _hidden(text: str) -> tuple[str, ...]:
    """The characters that a reader cannot see, sorted."""
    found = {char for char in set(text) if unicodedata.category(char) in _INVISIBLE or char in _BLANK_LETTERS}
    return tuple(sorted(found | {run[0] for run in _VARIATIONS.findall(text)}))


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'without a name')}"


def _confusable(plugin_id: str) -> Iterator[Finding]:
    label = plugin_id.partition("-")[0]
    if label == NAMESPACE:
        return
    skeleton = plugin_id.translate(_LOOKALIKES)
    alike = [name for name in sorted(FIRST_PARTY) if name.translate(_LOOKALIKES) == skeleton]
    if alike or _near(label.translate(_LOOKALIKES), NAMESPACE.translate(_LOOKALIKES)):
        target = alike[0] if alike else f"{NAMESPACE}-…"
        yield Finding("CHECK_CONFUSABLE_NAME", plugin_id, f"it can be taken for {target}")


def _near(one: str, other: str) -> bool:
    """Whether one edit (change, insertion, removal or swap of neighbours) or none leads from one text to the other."""
    if len(one) == len(other):
        differing = [place for place in range(len(one)) if one[place] != other[place]]
        return len(differing) <= 1 or (differing[1:] == [differing[0] + 1] and sorted(one) == sorted(other))
    long, short = (one, other) if len(one) > len(other) else (other, one)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


def _tool_text(manifest: Manifest) -> Iterator[Finding]:
    for tool in manifest.tools:
        texts = [tool.summary, tool.description, *_descriptions(tool.input_schema), *_descriptions(tool.output_schema)]
        for text in texts:
            found = _TO_THE_MODEL.search(text)
            if found:
                detail = f"its text speaks to the model that reads it: {found[0][:80]!r}"
                yield Finding("CHECK_TOOL_TEXT", tool.id, detail, "notice")
        if not tool.description:
            yield Finding("CHECK_DESCRIPTION", tool.id, "it has a summary and no description", "notice")
        if not tool.input_schema.get("examples"):
            yield Finding("CHECK_EXAMPLES", tool.id, "its input schema has no examples", "notice")


def _descriptions(schema: dict[str, Any]) -> Iterator[str]:
    """Every text in a schema that a model reads: values and keys alike."""
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend([*value, *value.values()])
        elif isinstance(value, list):
            waiting.extend(value)


def _wide_egress(manifest: Manifest) -> Iterator[Finding]:
    targets: list[EgressTarget] = [*manifest.egress, *(target for tool in manifest.tools for target in tool.egress)]
    hosts = {target.host for target in targets}
    for host in sorted(hosts):
        if host.startswith("*."):
            yield Finding("CHECK_EGRESS_WIDE", host, "it stands for every host of one label below it", "notice")
        elif re.fullmatch(r"[0-9.]+|\[?[0-9a-fA-F:]+\]?|localhost", host):
            yield Finding("CHECK_EGRESS_WIDE", host, "it is an address, not a name that a person can judge", "notice")
    if len(hosts) > MANY_HOSTS:
        yield Finding("CHECK_EGRESS_WIDE", manifest.id, f"it asks for {len(hosts)} hosts", "notice")
