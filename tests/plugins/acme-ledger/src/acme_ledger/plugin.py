"""Effects that can be counted: lines in a file."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cloned_sdk
from cloned_sdk.host import Host, InProcessTool, JsonObject, Refused, ToolContext


def append(inputs: JsonObject, context: ToolContext) -> JsonObject:
    """One more line, durable."""
    if inputs["line"] == "refuse me":
        raise Refused("NO_SUCH_ID", "as was asked for")
    sys.audit("cloned.step", "effect.before")
    with Path(inputs["file"]).open("a") as file:
        file.write(inputs["line"] + "\n")
        file.flush()
        os.fsync(file.fileno())
    sys.audit("cloned.step", "effect.after")
    return {"lines": len(Path(inputs["file"]).read_text().splitlines())}


def ensure(inputs: JsonObject, context: ToolContext) -> JsonObject:
    """The line once, however often it is asked for."""
    place = Path(inputs["file"])
    if place.exists() and inputs["line"] in place.read_text().splitlines():
        return {"lines": len(place.read_text().splitlines())}
    return append(inputs, context)


class Plugin:
    """Three tools that differ in what they say of themselves."""

    @cloned_sdk.hookimpl
    def cloned_tools(self, host: Host) -> Sequence[InProcessTool]:
        del host
        return [
            InProcessTool("acme.ledger.append@v1", append),
            InProcessTool("acme.ledger.set@v1", ensure),
            InProcessTool("acme.ledger.offer@v1", append),
        ]


plugin = Plugin()
