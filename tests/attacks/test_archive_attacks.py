"""The attack corpus at the archive, D11 to D14: names, types, duplicates, structure that readers read differently."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from cloned_trust import wheelzip
from tests.attacks import forge
from tests.attacks.expect import ACME, judged, refusal
from tests.attacks.forge import Entry, Tweak

EVIL = b"raise SystemExit('imported')\n"


@pytest.mark.parametrize(
    "name",
    [
        b"../../x",
        b"acme_weather/../../x",
        b"/etc/cron.d/x",
        b"acme_weather//x",
        b"acme_weather/./x",
        b"..",
        b"acme_weather\\x.py",
        b"C:/x",
        b"C:x",
        b"acme_weather/x\x00.py",
        b"acme_weather/x\x1b[2J.py",
        b"acme_weather/x\n.py",
        b"acme_weather/\xc3\xa9.py",
        b"acme_weather/\xff.py",
        "acme_weather/\u202eyp.exe".encode(),
        b"acme_weather/x.py ",
        b"acme_weather/x.",
        b"acme_weather/ x",
        b"acme_weather/aux.py",
        b"acme_weather/COM1",
        b"acme_weather/x:stream",
        b"acme_weather/" + b"x" * 201,
        b"a/" * 200 + b"x",
        b"",
        b"/",
        b"acme_weather//",
    ],
)
def test_d11_names_that_lead_elsewhere(canary: Path, name: bytes) -> None:
    tweak = forge.added(Entry(name, b""))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "ZIP_NAME"


@pytest.mark.parametrize(
    "entry",
    [
        Entry(b"acme_weather/x", b"/etc/passwd", mode=forge.LINK_MODE),
        Entry(b"acme_weather/x", b"/etc/passwd", mode=forge.LINK_MODE, system=0),
        Entry(b"acme_weather/x", b"", mode=0o010644),
        Entry(b"acme_weather/x", b"", mode=0o020644),
        Entry(b"acme_weather/x", b"", mode=0o140644),
        Entry(b"acme_weather/x", b"", mode=0o104755),
        Entry(b"acme_weather/x", b"", mode=forge.FOLDER_MODE),
        Entry(b"acme_weather/x/", b"", mode=forge.FILE_MODE),
        Entry(b"acme_weather/x/", b"content", mode=forge.FOLDER_MODE),
        Entry(b"acme_weather/x/", b"", mode=forge.FOLDER_MODE, crc=7),
        Entry(b"acme_weather/x/", b"", method=forge.DEFLATED, mode=forge.FOLDER_MODE),
        Entry(b"acme_weather/x", b"", system=19),
        Entry(b"acme_weather/x", b"", dos=0x08),
        Entry(b"acme_weather/x", b"", dos=0x10),
    ],
    ids=["link", "link-dos", "fifo", "device", "socket", "setuid", "folder-mode", "file-mode", "folder-content",
         "folder-crc", "folder-deflated", "other-system", "dos-volume",
         "dos-folder"],
)  # fmt: skip
def test_d12_members_that_are_no_plain_files(canary: Path, entry: Entry) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(entry))) == "ZIP_TYPE"


@pytest.mark.parametrize(
    "entries",
    [
        [Entry(b"acme_weather/worker.py", EVIL)],
        [Entry(b"acme_weather/Worker.py", EVIL)],
        [Entry(b"ACME_WEATHER/other.py", EVIL)],
        [Entry(b"acme_weather", EVIL)],
        [Entry(b"acme_weather/worker.py/x", EVIL)],
        [Entry(b"acme_weather/worker.py/", b"", mode=forge.FOLDER_MODE)],
        [Entry(b"acme_weather/a/", b"", mode=forge.FOLDER_MODE)] * 2,
    ],
    ids=["same", "case", "folder-case", "file-for-folder", "folder-for-file", "folder-for-file-entry", "folder-twice"],
)
def test_d13_names_that_stand_twice(canary: Path, entries: list[Entry]) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(*entries))) == "ZIP_DUPLICATE"


def _joined(wheel: bytes) -> bytes:
    return forge.archive([Entry(b"acme_weather/worker.py", EVIL)]) + wheel


def _rebuilt(**lies: Any) -> Tweak:
    """The honest members in an archive of which every offset is right, so that ordinary readers see nothing wrong."""

    def rebuild(wheel: bytes) -> bytes:
        return forge.archive([Entry(member.path.encode(), member.data) for member in wheelzip.read(wheel)], **lies)

    return Tweak(archive=rebuild)


ANOTHER = forge.archive([Entry(b"acme_weather/worker.py", EVIL)])


def _longer_last_name(wheel: bytes) -> bytes:
    """The last name of the directory runs on into the end record."""
    last = wheel.rindex(b"PK\x01\x02")
    length = int.from_bytes(wheel[last + 28 : last + 30], "little") + 10
    return wheel[: last + 28] + length.to_bytes(2, "little") + wheel[last + 30 :]


STRUCTURE = {
    "joined": Tweak(archive=_joined),
    "joined-adjusted": _rebuilt(prefix=ANOTHER),
    "gap": _rebuilt(gap=b"\0"),
    "gap-of-an-archive": _rebuilt(gap=ANOTHER),
    "directory-tail": _rebuilt(tail=b"PK\x05\x05\x02\0hi"),
    "directory-tail-zip64": _rebuilt(tail=b"PK\x06\x07" + bytes(16)),
    "first-disk": _rebuilt(first_disk=1),
    "fewer-here": _rebuilt(here=1),
    "claimed-comment": Tweak(archive=lambda wheel: wheel[:-2] + b"\x05\0"),
    "entry-on-another-disk": forge.last(disk=1),
    "central-extra-field": forge.last(central={"extra": b"up\x05\0acme!"}),
    "central-name": forge.last(central={"name": b"acme_weather-1.0.0.dist-info/RECORE"}),
    "data-in-the-directory": forge.last(declared_size=600, declared_packed=600),
    "name-in-the-end-record": Tweak(archive=_longer_last_name),
    "appended": Tweak(archive=lambda wheel: wheel + forge.archive([Entry(b"x", b"")])),
    "prefix": Tweak(archive=lambda wheel: b"#!/bin/sh\n" + wheel),
    "trailing": Tweak(archive=lambda wheel: wheel + b"\0"),
    "comment": Tweak(archive=lambda wheel: wheel[:-2] + b"\x05\0hello"),
    "empty": Tweak(archive=lambda _: b""),
    "no-zip": Tweak(archive=lambda _: b"PK" * 100),
    "zip64-locator": Tweak(archive=lambda wheel: wheel[:-22] + b"PK\x06\x07" + bytes(16) + wheel[-22:]),
    "zip64-count": Tweak(archive=lambda wheel: wheel[:-14] + b"\xff" * 12 + wheel[-2:]),
    "two-disks": Tweak(archive=lambda wheel: wheel[:-18] + b"\x01\0" + wheel[-16:]),
    "fewer-entries": Tweak(archive=lambda wheel: wheel[:-14] + b"\x02\0\x02\0" + wheel[-10:]),
    "more-entries": Tweak(archive=lambda wheel: wheel[:-14] + b"\x40\0\x40\0" + wheel[-10:]),
    "zip64-version": forge.last(version=45),
    "zip64-extra": forge.last(extra=b"\x01\0\x08\0" + bytes(8)),
    "extra-field": forge.last(extra=b"UT\x01\0\0"),
    "local-extra-field": forge.last(local={"extra": b"up\x05\0acme!"}),
    "member-comment": forge.last(comment=b"hello"),
    "data-descriptor": forge.last(descriptor=True),
    "encrypted": forge.last(flags=1),
    "strong-encryption": forge.last(flags=0x40),
    "masked-header": forge.last(flags=0x2000),
    "local-name": forge.last(local={"name": b"acme_weather-1.0.0.dist-info/RECORE"}),
    "local-longer-name": forge.last(local={"name": b"acme_weather-1.0.0.dist-info/RECORDS"}),
    "local-size": forge.last(local={"size": 1}),
    "local-packed": forge.last(local={"packed": 1}),
    "local-crc": forge.last(local={"crc": 1}),
    "local-method": forge.last(local={"method": 8}),
    "local-flags": forge.last(local={"flags": 2}),
    "local-time": forge.last(local={"time": 1}),
    "local-version": forge.last(local={"version": 10}),
    "stored-sizes": forge.last(declared_size=3),
    "data-behind-the-stream": forge.last(
        method=forge.DEFLATED, data=b"x", packed=zlib.compress(b"x", wbits=-15) + EVIL
    ),
    "stream-without-end": forge.last(method=forge.DEFLATED, data=b"x", packed=b"\x00\x01\x00\xfe\xffx"),
    "no-stream": forge.last(method=forge.DEFLATED, data=b"x", packed=b"\xff\xff"),
    "inflates-further": forge.last(method=forge.DEFLATED, declared_size=3),
    "inflates-short": forge.last(method=forge.DEFLATED, declared_size=9999),
}


@pytest.mark.parametrize("tweak", STRUCTURE.values(), ids=STRUCTURE)
def test_d14_archives_that_two_readers_read_differently(canary: Path, tweak: Tweak) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "ZIP_STRUCTURE"


def test_a_member_out_of_the_directorys_order_is_refused(canary: Path) -> None:
    def reordered(wheel: bytes) -> bytes:
        start = int.from_bytes(wheel[-6:-2], "little")
        directory, first = wheel[start:-22], 46 + int.from_bytes(wheel[start + 28 : start + 30], "little")
        return wheel[:start] + directory[first:] + directory[:first] + wheel[-22:]

    assert refusal(forge.release(ACME, canary=canary, tweak=Tweak(archive=reordered))) == "ZIP_STRUCTURE"


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_methods_other_than_stored_and_deflated_are_refused(canary: Path, method: int) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.last(method=method))) == "ZIP_METHOD"


def test_a_false_checksum_is_refused(canary: Path) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.last(crc=1))) == "ZIP_CRC"


@pytest.mark.parametrize(
    "entry",
    [
        Entry(b"acme_weather/zeros.txt", bytes(8 << 20), method=forge.DEFLATED),
        Entry(b"acme_weather/zeros.txt", b"", method=forge.DEFLATED, declared_size=0xFFFFFFFE),
        Entry(b"acme_weather/zeros.txt", b"", method=forge.DEFLATED, declared_size=65 << 20),
        Entry(b"acme_weather/zeros.txt", b"", declared_size=65 << 20, declared_packed=65 << 20),
    ],
    ids=["ratio", "declared-4-gib", "declared-65-mib", "stored-65-mib"],
)
def test_zip_bombs_are_refused_by_what_they_declare(canary: Path, entry: Entry) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(entry))) == "ZIP_SIZE"


def test_many_members_below_the_ratio_are_refused_by_their_sum(canary: Path) -> None:
    entries = [Entry(b"acme_weather/%d" % number, b"", forge.DEFLATED, declared_size=1 << 20) for number in range(257)]
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(*entries))) == "ZIP_SIZE"


def test_too_many_members_are_refused(canary: Path) -> None:
    entries = [Entry(b"acme_weather/%d" % number, b"") for number in range(10_001)]
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(*entries))) == "ZIP_SIZE"


def test_empty_directory_entries_are_allowed(canary: Path) -> None:
    folder = Entry(b"acme_weather/", b"", mode=forge.FOLDER_MODE)
    dos = Entry(b"acme_weather/dos/", b"", mode=forge.FOLDER_MODE, dos=0x10)
    bare = Entry(b"acme_weather/empty/", b"", mode=0o000755, system=0)
    tweak = Tweak(members=lambda members: [folder, *members, dos, bare])
    assert judged(forge.release(ACME, canary=canary, tweak=tweak)).accepted
