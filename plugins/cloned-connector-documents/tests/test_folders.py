"""A hostile folder: everything odd is skipped with its reason, nothing outside is read, the rest is found."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloned_connector_documents import folders
from cloned_sdk import ToolError

Ask = Callable[..., Any]
GOOD = "Turtles are slow.\n"


def reasons(listed: Ask) -> dict[str, str]:
    return {one.path: one.reason for one in listed().skipped}


def paths(listed: Ask) -> list[str]:
    return [one.path for one in listed(limit=500).documents]


def test_documents_are_listed_from_the_top_down(docs: Path, listed: Ask) -> None:
    (docs / "a").mkdir()
    for name in ("z.md", "a/b.html", "README", "notes.TXT", "picture.png", ".hidden.md"):
        (docs / name).write_text(GOOD)
    answer = listed()
    assert [(one.path, one.kind) for one in answer.documents] == [
        ("README", "text"), ("notes.TXT", "text"), ("z.md", "markdown"), ("a/b.html", "html"),
    ]  # fmt: skip
    assert (answer.total, answer.other_files, answer.skipped) == (4, 1, [])
    assert [one.path for one in listed(limit=2, offset=1).documents] == ["notes.TXT", "z.md"]


def test_links_are_never_followed(docs: Path, tmp_path: Path, listed: Ask, read: Ask) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("the secret\n")
    (docs / "file.md").symlink_to(outside / "secret.md")
    (docs / "folder").symlink_to(outside)
    (docs / "dangling.md").symlink_to("/nowhere/at/all")
    (docs / "inside.md").symlink_to("good.md")
    (docs / "good.md").write_text(GOOD)
    assert paths(listed) == ["good.md"]
    assert set(reasons(listed)) == {"dangling.md", "file.md", "folder", "inside.md"}
    assert all("links are not followed" in reason for reason in reasons(listed).values())
    for path in ("file.md", "folder/secret.md", "dangling.md"):
        with pytest.raises(ToolError, match="link") as refused:
            read(path)
        assert refused.value.code == "UNREADABLE"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.md",
        "a/../../secret.md",
        "/etc/passwd.md",
        "a//b.md",
        "./a.md",
        ".git/x.md",
        "a\0.md",
        "a/" * 30 + "b.md",
    ],
)
def test_a_path_that_is_not_plain_is_refused(tmp_path: Path, docs: Path, read: Ask, path: str) -> None:
    (tmp_path / "secret.md").write_text("the secret\n")
    (docs / "a").mkdir()
    with pytest.raises(ToolError) as refused:
        read(path)
    assert refused.value.code == "PATH_REFUSED"


def test_names_that_are_no_text_are_skipped(docs: Path, listed: Ask) -> None:
    for name in (b"\xff\xfe.md", b"line\nbreak.md", "bidi\u202e.md".encode()):
        Path(os.fsdecode(os.fsencode(docs) + b"/" + name)).write_text(GOOD)
    assert paths(listed) == []
    told = reasons(listed)
    assert told["\\udcff\\udcfe.md"] == "its name is not UTF-8"
    assert sorted(told.values())[:2] == ["its name holds invisible characters"] * 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9\n", "not UTF-8 at byte 3"),
        (b"\x89PNG\0\0", "binary content"),
        (b"\x01\x02\x03 text", "binary content"),
        (b"x" * (folders.MAX_FILE_BYTES + 1), "larger than 5 MiB"),
    ],
)
def test_a_file_that_is_no_text_is_skipped_with_the_reason(docs: Path, search: Ask, data: bytes, reason: str) -> None:
    (docs / "bad.md").write_bytes(data)
    (docs / "good.md").write_text(GOOD)
    answer = search("turtles")
    assert [one.path for one in answer.passages] == ["good.md"]
    assert [(one.path, one.reason) for one in answer.skipped] == [("bad.md", reason)]


def test_a_pipe_or_a_socket_is_not_opened(docs: Path, listed: Ask, read: Ask) -> None:
    os.mkfifo(docs / "pipe.md")
    assert reasons(listed) == {"pipe.md": "not a regular file"}
    with pytest.raises(ToolError, match="not a regular file"):
        read("pipe.md")


def test_folders_that_go_on_for_ever_are_cut(docs: Path, listed: Ask) -> None:
    deep = docs
    for _ in range(folders.MAX_DEPTH + 3):
        deep = deep / "d"
        deep.mkdir()
    (deep / "a.md").write_text(GOOD)
    assert paths(listed) == []
    assert list(reasons(listed).values()) == [f"more than {folders.MAX_DEPTH} folders deep"]


def test_the_files_over_the_limit_are_the_deepest_and_are_told(docs: Path, listed: Ask) -> None:
    (docs / "below").mkdir()
    for number in range(folders.MAX_FILES):
        (docs / f"{number:04}.txt").write_text("x\n")
    (docs / "below" / "late.md").write_text(GOOD)
    assert listed().total == folders.MAX_FILES
    assert reasons(listed) == {"below/late.md": "over the limit of 2000 documents"}


def test_a_folder_that_cannot_be_opened_is_told(docs: Path, search: Ask) -> None:
    docs.rmdir()
    answer = search("turtles")
    assert answer.passages == []
    assert answer.skipped[0].reason.startswith("the folder cannot be opened")


def test_reading_gives_the_lines_asked_for(docs: Path, read: Ask) -> None:
    (docs / "a.md").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n<!-- hidden -->\r\nfour\r\n")
    whole = read("a.md")
    assert (whole.text, whole.line_start, whole.line_end, whole.total_lines) == ("one\ntwo\n \nfour\n", 1, 5, 5)
    part = read("a.md", line_start=2, line_end=4)
    assert (part.text, part.line_start, part.line_end, part.truncated) == ("two\n \nfour", 2, 4, False)
    short = read("a.md", max_chars=5)
    assert (short.text, short.line_end, short.truncated) == ("one", 1, True)
    assert read("a.md", max_chars=2).text == "on"


def test_reading_html_gives_its_visible_text_at_its_lines(docs: Path, read: Ask) -> None:
    (docs / "a.html").write_text("<html>\n<p>one\n<p hidden>no</p>\n<b>three</b> <i>four</i>\n")
    assert read("a.html").text.split("\n") == ["", "one", "", "three four"]


def test_lines_that_are_not_there_and_other_files_are_refused(docs: Path, read: Ask) -> None:
    (docs / "a.md").write_text("one\n")
    (docs / "a.py").write_text("secret = 1\n")
    for path, more, code in (("a.md", {"line_start": 9}, "LINES_UNKNOWN"), ("a.py", {}, "UNREADABLE"),
                             ("none.md", {}, "UNREADABLE")):  # fmt: skip
        with pytest.raises(ToolError) as refused:
            read(path, **more)
        assert refused.value.code == code
