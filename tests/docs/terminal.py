"""A shell on a terminal of its own, typed into as a person would: commands, and the code shown where one is asked for.

Waits for the prompt and for nothing else; knows no page and judges no output.
"""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

COLUMNS, LINES = 110, 50
PATIENCE_SECONDS = 120.0
"""A command that shows nothing for so long waits for something that the page does not say."""
PROMPT = re.compile(rb"\x1e(\d+)\x1e$")
CODE = re.compile(rb"Type (\d{4}) to agree: $")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Shell:
    """bash, until `close`. `env` is the whole environment."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        inside = {**env, "PS1": "\\036$?\\036", "PS2": "", "PS0": "", "TERM": "xterm"}
        self.terminal, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        quiet = termios.tcgetattr(theirs)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, quiet)
        # setsid makes the terminal the controlling one, which is where a person is asked.
        bash = ["setsid", "--ctty", "bash", "--noprofile", "--norc", "--noediting", "-i"]
        self.process = subprocess.Popen(bash, cwd=folder, env=inside, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._until_prompt()

    def type(self, command: str) -> tuple[int, str]:
        """Type a command; types the code too, where one is asked for. Returns its exit code and what was shown."""
        os.write(self.terminal, command.encode() + b"\n")
        return self._until_prompt()

    def close(self) -> None:
        """End the shell and whatever still runs on its terminal."""
        self.process.send_signal(signal.SIGHUP)  # bash passes it on to what it started
        os.close(self.terminal)
        self.process.wait(PATIENCE_SECONDS)

    def _until_prompt(self) -> tuple[int, str]:
        seen = b""
        while (ended := PROMPT.search(seen)) is None:
            ready, _, _ = select.select([self.terminal], [], [], PATIENCE_SECONDS)
            assert ready, f"still waiting after:\n{seen.decode(errors='replace')}"
            seen += os.read(self.terminal, 65536)
            if (asked := CODE.search(seen)) is not None:
                os.write(self.terminal, asked[1] + b"\n")
                seen += asked[1] + b"\n"
        shown = seen[: ended.start()].decode(errors="replace").replace("\r", "")
        return int(ended[1]), COLOUR.sub("", shown)
