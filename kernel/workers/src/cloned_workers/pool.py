"""Keep workers: start one where none is warm, share it, hold it to its pinned tools, stop it when idle or stuck.

Owns how many workers live and for how long, and the quarantine of plugins whose worker contradicted its manifest.
Judges no call; asks for re-verification (`before_spawn`) but does not verify.
"""

import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Self

import msgspec

from cloned_schemas.errors import ClonedError, error_for
from cloned_sdk.wire import BootOrder, JsonObject, tool_digest
from cloned_workers import sandbox
from cloned_workers.rpc import Worker
from cloned_workers.sandbox import Cell, Limits

Starter = Callable[[Cell, BootOrder], "subprocess.Popen[bytes]"]
_JOIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Which worker: a verified tree, the entry in it, and what a person granted. Workers are shared by equal `key`.

    `manifest` is the manifest's path inside `tree`, `tools` maps each tool id of it to its `wire.tool_digest`.
    `before_spawn` verifies the tree again right before a start, and raises to refuse it.
    """

    plugin_id: str
    entry: str
    toplevel: str
    tree: Path
    manifest: str
    tools: Mapping[str, str]
    grants: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    before_spawn: Callable[[], None] | None = field(default=None, compare=False)
    key: bytes = field(init=False, default=b"", compare=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the key once; a spec is used for many calls."""
        grants = {name: str(place) for name, place in self.grants.items()}
        facts = (self.plugin_id, self.entry, str(self.tree), self.manifest, self.tools, grants, self.settings)
        object.__setattr__(self, "key", msgspec.json.encode((*facts, self.limits), order="sorted"))

    @property
    def order(self) -> BootOrder:
        """What the bootstrap is told, with paths as the worker sees them."""
        return BootOrder(
            entry=self.entry,
            toplevel=self.toplevel,
            tree="/plugin",
            manifest=f"/plugin/{self.manifest}",
            granted={name: f"/granted/{name}" for name in self.grants},
            settings=dict(self.settings),
            limits=self.limits.ceilings,
        )


class _Held:
    """A worker with the number of calls that use it now and the moment when it was last used."""

    __slots__ = ("key", "leases", "plugin", "used", "worker")

    def __init__(self, worker: Worker, spec: WorkerSpec) -> None:
        self.worker = worker
        self.key = spec.key
        self.plugin = (spec.plugin_id, spec.tree)
        self.leases = 1
        self.used = monotonic()


_Order = tuple[Cell, BootOrder, SimpleQueue["subprocess.Popen[bytes] | Exception"]]


