import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable
from cloned_schemas.records import AuditEntry
from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places
from cloned_storage.redaction import Redactor
from cloned_trust import chain

DRIVER = Path(__file__).with_name("audit_driver.py")
STEPS = ("audit.locked", "audit.written", "audit.synced")


def drive(places: Places, name: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(DRIVER), str(places.root), name, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process: "subprocess.Popen[str]") -> tuple[list[list[str]], list[str], int]:
    """What a driver says was durable, the error ids it met, its exit status."""
    out, error = process.communicate(timeout=60)
    assert "Traceback" not in error, error
    lines = [line.split() for line in out.splitlines()]
    refused = [found for line in lines if line[0] == "refused" for found in line[1:]]
    return [line for line in lines if line[0].isdigit()], refused, process.returncode


def another(places: Places) -> AuditLog:
    return AuditLog(places, SystemClock(), "01900000-0000-7000-8000-000000000000", Redactor(b"salt"))


def fill(log: AuditLog, count: int) -> list[bytes]:
    log.append_many([{"kind": "outcome", "actor": "person:ada", "details": {"number": n}} for n in range(count)])
    return log._path.read_bytes().splitlines(keepends=True)


def test_an_entry_is_a_line_of_the_contract_chained_to_the_one_before(log: AuditLog, places: Places) -> None:
    first = log.append("intent", actor="person:ada", call_id="c1", run_id=None, costs={"api_requests": 1})
    second = log.append("outcome", actor="person:ada", call_id="c1", outcome="success")
    lines = places.audit_log.read_bytes().splitlines(keepends=True)
    entries = [AuditEntry.model_validate_json(line) for line in lines]
    assert [entry.seq for entry in entries] == [1, 2]
    assert entries[0].chain_prev_hash == chain.ZERO.hex()
    assert entries[1].chain_prev_hash == entries[0].chain_this_hash == first.hash
    assert second.offset == len(lines[0])
    assert b"run_id" not in lines[0]
    assert log.verify().intact
    assert places.audit_log.stat().st_mode & 0o777 == 0o600


def test_many_entries_cost_one_flush(log: AuditLog, places: Places) -> None:
    log.append("workspace", actor="person:ada")
    before = log.flushes
    fill(log, 50)
    assert log.flushes == before + 1
    assert log.verify().entries == 51


def test_reading_from_an_offset_gives_what_was_appended_since(log: AuditLog) -> None:
    fill(log, 3)
    offset = log.size()
    log.append("intent", actor="person:ada", call_id="later")
    assert [(at, entry["call_id"]) for at, entry in log.entries(offset)] == [(offset, "later")]
    assert [entry["seq"] for _, entry in log.entries()] == [1, 2, 3, 4]


def test_size_is_known_to_a_process_that_never_appended(log: AuditLog, places: Places) -> None:
    lines = fill(log, 3)
    assert another(places).size() == sum(map(len, lines))


def test_a_log_that_is_not_there_yet_is_empty_and_good(log: AuditLog) -> None:
    assert list(log.entries()) == []
    assert (log.verify().entries, log.verify().intact) == (0, True)
    assert log.size() == 0


def test_secrets_do_not_reach_the_log(log: AuditLog, redactor: Redactor, places: Places) -> None:
    redactor.remember(b"correct horse battery staple")
    log.append("outcome", actor="person:ada", details={"reason": "refused: correct horse battery staple", "n": [1]})
    assert b"horse" not in places.audit_log.read_bytes()
    assert b"[REDACTED:secret:" in places.audit_log.read_bytes()


def test_an_entry_that_is_no_plain_json_is_refused_and_stops_nobody(log: AuditLog) -> None:
    with pytest.raises(Unavailable, match="AUDIT_UNAVAILABLE"):
        log.append("outcome", actor="person:ada", costs={"money": 0.1})
    with pytest.raises(Unavailable, match="AUDIT_UNAVAILABLE"):
        log.append_many([{"kind": "outcome", "actor": "a"}, {"kind": "outcome", "actor": "x" * (1 << 20)}])
    assert log.append("outcome", actor="person:ada").seq == 1


