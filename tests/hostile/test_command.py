"""Odd places, odd names and odd arguments end in an error that says what to do, never in a traceback."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cloned_cli import run
from tests.conftest import Command, Desk


@pytest.fixture
def at_home(command: Command) -> Command:
    assert command("init", "--type", "personal").code == 0
    return command


def test_links_that_lead_in_a_circle_are_no_workspace(command: Command) -> None:
    (command.folder / "loop").symlink_to("loop")
    for arguments in (["--help"], ["audit", "tail"]):
        done = command("--workspace", "loop", *arguments)
        assert "Traceback" not in done.err
    assert (done.code, "WORKSPACE_MISSING" in done.err) == (2, True)


def test_a_folder_that_was_removed_is_no_place_to_be(command: Command) -> None:
    gone = command.folder / "gone"
    gone.mkdir()
    cloned = shlex.join([sys.executable, "-m", "cloned_cli.main", "audit", "tail"])
    script = f"cd {gone} && rmdir {gone} && exec {cloned}"
    ran = subprocess.run(["sh", "-c", script], env=command.env, capture_output=True, text=True, check=False)
    assert (ran.returncode, "USAGE" in ran.stderr, "Traceback" in ran.stderr) == (2, True, False)


def test_arguments_that_are_no_text_come_back_as_an_error(at_home: Command) -> None:
    done = at_home("audit", "show", os.fsdecode(b"\xff\x1b[2J"), "--json")
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert done.out.isascii()


def test_a_folder_of_nobody_s_home_is_not_lent(probed: Desk) -> None:
    with pytest.raises(Exception, match="FOLDER_UNSAFE"):
        probed.ask("plugin.grant", id="acme-probe", folder=["shelf=~nobody-of-this-name/papers"])


@pytest.mark.parametrize(("scope", "of"), [("key", "0123456789ab"), ("release", "a\nb"), ("publisher", "No One")])
def test_a_revocation_of_what_cannot_exist_is_refused(desk: Desk, scope: str, of: str) -> None:
    with pytest.raises(Exception, match="USAGE"):
        desk.ask("trust.revoke", scope=scope, id=of)
    assert not desk.user.revocations.exists()


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert run._user() == "uid-3999999999"


def test_a_workspace_cannot_be_made_below_a_file(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="USAGE"):
        desk.ask("workspace.init", path=str(tmp_path / "file" / "inside"))
