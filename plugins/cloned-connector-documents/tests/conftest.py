"""A granted folder and calls to the connector's tools as the worker runtime makes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloned_connector_documents import worker
from cloned_sdk import Call

Ask = Callable[..., Any]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
def call(docs: Path) -> Call:
    return Call(
        tool_id="-", call_id="c-1", settings={}, granted={"documents": str(docs)}, send=lambda _: None, token=None
    )


@pytest.fixture
def search(call: Call) -> Ask:
    return lambda query, **more: worker.search(worker.SearchInputs(query, **more), call)


@pytest.fixture
def read(call: Call) -> Ask:
    return lambda path, **more: worker.read(worker.ReadInputs("documents", path, **more), call)


@pytest.fixture
def listed(call: Call) -> Ask:
    return lambda **more: worker.list_documents(worker.ListInputs(**more), call)