def test_sixteen_threads_share_flushes_and_lose_nothing(log: AuditLog) -> None:
    references: list[tuple[int, str]] = []

    def work(thread: int) -> None:
        for number in range(25):
            done = log.append("outcome", actor=f"t{thread}", details={"number": number})
            references.append((done.seq, done.hash))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = [entry for _, entry in log.entries()]
    assert log.verify().intact
    assert sorted(references) == [(entry["seq"], entry["chain_this_hash"]) for entry in entries]
    for number in range(16):
        assert [e["details"]["number"] for e in entries if e["actor"] == f"t{number}"] == list(range(25))
    assert log.flushes < 400


def test_two_processes_with_sixteen_threads_make_one_unbroken_chain(log: AuditLog, places: Places) -> None:
    log.append("workspace", actor="person:ada")
    drivers = [drive(places, name, "20", "16") for name in ("one", "two")]
    durable = [line for driver in drivers for line in told(driver)[0]]
    entries = [entry for _, entry in log.entries()]
    assert len(durable) == 2 * 16 * 20
    assert sorted(int(line[0]) for line in durable) == list(range(2, 642))
    assert {(str(e["seq"]), e["chain_this_hash"]) for e in entries[1:]} == {(line[0], line[1]) for line in durable}
    assert log.verify().intact
    assert log.append("outcome", actor="person:ada").seq == 642


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_a_step_leaves_a_chain_that_goes_on(log: AuditLog, places: Places, step: str) -> None:
    fill(log, 2)
    durable, _, status = told(drive(places, "killed", "3", "1", f"kill:{step}"))
    assert (durable, status) == ([], -9)
    after = log.append("outcome", actor="person:ada")
    assert after.seq == (3 if step == "audit.locked" else 4)
    assert log.verify().intact
    assert not list(places.home.glob("audit.torn-*"))


def test_a_process_killed_in_the_first_append_leaves_a_log_to_begin(log: AuditLog, places: Places) -> None:
    for step in STEPS:
        told(drive(places, "killed", "1", "1", f"kill:{step}"))
    assert log.append("outcome", actor="person:ada").seq == 3
    assert log.verify().intact


def torn_json(line: bytes) -> bytes:
    return line.rstrip(b"\n")


def torn_half(line: bytes) -> bytes:
    return line[: len(line) // 2]


def torn_zeros(line: bytes) -> bytes:
    return bytes(5000)


@pytest.mark.parametrize("tear", [torn_json, torn_half, torn_zeros])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_torn_line_is_kept_aside_and_told_of(
    log: AuditLog, places: Places, tear: Callable[[bytes], bytes], fresh: bool
) -> None:
    fill(log, 2)
    head = log.verify().head
    next_line, _ = chain.seal({"seq": 3, "kind": "intent", "actor": "x"}, head)
    torn = tear(next_line + b"\n")
    with places.audit_log.open("ab") as file:
        file.write(torn)
    assert (log.verify().intact, log.verify().torn) == (True, torn)
    assert len(list(log.entries())) == 2
    writer = another(places) if fresh else log
    assert writer.append("outcome", actor="person:ada").seq == 4
    [kept] = places.home.glob("audit.torn-*")
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (torn, 0o600)
    third = list(log.entries())[2][1]
    assert (third["kind"], third["error_id"]) == ("recovery", "AUDIT_TORN")
    assert third["details"]["kept_in"] == kept.name
    assert log.verify().intact


def test_a_log_of_nothing_but_a_torn_line_begins_anew(log: AuditLog, places: Places) -> None:
    places.audit_log.write_bytes(b'{"actor":')
    assert log.append("outcome", actor="person:ada").seq == 2
    assert log.verify().intact


@pytest.mark.parametrize("step", ["audit.torn_kept", "audit.torn_cut"])
def test_a_process_killed_while_it_keeps_a_torn_line_loses_nothing(log: AuditLog, places: Places, step: str) -> None:
    fill(log, 2)
    with places.audit_log.open("ab") as file:
        file.write(b'{"torn')
    assert told(drive(places, "killed", "1", "1", f"kill:{step}"))[2] == -9
    log.append("outcome", actor="person:ada")
    assert [path.read_bytes() for path in places.home.glob("audit.torn-*")] == [b'{"torn']
    assert log.verify().intact


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[4].replace(b'"number":4', b'"number":9'), *lines[5:]]


