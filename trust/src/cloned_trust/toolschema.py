"""Judge the JSON Schemas in a manifest as data; compiles nothing.

Refuses references that leave the document, and patterns whose matching could take exponential time: they are applied
to hostile text in the process that every call passes through.
"""

import re
from collections.abc import Iterator

from cloned_schemas.manifest import Manifest
from cloned_schemas.model import JsonObject
from cloned_trust.verdict import Finding

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MAX_PATTERN = 500
# A repeated group that repeats, or offers a choice, within itself: coarse, and on the safe side. `(ab)+` passes.
_REPEATED_GROUP = re.compile(r"\((?:[^()\\]|\\.)*(?:[+*]|\{\d*,\d*\}|\|)(?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,\d*\})")
_ESCAPED = re.compile(r"\\.|\[\^?\]?[^\]]*\]")


def refused_schemas(manifest: Manifest) -> Iterator[Finding]:
    """A TOOL_SCHEMA finding for each schema that would need another document, or that MCP cannot carry.

    MCP (2025-06-18, server/tools) wants `type: object` at the root of both of a tool's schemas.
    """
    for tool in manifest.tools:
        for name, schema in (("input_schema", tool.input_schema), ("output_schema", tool.output_schema)):
            where = f"{tool.id} {name}"
            if schema.get("type") != "object":
                yield Finding("TOOL_SCHEMA", where, "its root must have the type object")
            yield from _foreign(where, schema)
    if manifest.settings_schema is not None:
        yield from _foreign("settings_schema", manifest.settings_schema)


def _foreign(where: str, schema: JsonObject) -> Iterator[Finding]:
    """References and dialects that lie outside. A constant that looks like a reference is refused with them."""
    if schema.get("$schema", DIALECT) != DIALECT:
        yield Finding("TOOL_SCHEMA", where, f"it is written for another dialect than {DIALECT}")
    waiting: list[object] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            targets = [value[key] for key in _REFERENCES if isinstance(value.get(key), str)]
            if any(not target.startswith("#") for target in targets):
                yield Finding("TOOL_SCHEMA", where, "it refers to another document")
            patterns = [value.get("pattern"), *_names(value.get("patternProperties"))]
            if any(isinstance(pattern, str) and _is_explosive(pattern) for pattern in patterns):
                yield Finding("TOOL_SCHEMA", where, "a pattern repeats a group that repeats within, or is too long")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _names(value: object) -> list[object]:
    return list(value) if isinstance(value, dict) else []


def _is_explosive(pattern: str) -> bool:
    """Whether a repeat could stand within a repeat. Escapes and classes are taken out first: they only match once."""
    bare = _ESCAPED.sub("x", pattern)
    nested = re.search(r"\([^()]*\([^)]*\)[^()]*\)(?:[+*]|\{\d*,\d*\})", bare)
    return len(pattern) > _MAX_PATTERN or _REPEATED_GROUP.search(bare) is not None or nested is not None
