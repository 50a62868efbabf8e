"""What an author may register."""

from typing import Any

import pytest

from cloned_sdk import Call, Server


def test_a_second_handler_of_a_tool_is_refused() -> None:
    server = Server("acme_weather")

    @server.tool("acme.weather.today@v1")
    def today(inputs: dict[str, object], call: Call) -> dict[str, object]:
        return inputs

    with pytest.raises(ValueError, match="has a handler already"):
        server.tool("acme.weather.today@v1")(today)


def test_a_coroutine_or_another_signature_is_refused() -> None:
    async def later(inputs: dict[str, object], call: Call) -> dict[str, object]:
        return inputs

    def lonely(inputs: dict[str, object]) -> dict[str, object]:
        return inputs

    handlers: list[Any] = [later, lonely]
    for handler in handlers:
        with pytest.raises(TypeError, match="plain function of"):
            Server("acme_weather").tool("acme.weather.today@v1")(handler)


def test_the_decorated_function_stays_itself() -> None:
    def today(inputs: dict[str, object], call: Call) -> dict[str, object]:
        return inputs

    assert Server("acme_weather").tool("acme.weather.today@v1")(today) is today