def removed(lines: list[bytes]) -> list[bytes]:
    return lines[:4] + lines[5:]


def inserted(lines: list[bytes]) -> list[bytes]:
    head = bytes.fromhex(json.loads(lines[3])["chain_this_hash"])
    forged, _ = chain.seal({**json.loads(lines[4]), "actor": "mallory"}, head)
    return [*lines[:4], forged + b"\n", *lines[4:]]


def reordered(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[5], lines[4], *lines[6:]]


def garbled(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], b"not json\n", *lines[5:]]


@pytest.mark.parametrize(
    ("harm", "line", "error_id"),
    [
        (changed, 5, "AUDIT_CHANGED"),
        (removed, 5, "AUDIT_GAP"),
        (inserted, 6, "AUDIT_GAP"),
        (reordered, 5, "AUDIT_GAP"),
        (garbled, 5, "AUDIT_LINE"),
    ],
)
def test_harm_is_found_with_its_first_bad_line(
    log: AuditLog, places: Places, harm: Callable[[list[bytes]], list[bytes]], line: int, error_id: str
) -> None:
    lines = fill(log, 8)
    places.audit_log.write_bytes(b"".join(harm(lines)))
    verdict = another(places).verify()
    assert (verdict.first_bad_line, verdict.findings[0].error_id) == (line, error_id)
    with pytest.raises(TrustRefused) as refused:
        list(another(places).entries())
    assert refused.value.id == error_id


def refused_for_good(log: AuditLog, error_id: str) -> None:
    for _ in range(2):
        with pytest.raises(ClonedError) as refused:
            log.append("intent", actor="person:ada")
        assert refused.value.id == error_id


def test_a_last_line_that_does_not_hold_together_is_not_built_on(log: AuditLog, places: Places) -> None:
    lines = fill(log, 3)
    places.audit_log.write_bytes(b"".join([*lines[:2], lines[2].replace(b"person:ada", b"person:eve")]))
    refused_for_good(another(places), "AUDIT_CHANGED")


def test_a_replaced_log_is_noticed(log: AuditLog, places: Places) -> None:
    fill(log, 3)
    copy = places.home / "copy"
    copy.write_bytes(places.audit_log.read_bytes())
    copy.replace(places.audit_log)
    refused_for_good(log, "AUDIT_CHANGED")
    assert len(places.audit_log.read_bytes().splitlines()) == 3


def test_a_removed_log_is_noticed(log: AuditLog, places: Places) -> None:
    fill(log, 3)
    places.audit_log.unlink()
    refused_for_good(log, "AUDIT_TRUNCATED")
    assert not places.audit_log.exists()
    assert [finding.error_id for finding in log.verify().findings] == ["AUDIT_TRUNCATED"]


def test_a_truncated_log_is_noticed(log: AuditLog, places: Places) -> None:
    lines = fill(log, 3)
    os.truncate(places.audit_log, len(lines[0]))
    verdict = log.verify()
    assert (verdict.first_bad_line, verdict.findings[0].error_id) == (2, "AUDIT_TRUNCATED")
    refused_for_good(log, "AUDIT_TRUNCATED")


def test_a_log_cut_and_grown_again_by_another_is_noticed(log: AuditLog, places: Places) -> None:
    lines = fill(log, 3)
    os.truncate(places.audit_log, len(lines[0]))
    fill(another(places), 5)
    refused_for_good(log, "AUDIT_CHANGED")
    assert another(places).verify().intact  # the forged chain holds together; only who saw the first one can tell


def test_a_last_line_changed_in_place_is_noticed(log: AuditLog, places: Places) -> None:
    lines = fill(log, 3)
    with places.audit_log.open("r+b") as file:
        file.seek(len(b"".join(lines[:2])))
        file.write(lines[2].replace(b"person:ada", b"person:eve"))
    os.utime(places.audit_log, ns=(1, 1))
    refused_for_good(log, "AUDIT_CHANGED")


