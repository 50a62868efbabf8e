"""RECORD: right about every file, to the byte, in any order."""

import hashlib
from itertools import permutations

import pytest

from cloned_schemas.manifest import FileEntry
from cloned_trust import places, record

OWN = "a_b-1.0.0.dist-info/RECORD"
FILES = [FileEntry(path=path, size=1, sha256=hashlib.sha256(path.encode()).hexdigest()) for path in ("a_b/x", "a_b/y")]
LINES = [f"{record.line(entry)}\n" for entry in FILES] + [f"{OWN},,\n"]


def wrong(text: str) -> tuple[str, ...]:
    return record.differences(text.encode("latin-1"), FILES, OWN)


def test_any_order_of_the_right_lines_is_right() -> None:
    for lines in permutations(LINES):
        assert wrong("".join(lines)) == ()


def test_a_line_is_what_wheels_have() -> None:
    empty = FileEntry(path="a_b/__init__.py", size=0, sha256=hashlib.sha256(b"").hexdigest())
    assert record.line(empty) == "a_b/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("".join(LINES[1:]), ("a_b/x",)),
        ("".join(LINES[:2]), (OWN,)),
        ("".join([*LINES, LINES[0]]), ("a_b/x",)),
        ("".join([*LINES, "a_b/z,,\n"]), ("a_b/z",)),
        ("".join(LINES).replace(",1\n", ",2\n"), ("a_b/x", "a_b/y")),
        ("".join(LINES).rstrip("\n"), (OWN,)),
        ("".join(LINES) + "\n", (OWN,)),
        ("".join(LINES).replace("\n", "\r\n"), (OWN, "a_b/x", "a_b/y")),
        ("\ufeff".encode().decode("latin-1") + "".join(LINES), ("a_b/x", "ï»¿a_b/x")),
        ("", (OWN, "a_b/x", "a_b/y")),
    ],
)
def test_everything_else_is_named(text: str, paths: tuple[str, ...]) -> None:
    assert wrong(text) == paths


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a_b-1.0.0-py3-none-any.whl", ("a_b", "1.0.0", "py3-none-any")),
        ("a_b-1.0.0rc1-cp311-abi3-manylinux_2_28_x86_64.whl", ("a_b", "1.0.0rc1", "cp311-abi3-manylinux_2_28_x86_64")),
        ("a_b-1.0.0-1-py3-none-any.whl", None),
        ("a-b-1.0.0-py3-none-any.whl", None),
        ("A_b-1.0.0-py3-none-any.whl", None),
        ("../a_b-1.0.0-py3-none-any.whl", None),
        ("a_b-1.0.0-py3-none-any.whl\n", None),
        ("a_b-1.0.0.tar.gz", None),
    ],
)
def test_a_wheels_name_has_three_parts(name: str, parts: tuple[str, str, str] | None) -> None:
    assert places.wheel_parts(name) == parts
