"""A worker built with our SDK, driven by the official MCP client: the SDK speaks MCP."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, ListToolsResult, TextContent

TOOL = "acme.weather.today@v1"


async def _visit(
    command: list[str], log: TextIO
) -> tuple[ListToolsResult, CallToolResult, CallToolResult, list[float]]:
    heard: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    parameters = StdioServerParameters(command=command[0], args=command[1:])
    async with (
        stdio_client(parameters, errlog=log) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        await session.send_ping()
        tools = await session.list_tools()
        good = await session.call_tool(TOOL, {"city": "Loud"}, progress_callback=on_progress)
        bad = await session.call_tool(TOOL, {"city": "Atlantis"})
    return tools, good, bad, heard


def test_the_official_client_greets_lists_and_calls(command: Callable[..., list[str]]) -> None:
    with Path(os.devnull).open("w") as log:
        tools, good, bad, heard = asyncio.run(_visit(command(), log))
    (tool,) = tools.tools
    assert tool.name == TOOL
    assert tool.annotations is not None
    assert tool.annotations.readOnlyHint
    assert good.structuredContent is not None
    assert good.structuredContent["text"].startswith("sun in Loud")
    assert heard == [1.0]
    assert bad.isError
    assert isinstance(bad.content[0], TextContent)
    assert bad.content[0].text == "it sank"
