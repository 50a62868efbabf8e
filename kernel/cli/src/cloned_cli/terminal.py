"""The person at the terminal: shown what is about to be decided, and agreeing by typing a code shown only there."""

import os
import secrets
import sys
from collections.abc import Sequence
from getpass import getpass

from cloned_schemas.errors import PolicyDenied, UserMistake

MAX_SECRET = 64 * 1024


class TerminalOperator:
    """Asks on the controlling terminal, never on standard input, which a pipe could feed."""

    def confirm(self, subject: str, facts: Sequence[str]) -> None:
        """Return once the code shown was typed. Raises OPERATOR_REQUIRED without a terminal, else OPERATOR_DECLINED."""
        try:
            descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise PolicyDenied(
                "OPERATOR_REQUIRED", f"to {subject}, a person must agree at a terminal, and there is none here"
            ) from error
        code = f"{secrets.randbelow(10_000):04}"
        with os.fdopen(descriptor, "r+b", buffering=0) as terminal:
            shown = [f"About to {subject}.", *(f"  {fact}" for fact in facts), f"Type {code} to agree: "]
            try:
                terminal.write("\n".join(clean(line) for line in shown).encode())
                typed = terminal.readline(64)
            except OSError as error:
                raise PolicyDenied("OPERATOR_REQUIRED", f"to {subject}, a person must answer at a terminal") from error
        if typed.strip() != code.encode():
            raise PolicyDenied(
                "OPERATOR_DECLINED", f"the code typed was not the code shown, so nothing was done to {subject}"
            )


def clean(text: str) -> str:
    """Text without what could steer a terminal or hide in a line; other people wrote it."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def read_secret(prompt: str) -> bytes:
    """A secret typed without echo, or standard input where that is no terminal. Raises UserMistake when empty."""
    if sys.stdin.isatty():
        value = getpass(f"{clean(prompt)}: ").encode()
    else:
        value = sys.stdin.buffer.read(MAX_SECRET + 1).removesuffix(b"\n")
    if not value or len(value) > MAX_SECRET:
        raise UserMistake("USAGE", f"a secret has 1 to {MAX_SECRET} bytes; {len(value)} were given")
    return value
