"""Documents as passages, and the research tool as the worker runtime calls it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from cloned_research import worker
from cloned_sdk import Call

Passage = dict[str, Any]


@pytest.fixture
def passage() -> Callable[..., Passage]:
    """A passage as the documents connector gives it."""

    def made(text: str, path: str = "a.md", line: int = 1, heading: str = "", **more: Any) -> Passage:
        return {
            "source": "documents:documents", "folder": "documents", "path": path, "line_start": line, "text": text,
            "line_end": line + text.count("\n"), "kind": "prose", "heading": heading, "score": 1,
            "content_hash": sha256(text.encode()).hexdigest(), "retrieved_at": "2026-01-31T12:00:00Z", **more,
        }  # fmt: skip

    return made


@pytest.fixture
def ask() -> Callable[..., worker.Output]:
    """One call, its inputs decoded as in a worker."""

    def asked(question: str, *passages: Passage, **more: Any) -> worker.Output:
        inputs = msgspec.json.encode({"question": question, "passages": passages, **more})
        call = Call(tool_id="-", call_id="c-1", settings={}, granted={}, send=lambda _: None, token=None)
        return worker.synthesize(msgspec.json.decode(inputs, type=worker.Inputs), call)

    return asked
