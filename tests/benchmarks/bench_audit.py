"""Measure the audit log: durable appends of 1, 16 and 64 threads, and verification of the chain. Asserts nothing.

Run: python tests/benchmarks/bench_audit.py
"""

import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))  # a script finds only its own folder by itself

from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places
from cloned_storage.redaction import Redactor
from tests.benchmarks import scene

WORKSPACE_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
CALLERS, ROUNDS = {1: 400, 16: 4000, 64: 4000}, 3
ENTRIES, A_BATCH, TARGET = 60_000, 1000, 100_000
ENTRY: dict[str, Any] = {  # the intent of a governed call, as the monitor writes it
    "kind": "intent", "actor": "agent:bench", "call_id": WORKSPACE_ID, "correlation_id": "bench-1",
    "tool_id": scene.ECHO, "tool_version": "1.0.0", "schema_id": "a" * 64, "input_hash": "b" * 64,
    "policy_decision": {
        "pack": "personal", "policy": "c" * 64, "rule": {"allowed_by": "no allowlist narrows this"},
        "constitution": None, "egress": [], "approval_rules": [],
    },
    "costs": {"api_requests": 1}, "dry_run": False, "sources": [],
}  # fmt: skip


def opened(folder: Path, name: str) -> AuditLog:
    """The log of a new workspace."""
    places = Places(folder / name)
    places.root.mkdir()
    places.prepare()
    return AuditLog(places, SystemClock(), WORKSPACE_ID, Redactor(WORKSPACE_ID.encode()))


def appends(log: AuditLog) -> None:
    """Durable entries a second, the numbers of callers in turn."""
    taken: dict[int, list[tuple[float, float]]] = {callers: [] for callers in CALLERS}
    for _ in range(ROUNDS):
        for callers, entries in CALLERS.items():
            flushes, begin = log.flushes, perf_counter()
            scene.concurrently(callers, entries // ROUNDS, lambda: log.append(**ENTRY))
            seconds = perf_counter() - begin
            taken[callers].append((entries // ROUNDS / seconds, (log.flushes - flushes) / (entries // ROUNDS)))
    alone = scene.middle(rate for rate, _ in taken[1])
    for callers, rounds in taken.items():
        rate, flushed = (scene.middle(one[part] for one in rounds) for part in (0, 1))
        told = f"{rate:.0f} entries/s, {rate / alone:.1f} times one thread; {flushed:.3f} flushes an entry"
        print(f"append, {callers} threads: {told}")


def verification(log: AuditLog) -> None:
    """Entries a second of the whole log, read from the file."""
    for _ in range(ENTRIES // A_BATCH):
        log.append_many([ENTRY] * A_BATCH)
    rates = []
    for _ in range(5):
        begin, busy = perf_counter(), process_time()
        verdict = log.verify()
        rates.append((verdict.entries / (perf_counter() - begin), verdict.entries / (process_time() - busy)))
    wall, cpu = (scene.middle(rate[part] for rate in rates) for part in (0, 1))
    print(f"verify {verdict.entries} entries: {wall:.0f}/s (at least {TARGET}), {cpu:.0f} a second of CPU")


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        appends(opened(folder, "append"))
        verification(opened(folder, "verify"))
        print(scene.disk(folder))


if __name__ == "__main__":
    main()