def test_lines_forged_behind_ours_are_noticed(log: AuditLog, places: Places) -> None:
    fill(log, 3)
    forged, _ = chain.seal({"seq": 4, "kind": "outcome", "actor": "mallory"}, bytes(32))
    with places.audit_log.open("ab") as file:
        file.write(forged + b"\n")
    refused_for_good(log, "AUDIT_GAP")


def test_an_offset_beyond_the_end_is_a_truncation(log: AuditLog) -> None:
    fill(log, 2)
    with pytest.raises(TrustRefused, match="AUDIT_TRUNCATED"):
        list(log.entries(log.size() + 1))


def test_a_link_in_the_place_of_the_log_is_refused(log: AuditLog, places: Places, tmp_path: Path) -> None:
    places.audit_log.symlink_to(tmp_path / "elsewhere")
    refused_for_good(log, "AUDIT_UNAVAILABLE")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_file_put_in_the_place_of_ours_is_looked_at_again(log: AuditLog, places: Places) -> None:
    durable, unprotected, _ = told(drive(places, "swapped", "2", "1", "swap:"))
    assert (len(durable), unprotected) == (2, [])
    places.audit_lock.unlink()
    log.append("outcome", actor="person:ada")
    assert log.verify().entries == 3


def test_a_full_disk_stops_the_process_and_leaves_whole_lines(log: AuditLog, places: Places) -> None:
    size = sum(map(len, fill(log, 2)))
    durable, refused, status = told(drive(places, "full", "6", "1", f"limit:{size + 1000}"))
    assert status == 0
    assert 0 < len(durable) < 6
    assert refused == ["AUDIT_UNAVAILABLE"] * (6 - len(durable))
    assert places.audit_log.read_bytes().endswith(b"\n")
    assert (log.verify().intact, log.verify().entries) == (True, 2 + len(durable))
    assert log.append("outcome", actor="person:ada").seq == 3 + len(durable)


def test_a_failed_flush_stops_the_process(log: AuditLog, places: Places) -> None:
    fill(log, 2)
    durable, refused, _ = told(drive(places, "unflushed", "3", "4", "close:audit.written"))
    assert durable == []
    assert refused == ["AUDIT_UNAVAILABLE"] * 12
    assert log.verify().intact


@pytest.mark.parametrize("step", STEPS)
def test_a_thread_ended_in_the_middle_leaves_the_others_going(log: AuditLog, places: Places, step: str) -> None:
    fill(log, 2)
    durable, refused, status = told(drive(places, "interrupted", "5", "4", f"exit:{step}"))
    assert status == 0
    assert len(durable) + len(refused) >= 15
    assert set(refused) <= {"AUDIT_UNAVAILABLE"}
    assert log.verify().intact
    hashes = {entry["chain_this_hash"] for _, entry in log.entries()}
    assert {line[1] for line in durable} <= hashes


class Stop(BaseException):
    """What a signal's handler raises, as Ctrl-C does."""


def stop(*_: object) -> None:
    raise Stop


def test_who_stops_waiting_is_not_written_and_holds_nobody_up(log: AuditLog, places: Places) -> None:
    fill(log, 1)
    ours = threading.get_ident()

    def interrupt() -> None:
        while not (log._leading and len(log._waiting) == 1):
            os.sched_yield()
        signal.pthread_kill(ours, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    with places.audit_lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        first, second = (
            threading.Thread(target=log.append, args=("outcome",), kwargs={"actor": name}) for name in "ab"
        )
        first.start()
        while not log._leading or log._waiting:
            os.sched_yield()
        threading.Thread(target=interrupt).start()
        with pytest.raises(Stop):
            log.append("outcome", actor="person:ada")
        second.start()
    first.join()
    second.join()
    signal.signal(signal.SIGUSR1, before)
    assert [entry["actor"] for _, entry in log.entries()][1:] == ["a", "b"]
    assert log.verify().intact
