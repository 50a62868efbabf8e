"""Judge the JSON Schemas in a manifest as data. Refuses references that leave the document; compiles nothing."""

from collections.abc import Iterator

from cloned_schemas.manifest import Manifest
from cloned_schemas.model import JsonObject
from cloned_trust.verdict import Finding

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


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
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