class WorkerPool:
    """The workers of one host process; use it from any thread. Close it, or use it as a context manager.

    Times in seconds: a worker unused for `idle_seconds` is stopped; one that still runs a call `grace_seconds` after
    that call was given up gets no new calls and is killed when its others have ended. `start` is the sandbox.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = 60.0,
        grace_seconds: float = 2.0,
        spawn_seconds: float = 20.0,
        max_workers: int = 16,
        start: Starter = sandbox.start,
    ) -> None:
        self._idle, self._grace, self._spawn_seconds = idle_seconds, grace_seconds, spawn_seconds
        self._max = max_workers
        self._start = start
        self._state = threading.Lock()
        self._warm: dict[bytes, _Held] = {}
        self._leaving: list[_Held] = []
        self._gates: dict[bytes, threading.Lock] = {}
        self._quarantine: dict[tuple[str, Path], str] = {}
        self._closed = False
        # Workers die with the thread that started them, so one thread starts all and stays.
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._keeper = threading.Thread(target=self._keep, name="cloned-workers", daemon=True)
        self._keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self, spec: WorkerSpec, tool_id: str, arguments: JsonObject, call_id: str, *, timeout: float
    ) -> JsonObject:
        """Call a tool; its structured result. `timeout` (seconds) begins when a worker is there.

        Raises ClonedError: Worker.call_tool's, TOOL_PIN, SPAWN_FAILED, SANDBOX_UNAVAILABLE, WORKERS_BUSY, and what
        `before_spawn` raises. `details["sent"]` is False where the tool certainly did nothing.
        """
        while True:
            held, warm = self._lease(spec)
            try:
                if held.worker.tools_changed:
                    self._check_pins(held.worker, spec)
                return held.worker.call_tool(tool_id, arguments, call_id=call_id, timeout=timeout)
            except ClonedError as error:
                if error.id == "WORKER_TIMEOUT":
                    self._orders.put(None)  # wakes the keeper, for it has a grace period to watch
                if not warm or error.id != "WORKER_DIED" or error.details["sent"]:
                    raise  # otherwise a warm worker had died unnoticed, before it heard of the call
            finally:
                self._release(held)

    def log(self, spec: WorkerSpec) -> tuple[str, ...]:
        """The last lines that the warm worker of `spec` wrote to its log; nothing where none is warm."""
        with self._state:
            held = self._warm.get(spec.key)
        return held.worker.log() if held else ()

    def clear_quarantine(self, plugin_id: str) -> None:
        """Let a plugin start again that contradicted its manifest; only after a person has looked at it."""
        with self._state:
            self._quarantine = {who: why for who, why in self._quarantine.items() if who[0] != plugin_id}

    def stop(self, plugin_id: str) -> None:
        """Kill every worker of a plugin now, e.g. because it was revoked; running calls fail with WORKER_DIED."""
        self._kill(lambda held: held.plugin[0] == plugin_id, "WORKER_DIED", f"{plugin_id} was stopped")

    def close(self) -> None:
        """Kill and reap every worker. Later calls fail with SPAWN_FAILED."""
        with self._state:
            self._closed = True
        self._kill(lambda _: True, "WORKER_DIED", "the host is closing")
        self._orders.put(None)
        self._keeper.join(_JOIN_SECONDS)

    # Finding

    def _lease(self, spec: WorkerSpec) -> tuple[_Held, bool]:
        """A worker counted as used once more, and whether it was warm."""
        with self._state:
            self._admit(spec)
            held = self._usable(spec.key)
            gate = self._gates.setdefault(spec.key, threading.Lock())
        if held is not None:
            return held, True
        with gate:
            with self._state:
                held = self._usable(spec.key)
            if held is not None:
                return held, True
            return self._spawn(spec), False

    def _admit(self, spec: WorkerSpec) -> None:
        why = self._quarantine.get((spec.plugin_id, spec.tree))
        if why is not None:
            raise error_for("TOOL_PIN", why, details={"sent": False})
        if self._closed:
            raise error_for("SPAWN_FAILED", "the pool of workers is closed", details={"sent": False})

    def _usable(self, key: bytes) -> _Held | None:
        held = self._warm.get(key)
        if held is None:
            return None
        if not held.worker.alive or self._stuck(held, monotonic()):
            self._leaving.append(self._warm.pop(key))
            return None
        held.leases += 1
        return held

    def _stuck(self, held: _Held, now: float) -> bool:
        since = held.worker.stuck_since
        return since is not None and since + self._grace <= now

    def _release(self, held: _Held) -> None:
        with self._state:
            held.leases -= 1
            held.used = monotonic()
            leaving = self._warm.get(held.key) is not held
        if leaving:
            self._orders.put(None)

    # Starting

    def _spawn(self, spec: WorkerSpec) -> _Held:
        self._make_room()
        try:
            if spec.before_spawn is not None:
                spec.before_spawn()
        except ClonedError as error:
            raise _unsent(error) from error
        answer: SimpleQueue[subprocess.Popen[bytes] | Exception] = SimpleQueue()
        with self._state:
            self._admit(spec)  # under one lock with close(), so the keeper is there to answer
            self._orders.put((Cell(spec.tree, spec.grants, spec.limits), spec.order, answer))
        process = answer.get()
        if isinstance(process, ClonedError):
            raise process
        if isinstance(process, Exception):
            fact = f"the worker of {spec.plugin_id} could not be started: {process}"
            raise error_for("SPAWN_FAILED", fact, details={"sent": False}) from process
        worker = Worker(process, spec.plugin_id)
        held = _Held(worker, spec)
        self._open(worker, spec)
        with self._state:
            self._warm[spec.key] = held
        if self._closed:
            self.close()
        self._orders.put(None)  # the keeper has one more to watch
        return held

    def _make_room(self) -> None:
        with self._state:
            if len(self._warm) < self._max:
                return
            idle = [held for held in self._warm.values() if held.leases == 0]
            if not idle:
                fact = f"{len(self._warm)} workers are busy, as many as may live"
                raise error_for("WORKERS_BUSY", fact, details={"sent": False})
            oldest = min(idle, key=lambda held: held.used)
            self._leaving.append(self._warm.pop(oldest.key))

    def _open(self, worker: Worker, spec: WorkerSpec) -> None:
        try:
            worker.greet(self._spawn_seconds)
            self._check_pins(worker, spec)
        except ClonedError as error:
            worker.kill(error.id, error.fact)
            worker.join(_JOIN_SECONDS)
            if error.id in ("TOOL_PIN", "WORKER_PROTOCOL"):
                raise _unsent(error) from error
            raise self._not_started(worker, spec) from error

    def _not_started(self, worker: Worker, spec: WorkerSpec) -> ClonedError:
        said = worker.log()
        report = sandbox.probe()  # only now: it takes as long as a start
        if report.level != "sandbox":
            fact = "; ".join(report.reasons)
            return error_for("SANDBOX_UNAVAILABLE", fact, repair=report.repair, details={"sent": False})
        fact = f"the worker of {spec.plugin_id} did not start; its last words: {said[-1] if said else 'none'}"
        return error_for("SPAWN_FAILED", fact, details={"sent": False, "log": list(said)})

    def _check_pins(self, worker: Worker, spec: WorkerSpec) -> None:
        """Compare what the worker says of its tools with the signed manifest; on any difference kill and quarantine."""
        try:
            told = worker.list_tools(self._spawn_seconds)
        except ClonedError as error:
            raise _unsent(error) from error
        digests = {tool.name: tool_digest(tool) for tool in told}
        if digests == dict(spec.tools) and len(digests) == len(told):
            return
        names = sorted({name for name, _ in digests.items() ^ spec.tools.items()} or digests)
        fact = f"the worker of {spec.plugin_id} describes {', '.join(names)[:500]} otherwise than its signed manifest"
        with self._state:
            self._quarantine[(spec.plugin_id, spec.tree)] = fact
        self._kill(lambda held: held.plugin == (spec.plugin_id, spec.tree), "TOOL_PIN", fact)
        raise error_for("TOOL_PIN", fact, details={"sent": False, "tools": names})

    # Stopping

    def _kill(self, whom: Callable[[_Held], bool], error_id: str, fact: str) -> None:
        with self._state:
            chosen = [held for held in (*self._warm.values(), *self._leaving) if whom(held)]
            self._leaving = [held for held in self._leaving if held not in chosen]
            self._warm = {key: held for key, held in self._warm.items() if held not in chosen}
        for held in chosen:
            held.worker.kill(error_id, fact)
        for held in chosen:
            held.worker.join(_JOIN_SECONDS)

    def _keep(self) -> None:
        """The keeper's life: start workers when asked, and between that stop those whose time has come."""
        while not (self._closed and self._orders.empty()):
            try:
                order = self._orders.get(timeout=self._sweep())
            except Empty:
                continue
            if order is not None:
                cell, boot, answer = order
                try:
                    answer.put(self._start(cell, boot))
                except (ClonedError, OSError, ValueError, subprocess.SubprocessError) as problem:
                    answer.put(problem)

    def _sweep(self) -> float | None:
        """Stop idle and stuck workers; seconds until the next may be due, None where none lives."""
        now = monotonic()
        with self._state:
            for held in tuple(self._warm.values()):
                idle = held.leases == 0 and held.used + self._idle <= now
                if idle or not held.worker.alive or self._stuck(held, now):
                    self._leaving.append(self._warm.pop(held.key))
            done = [held for held in self._leaving if held.leases == 0]
            self._leaving = [held for held in self._leaving if held.leases > 0]
            due = [self._due(held, now) for held in self._warm.values()]
        for held in done:
            held.worker.kill("WORKER_DIED", "the worker was stopped")
        return max(0.0, min(due) - now) if due else None

    def _due(self, held: _Held, now: float) -> float:
        idle = (now if held.leases else held.used) + self._idle
        since = held.worker.stuck_since
        return idle if since is None else min(idle, since + self._grace)


def _unsent(error: ClonedError) -> ClonedError:
    """The same error for a call that had not been sent when it arose."""
    return error_for(error.id, error.fact, repair=error.repair, details={**error.details, "sent": False})
