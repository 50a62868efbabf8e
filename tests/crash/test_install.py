"""kill -9 at every step of an install: the plugin is there whole or not at all, and the next try succeeds."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Desk, Dist, environment

PLUGIN = "cloned-research"
STEPS = [
    "install.locked", "install.unpacked", "install.sealed", "install.renamed", "install.durable",
    "change.journaled", "change.audited", "change.file", "change.accepted", "change.done",
]  # fmt: skip


def killed_at(desk: Desk, home: Path, step: str, dist: Dist) -> None:
    driver = [sys.executable, "-m", "tests.crash.install_driver", str(desk.root), step, PLUGIN, str(dist.folder)]
    done = subprocess.run(driver, env=environment(home), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_install_is_whole_or_not_at_all(desk: Desk, home: Path, dist: Dist, step: str) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    killed_at(desk, home, step, dist)
    rows = desk.ask("plugin.list").plugins
    installs = [entry for entry in desk.ask("audit.tail", count=50).entries if entry["kind"] == "install"]
    assert [row["state"] for row in rows] in ([], ["enabled"])
    assert len(installs) == len(rows)
    desk.ask("plugin.install", **{"id": PLUGIN, "from": str(dist.folder), "enable": True})
    assert [row["state"] for row in desk.ask("plugin.list").plugins] == ["enabled"]
    assert desk.ask("plugin.verify").plugins[0]["state"] == "verified"
    assert desk.ask("doctor.run").problems == 0
