"""What a run is given: text from a command line and a file become JSON that fits the pipeline's own input schema.

Reads one file, the one a person named; no message quotes what stands in it.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry

from cloned_sdk.host import JsonObject, Refused
from cloned_skills.yamltext import MAX_BYTES, parse

WHAT = "the input file"


def run_inputs(schema: JsonObject, given: Mapping[str, Any], file: str | None) -> JsonObject:
    """The inputs of a run: the file's, over them those named one by one, then the schema's top-level defaults.

    Raises Refused INPUT_INVALID with every fault and where it is, PIPELINE_INVALID where the schema itself is unusable.
    """
    validator = _validator(schema)
    properties = schema.get("properties", {})
    inputs = _from_file(file) if file else {}
    for name, value in given.items():
        key = name if name in properties else name.replace("-", "_")
        inputs[key] = _typed(value, properties.get(key, {}))
    for name, described in properties.items():
        if isinstance(described, dict) and "default" in described:
            inputs.setdefault(name, described["default"])
    faults = sorted(f"{_place(error.absolute_path)}: {_told(error)}" for error in validator.iter_errors(inputs))
    if faults:
        known = ", ".join(sorted(properties)) or "none"
        raise Refused(
            "INPUT_INVALID",
            f"{'; '.join(faults[:10])} (the pipeline's inputs: {known})",
            details={"faults": faults[:10]},
        )
    return inputs


def _validator(schema: JsonObject) -> Draft202012Validator:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Refused("PIPELINE_INVALID", f"the pipeline's input schema is not one: {error.message[:300]}") from error
    _refuse_remote(schema)
    # An empty registry: nothing is ever fetched to resolve a reference.
    return Draft202012Validator(schema, registry=Registry())


def _refuse_remote(node: Any) -> None:
    if isinstance(node, dict):
        for key, part in node.items():
            if key in ("$ref", "$dynamicRef") and not (isinstance(part, str) and part.startswith("#")):
                raise Refused("PIPELINE_INVALID", "the pipeline's input schema refers to something outside itself")
            _refuse_remote(part)
    elif isinstance(node, list):
        for part in node:
            _refuse_remote(part)


def _typed(value: Any, described: Any) -> Any:
    """What a text of the command line stands for, where the schema asks for another kind than text."""
    kind = described.get("type") if isinstance(described, dict) else None
    if kind == "array" and not isinstance(value, list):
        value = [value]
    if isinstance(value, list):
        return [_typed(part, described.get("items", {})) for part in value]
    if not isinstance(value, str) or kind in (None, "string"):
        return value
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    try:
        return int(value) if kind == "integer" else float(value) if kind == "number" else value
    except ValueError:
        return value  # the schema's own message is the better one


def _place(path: Any) -> str:
    return ".".join(map(str, path)) or "inputs"


def _told(error: Any) -> str:
    """The fault without the value, which may be private."""
    if error.validator in ("required", "additionalProperties", "dependentRequired"):
        return str(error.message)[:300]
    return f"does not fit {error.validator}: {str(error.validator_value)[:120]}"


def _from_file(name: str) -> JsonObject:
    data = _read(Path(name))
    value = parse(data, WHAT)
    if not isinstance(value, dict):
        raise Refused("FILE_INVALID", f"{WHAT} holds no object of inputs")
    return value


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("FILE_UNREADABLE", f"{WHAT} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("FILE_UNREADABLE", f"{WHAT} is not a regular file")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Refused("FILE_TOO_LARGE", f"{WHAT} has more than {MAX_BYTES} bytes")
    return data
