"""Tool schemas: judged and compiled once for each tool digest, applied to every input and output. Fetches nothing."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from cloned_schemas.errors import PluginFault, TrustRefused, UserMistake
from cloned_schemas.tool import Tool

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_compiled: "dict[tuple[str, str], Draft202012Validator]" = {}


def refuse_unusable(tool: Tool) -> None:
    """Raise TrustRefused TOOL_SCHEMA for a schema that is none. What else a schema may hold is trust's rule."""
    for schema, part in ((tool.input_schema, "input"), (tool.output_schema, "output")):
        _refuse(schema, f"the {part} schema of {tool.id}")


def _refuse(schema: Mapping[str, Any], what: str) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 60 ms that only who uses a schema pays
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - with it

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise TrustRefused("TOOL_SCHEMA", f"{what} is not a JSON Schema: {error.message}") from error


def compiled(digest: str, part: Literal["input", "output"], tool: Tool) -> "Draft202012Validator":
    """The validator of a tool's schema, made once for each tool digest. Raises TrustRefused TOOL_SCHEMA."""
    found = _compiled.get((digest, part))
    if found is None:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - as above
        from referencing import Registry  # noqa: PLC0415 - as above

        schema = tool.input_schema if part == "input" else tool.output_schema
        _refuse(schema, f"the {part} schema of {tool.id}")
        found = _compiled[digest, part] = Draft202012Validator(schema, registry=Registry())
    return found


def check_inputs(validator: "Draft202012Validator", inputs: object, tool_id: str) -> None:
    """Raise UserMistake INPUT_INVALID with the place of the first fault."""
    if (fault := _fault(validator, inputs)) is not None:
        raise UserMistake("INPUT_INVALID", f"inputs of {tool_id}: {fault}")


def check_output(validator: "Draft202012Validator", output: object, tool_id: str) -> None:
    """Raise PluginFault OUTPUT_INVALID with the place of the first fault."""
    if (fault := _fault(validator, output)) is not None:
        raise PluginFault("OUTPUT_INVALID", f"output of {tool_id}: {fault}")


def _fault(validator: "Draft202012Validator", value: object) -> str | None:
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - as above
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

    try:
        error = best_match(validator.iter_errors(value))
    except (Unresolvable, RecursionError) as trouble:
        return f"its schema cannot be applied ({type(trouble).__name__})"
    return None if error is None else _told(error)


def _told(error: "ValidationError") -> str:
    # The offending value itself may be a secret or a flood; its place and the rule that it breaks are enough.
    place = "/".join(str(part) for part in error.absolute_path) or "the whole"
    if error.validator in {"required", "additionalProperties", "dependentRequired", "unevaluatedProperties"}:
        return f"at {place}: {error.message[:200]}"
    return f"at {place}: must satisfy {error.validator} {json.dumps(error.validator_value)[:120]}"
