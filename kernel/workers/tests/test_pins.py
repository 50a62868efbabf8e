"""A pin is the same whether it was taken from the manifest's model, from its JSON or from what a worker says."""

import msgspec

from cloned_schemas.tool import Tool
from cloned_sdk.wire import WireTool, tool_digest, tool_of

TOOL = {
    "id": "acme.probe.run@v1",
    "version": "1.0.0",
    "summary": "Runs code",
    "input_schema": {"type": "object", "properties": {"n": {"type": "number", "maximum": 1e3}}},
    "output_schema": {"type": "object"},
    "capability": "acme.probe",
    "risk_level": "low",
    "effect": "read",
}


def test_the_model_the_file_and_the_wire_agree() -> None:
    written = tool_of(msgspec.json.decode(msgspec.json.encode(TOOL)))
    modelled = tool_of(Tool.model_validate(TOOL).model_dump(mode="json"))
    told = msgspec.json.decode(msgspec.json.encode(written), type=WireTool)
    assert tool_digest(written) == tool_digest(modelled) == tool_digest(told)
