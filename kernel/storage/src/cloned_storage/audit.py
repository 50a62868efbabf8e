"""The audit log: one hash-chained line an entry, durable before its append returns. Refuses to go on once it cannot be.

Processes take turns by a lock file; threads of one process share a turn and its one flush. The chain is cloned_trust's.
"""

import errno
import fcntl
import hashlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BufferedReader
from typing import Any

import msgspec

from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable, error_for
from cloned_sdk.host import JsonObject
from cloned_storage.clock import Clock, timestamp, uuid7
from cloned_storage.files import sync_folder
from cloned_storage.layout import Places
from cloned_storage.redaction import Redactor
from cloned_trust import chain
from cloned_trust.chain import ChainVerdict
from cloned_trust.verdict import Finding

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW
_WINDOWS = (1 << 16, 4 * chain.MAX_LINE)  # how far back the last whole line is looked for
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class AuditRef:
    """Where a durable entry stands: its number, its hash (hex), the byte at which its line starts."""

    seq: int
    hash: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of the chain as this process last saw it: `line` is the last entry's, `end` the byte after it."""

    end: int
    seq: int
    head: bytes
    line: bytes
    mtime_ns: int = -1


@dataclass(slots=True, eq=False)
class _Job:
    """One thread's entries on their way into the log, settled once they are durable or refused.

    Its thread waits on `called`, which is released once: when the job is settled, or when it is the thread's turn to
    lead. So nobody is woken in vain.
    """

    entries: Sequence[Mapping[str, Any]]
    written: tuple[AuditRef, ...] = ()
    error: ClonedError | None = None
    settled: bool = False
    leads: bool = False
    called: threading.Lock = field(default_factory=threading.Lock)


