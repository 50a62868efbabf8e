"""The skills plugin as an open workspace loads it, with the test's own skill pack beside those of the plugins.

Nothing is replaced but where packs come from: the host that the plugin was lent is the kernel's, and so are the
monitor, the database, the audit and every tool.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloned.workspace import Workspace
from cloned_schemas.errors import ClonedError
from cloned_sdk.host import Operation, Refused, SkillPackSource

ACTOR = "person:ada"
PACK = (Path(__file__).parent / "pack.yaml").read_text()


@dataclass(slots=True)
class Asker:
    """Who asks for an operation, and what they were told meanwhile."""

    actor: str = ACTOR
    operator: Any = None
    heard: list[str] = field(default_factory=list)
    on_progress: Callable[[str], None] = lambda _text: None

    def progress(self, text: str) -> None:
        self.heard.append(text)
        self.on_progress(text)


@dataclass(slots=True)
class Bench:
    """Asks operations of the plugin."""

    workspace: Workspace
    pack: str = PACK
    asker: Asker = field(default_factory=Asker)

    def operations(self) -> dict[str, Operation]:
        operations = self.workspace.plugin_operations("cloned.skills.run")
        bound: Any = operations[0].handler
        handlers = bound.__self__
        source = SkillPackSource("acme-tests", "1.0.0", "acme.tests", self.pack.encode())
        host = replace(handlers.host, packs=lambda: [source])
        return {operation.id: operation for operation in type(handlers)(host).operations()}

    def lease(self, run_id: str) -> AbstractContextManager[bool]:
        """The plugin's own lease on a run, as a process that executes it holds it."""
        bound: Any = self.operations()["cloned.skills.run"].handler
        lease: AbstractContextManager[bool] = bound.__self__.host.lease(run_id)
        return lease

    def ask(self, operation_id: str, **inputs: Any) -> Any:
        operation = self.operations()[f"cloned.skills.{operation_id}"]
        return operation.handler(self.asker, operation.input(**inputs))

    def run(self, pipeline: str, **inputs: Any) -> Any:
        return self.ask("run", pipeline=f"pipeline.tests.{pipeline}", inputs=inputs)

    def refusal(self, call: Callable[[], Any]) -> Refused:
        """What a call is refused with."""
        try:
            answer = call()
        except Refused as refused:
            return refused
        raise AssertionError(f"was not refused: {answer}")

    def stopped(self, pipeline: str, **inputs: Any) -> Refused:
        return self.refusal(lambda: self.run(pipeline, **inputs))

    def show(self, run_id: str) -> Any:
        return self.ask("runs.show", id=run_id)

    def resume(self, run_id: str) -> Any:
        return self.ask("runs.resume", id=run_id)

    def approve(self, request_id: str) -> None:
        self.workspace.decide(request_id, ACTOR, "approve", "")

    def deny(self, request_id: str, reason: str) -> None:
        self.workspace.decide(request_id, ACTOR, "deny", reason)

    def artifacts(self) -> dict[str, bytes]:
        """The content of every artifact by its file's name; two of one name fail."""
        found: dict[str, bytes] = {}
        for folder in self.workspace.places.artifacts.iterdir():
            for path in folder.iterdir():
                if path.name != "manifest.json":
                    assert path.name not in found, f"{path.name} was saved twice"
                    found[path.name] = path.read_bytes()
        return found

    def audited(self, run_id: str, kind: str = "outcome") -> list[dict[str, Any]]:
        return [
            entry
            for _, entry in self.workspace.audit.entries()
            if entry.get("run_id") == run_id and entry["kind"] == kind
        ]


def kernel_refusal(call: Callable[[], Any]) -> ClonedError:
    """What the kernel itself refuses a call with."""
    try:
        answer = call()
    except ClonedError as error:
        return error
    raise AssertionError(f"was not refused: {answer}")
