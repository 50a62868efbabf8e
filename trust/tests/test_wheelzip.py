"""The ZIP gate: what it accepts, every reader reads alike; what is turned in an archive's structure is never missed."""

import hashlib
import io
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloned_trust import wheelzip
from cloned_trust.membername import NameSet, decode
from cloned_trust.verdict import Refusal

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
segments = st.text(alphabet="abcXYZ019._-", min_size=1, max_size=6).filter(lambda text: text.strip(".") == text)
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
contents = st.binary(max_size=200) | st.binary(max_size=4).map(lambda data: data * 500)


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A wheel as the standard library writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as writer:
        for name, data in files.items():
            writer.writestr(name, data)
    return buffer.getvalue()


def read_or_refused(data: bytes) -> tuple[wheelzip.Member, ...] | None:
    try:
        return wheelzip.read(data)
    except Refusal:
        return None


def decoded_or_refused(raw: bytes) -> str | None:
    try:
        return decode(raw)
    except Refusal:
        return None


@given(st.dictionaries(paths, contents, min_size=1, max_size=5), st.sampled_from(METHODS))
def test_what_is_accepted_is_what_the_standard_reader_reads(files: dict[str, bytes], method: int) -> None:
    members = read_or_refused(archive(files, method))
    if members is not None:
        assert {member.path: member.data for member in members} == files
        assert all(member.sha256 == hashlib.sha256(files[member.path]).hexdigest() for member in members)
        assert all(member.size == len(member.data) for member in members)


SMALL = archive({"a/one.py": b"print('one')\n", "a/two": b""}), archive({"a/b.txt": b"ab" * 30}, zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("data", SMALL, ids=["stored", "deflated"])
def test_every_change_of_a_single_byte_is_refused_or_changes_nothing(data: bytes) -> None:
    honest = wheelzip.read(data)
    for place in range(len(data)):
        for value in range(256):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            assert read_or_refused(changed) in (None, honest), f"byte {place} as {value}"


@pytest.mark.parametrize("data", SMALL, ids=["stored", "deflated"])
def test_every_truncation_removal_and_repetition_is_refused(data: bytes) -> None:
    for place in range(len(data)):
        assert read_or_refused(data[:place]) is None
        assert read_or_refused(data[:place] + data[place + 1 :]) is None
        assert read_or_refused(data[:place] + data[place : place + 1] + data[place:]) is None


@settings(max_examples=300)
@given(st.data())
def test_changes_of_several_bytes_never_show_what_another_reader_does_not(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    members = read_or_refused(bytes(changed))
    if members is not None:
        with zipfile.ZipFile(io.BytesIO(bytes(changed))) as reader:
            names = [name for name in reader.namelist() if not name.endswith("/")]
            assert {name: reader.read(name) for name in names} == {member.path: member.data for member in members}


def test_the_permissions_that_an_archive_claims_are_reported() -> None:
    buffer = io.BytesIO()
    info = zipfile.ZipInfo("a/run.sh")
    info.external_attr = 0o100755 << 16
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.writestr(info, b"")
    (member,) = wheelzip.read(buffer.getvalue())
    assert member.mode == 0o755


def test_an_archive_of_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="ZIP_SIZE"):
        wheelzip.read(archive({}))


def test_an_archive_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(Refusal, match="ZIP_SIZE"):
        wheelzip.read(bytes(wheelzip.MAX_ARCHIVE + 1))


def test_highly_repetitive_text_below_a_mebibyte_passes() -> None:
    (member,) = wheelzip.read(archive({"a/zeros": bytes(wheelzip.RATIO_FREE)}, zipfile.ZIP_DEFLATED))
    assert member.size == wheelzip.RATIO_FREE
    with pytest.raises(Refusal, match="ZIP_SIZE"):
        wheelzip.read(archive({"a/zeros": bytes(wheelzip.RATIO_FREE + 1)}, zipfile.ZIP_DEFLATED))


@given(st.binary(max_size=12) | paths.map(str.encode))
def test_an_accepted_name_is_plain_everywhere(raw: bytes) -> None:
    name = decoded_or_refused(raw)
    if name is None:
        return
    assert name.encode("ascii") == raw
    assert name.isprintable()
    assert not set(name) & set('\\:*?"<>|')
    for segment in name.removesuffix("/").split("/"):
        assert segment == segment.strip(" ").rstrip(".") != ""


@given(st.lists(st.sampled_from(["a", "A", "a/", "a/b", "A/c", "a/b/", "a/b/c", "B"]), max_size=5))
def test_accepted_names_make_one_tree_on_every_file_system(names: list[str]) -> None:
    seen = NameSet()
    if _collide(names):
        with pytest.raises(Refusal, match="ZIP_DUPLICATE"):
            add_all(seen, names)
    else:
        add_all(seen, names)


def add_all(seen: NameSet, names: list[str]) -> None:
    for name in names:
        seen.add(name)


def _collide(names: list[str]) -> bool:
    """Independently: unpack into a dictionary that ignores case, and look whether anything met anything."""
    kinds: dict[str, Any] = {}
    spelled: dict[str, set[str]] = {}
    for name in names:
        path = name.rstrip("/")
        steps = path.split("/")
        for depth in range(1, len(steps) + 1):
            part = "/".join(steps[:depth])
            spelled.setdefault(part.lower(), set()).add(part)
            is_file = depth == len(steps) and not name.endswith("/")
            kinds.setdefault(part.lower(), set()).add("file" if is_file else "folder")
    explicit = [name.rstrip("/").lower() for name in names]
    return (
        any(len(kind) > 1 for kind in kinds.values())
        or any(len(spelling) > 1 for spelling in spelled.values())
        or len(set(explicit)) < len(explicit)
    )