class AuditLog:
    """The log of one workspace. Safe to use from any thread, beside any number of other processes.

    `flushes` counts the fsyncs that this process made. Every string is redacted before it is sealed.
    """

    def __init__(self, places: Places, clock: Clock, workspace_id: str, redactor: Redactor) -> None:
        self.flushes = 0
        self._path, self._lock_path = places.audit_log, places.audit_lock
        self._clock, self._workspace_id, self._redactor = clock, workspace_id, redactor
        self._turn = threading.Lock()
        self._waiting: list[_Job] = []
        self._leading = False
        self._stopped: ClonedError | None = None
        self._log: int | None = None
        self._tail: _Tail | None = None

    def append(self, kind: str, *, actor: str, **fields: Any) -> AuditRef:
        """Write one entry; it is on the disk when this returns. Fields that are None are left out.

        Raises Unavailable AUDIT_UNAVAILABLE when it cannot be written, TrustRefused AUDIT_* when the file was changed,
        cut or replaced behind our back; from then on every append of this process is refused in the same way.
        """
        return self.append_many([{**fields, "kind": kind, "actor": actor}])[0]

    def append_many(self, entries: Sequence[Mapping[str, Any]]) -> tuple[AuditRef, ...]:
        """Write entries (each with `kind` and `actor`) one after the other, with one flush; all of them or none."""
        kept = [{key: value for key, value in entry.items() if value is not None} for entry in entries]
        job = _Job([self._redactor.value(entry) for entry in kept])
        job.called.acquire()
        with self._turn:
            self._waiting.append(job)
            job.leads, self._leading = not self._leading, True
        if not job.leads:
            self._wait(job)
        if job.leads:
            self._lead()
        if not job.settled or job.error is not None:
            raise job.error or Unavailable("AUDIT_UNAVAILABLE", "writing the audit was interrupted")
        return job.written

    def size(self) -> int:
        """A byte at which a line starts, at or before every entry that is appended from now on."""
        if self._tail is None:
            self.append_many([])  # takes a turn, and so learns where the chain ends
        return self._tail.end if self._tail else 0

    def entries(self, from_offset: int = 0) -> Iterator[tuple[int, JsonObject]]:
        """The whole lines from a byte on as (offset, entry), each checked to follow the one before.

        Raises TrustRefused AUDIT_* at the first that does not, or where the log ends before `from_offset`.
        """
        with self._reader() as (file, end):
            if from_offset > end:
                raise TrustRefused("AUDIT_TRUNCATED", f"{self._path} has {end} bytes; {from_offset} were written")
            file.seek(from_offset)
            offset, seq, head = from_offset, 1, chain.ZERO
            for line in _lines(file, end):
                if line[-1:] != b"\n" and offset + len(line) == end:
                    return
                if offset == from_offset > 0:
                    seq, head = self._claims(line)
                head = self._checked([line], seq, head).head
                yield offset, _decode(line)
                offset, seq = offset + len(line), seq + 1

    def verify(self) -> ChainVerdict:
        """Check every line of the log; a torn last one is a notice. Reads only, also after this process stopped."""
        with self._locked(), self._reader() as (_, size):
            end = size  # measured while nobody writes, so that no line is only half there
        with self._reader() as (file, _):
            verdict = chain.verify(_lines(file, end))
        if self._tail is None or end >= self._tail.end or not verdict.intact:
            return verdict
        line = verdict.entries + 1
        cut = Finding("AUDIT_TRUNCATED", f"line {line}", f"{self._tail.end - end} bytes of entries are gone")
        return replace(verdict, first_bad_line=line, findings=(*verdict.findings, cut))

    def close(self) -> None:
        """Give the file back; a later append opens it again."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _wait(self, job: _Job) -> None:
        try:
            job.called.acquire()
        except BaseException:  # Ctrl-C: what nobody has begun to write is not written, and nobody waits for us
            with self._turn:
                self._waiting = [other for other in self._waiting if other is not job]
            if job.leads:
                self._hand_on([])
            raise

    def _lead(self) -> None:
        """Write for everybody who waits by now; then call them, and the next to lead."""
        with self._turn:
            group, self._waiting = self._waiting, []
        try:
            self._commit(group)
        finally:
            self._hand_on(group)

    def _hand_on(self, group: list[_Job]) -> None:
        with self._turn:
            following = self._waiting[:1]
            self._leading = bool(following)
            for job in following:
                job.leads = True
        for job in (*group, *following):
            job.called.release()

    def _commit(self, group: list[_Job]) -> None:
        """Seal and write a group under the lock, flush it after: others may write meanwhile."""
        try:
            if self._stopped is None:
                with self._locked():
                    sys.audit("cloned.step", "audit.locked")
                    written = self._write(group)
                sys.audit("cloned.step", "audit.written")
                if written:
                    self._flush(self._opened())
                sys.audit("cloned.step", "audit.synced")
        except ClonedError as error:
            self._stopped = error
        except OSError as error:
            self._stopped = Unavailable("AUDIT_UNAVAILABLE", f"{self._path} cannot be written: {error.strerror}")
        for job in group:
            if self._stopped is not None:
                job.error = error_for(self._stopped.id, self._stopped.fact, repair=self._stopped.repair)
            job.settled = True

    def _write(self, group: list[_Job]) -> bool:
        log = self._opened()
        tail, torn = self._end_of_chain(log)
        jobs = [_Job([self._set_aside(log, tail.end, torn)]), *group] if torn else group
        lines: list[bytes] = []
        for job in jobs:
            tail = self._seal(job, tail, lines)
        if lines:
            _write_whole(log, b"".join(lines))
        self._tail = replace(tail, mtime_ns=os.fstat(log).st_mtime_ns)
        return bool(lines)

    def _seal(self, job: _Job, tail: _Tail, lines: list[bytes]) -> _Tail:
        sealed, refs, after = list[bytes](), list[AuditRef](), tail
        try:
            for entry in job.entries:
                own = {"seq": after.seq + 1, "id": uuid7(self._clock), "timestamp": timestamp(self._clock.now())}
                line, head = chain.seal({**entry, **own, "workspace_id": self._workspace_id}, after.head)
                sealed.append(line + b"\n")
                refs.append(AuditRef(after.seq + 1, head.hex(), after.end))
                after = _Tail(after.end + len(sealed[-1]), after.seq + 1, head, sealed[-1])
        except ValueError as error:  # this thread's entry alone; the others' go on
            job.error = Unavailable("AUDIT_UNAVAILABLE", f"an entry cannot be written: {error}")
            return tail
        job.written = tuple(refs)
        lines += sealed
        return after

    def _end_of_chain(self, log: int) -> tuple[_Tail, bytes]:
        """Where the next entry goes, and what a killed writer left behind that place. Only while the lock is held."""
        try:
            found = self._path.lstat()
        except FileNotFoundError as error:
            raise TrustRefused("AUDIT_TRUNCATED", f"{self._path} was removed while this process ran") from error
        if not os.path.samestat(found, os.fstat(log)):
            raise TrustRefused("AUDIT_CHANGED", f"{self._path} was replaced while this process ran")
        tail = self._tail or self._last_entry(log, found.st_size)
        if found.st_size < tail.end:
            gone = tail.end - found.st_size
            raise TrustRefused("AUDIT_TRUNCATED", f"{self._path} lost {gone} bytes while this process ran")
        if (found.st_size, found.st_mtime_ns) == (tail.end, tail.mtime_ns):
            return tail, b""
        return self._catch_up(tail)

    def _catch_up(self, tail: _Tail) -> tuple[_Tail, bytes]:
        """What was appended since by others, each line checked to follow ours."""
        last = tail.line

        def passing(lines: Iterator[bytes]) -> Iterator[bytes]:
            nonlocal last
            for line in lines:
                last = line if line[-1:] == b"\n" else last
                yield line

        with self._reader() as (file, end):
            file.seek(tail.end - len(tail.line))
            if file.read(len(tail.line)) != tail.line:
                raise TrustRefused("AUDIT_CHANGED", f"entry {tail.seq} of {self._path} is not what was written")
            verdict = self._checked(passing(_lines(file, end)), tail.seq + 1, tail.head)
        torn = verdict.torn or b""
        return _Tail(end - len(torn), tail.seq + verdict.entries, verdict.head, last), torn

    def _last_entry(self, log: int, size: int) -> _Tail:
        """The place just before the last whole line, as that line tells it: catching up from there proves the line."""
        for window in _WINDOWS:
            start = max(0, size - window)
            data = os.pread(log, window, start)
            end = data.rfind(b"\n")
            begin = data.rfind(b"\n", 0, max(0, end)) + 1
            if begin or not start:
                break
        else:
            raise TrustRefused("AUDIT_LINE", f"{self._path} does not end in an entry")
        if end < 0:
            return _Tail(0, 0, chain.ZERO, b"")
        seq, prev = self._claims(data[begin:end])
        return _Tail(start + begin, seq - 1, prev, b"")

    def _set_aside(self, log: int, end: int, torn: bytes) -> JsonObject:
        """Keep a torn line in a file beside the log and cut it off; answers with the entry that says so."""
        digest = hashlib.sha256(torn).hexdigest()
        kept = self._path.with_name(f"audit.torn-{self._clock.now():%Y%m%dT%H%M%SZ}-{digest[:8]}")
        # The name holds the digest, so a second try after a crash puts the same bytes in the same place.
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600), "wb") as file:
            _write_whole(file.fileno(), torn)
            self._flush(file.fileno())
        self._flush_folder()
        sys.audit("cloned.step", "audit.torn_kept")
        os.ftruncate(log, end)
        sys.audit("cloned.step", "audit.torn_cut")
        told = {"torn_bytes": len(torn), "torn_sha256": digest, "kept_in": kept.name}
        return {"kind": "recovery", "actor": "kernel", "error_id": "AUDIT_TORN", "details": told}

    def _claims(self, line: bytes) -> tuple[int, bytes]:
        """The number and the previous hash that a line says it has; `_checked` proves that it holds together."""
        try:
            entry = _decode(line)
            return int(entry["seq"]), bytes.fromhex(entry[chain.PREV])
        except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError, ValueError) as error:
            raise TrustRefused("AUDIT_LINE", f"{self._path}: the line found is not an entry") from error

    def _checked(self, lines: Iterable[bytes], seq: int, prev: bytes) -> ChainVerdict:
        verdict = chain.verify(lines, expect_seq=seq, prev=prev)
        if not verdict.intact:
            found = verdict.findings[0]
            raise error_for(found.error_id, f"{self._path}: entry {seq + verdict.entries}: {found.detail}")
        return verdict

    def _opened(self) -> int:
        if self._log is None:
            new = not self._path.exists()
            self._log = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _FLAGS, 0o600)
            if new:
                self._flush_folder()
        return self._log

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The turn among processes. A lock file put in the place of ours would let two write at once: look again."""
        ours = False
        while not ours:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    ours = os.path.samestat(os.fstat(lock), self._lock_path.lstat())
                if ours:
                    yield
            finally:
                os.close(lock)

    @contextmanager
    def _reader(self) -> Iterator[tuple[BufferedReader, int]]:
        """The log opened for reading, and its present size; an empty file where there is none yet."""
        try:
            descriptor = os.open(self._path if os.path.lexists(self._path) else os.devnull, os.O_RDONLY | _FLAGS)
        except OSError as error:
            raise Unavailable("AUDIT_UNAVAILABLE", f"{self._path} cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            yield file, os.fstat(descriptor).st_size

    def _flush(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.flushes += 1

    def _flush_folder(self) -> None:
        sync_folder(self._path.parent)
        self.flushes += 1


def _write_whole(descriptor: int, text: bytes) -> None:
    """Append all of it or, on a full disk, cut off again what was written of it. Raises OSError."""
    before = os.fstat(descriptor).st_size
    written = 0
    try:
        written = os.write(descriptor, text)
    finally:
        if written != len(text):
            with suppress(OSError):
                os.ftruncate(descriptor, before)
    if written != len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lines(file: BufferedReader, end: int) -> Iterator[bytes]:
    """The lines up to a byte, in pieces no longer than a line may be: no file may fill the memory."""
    while (left := end - file.tell()) > 0 and (line := file.readline(min(left, chain.MAX_LINE + 1))):
        yield line
