"""Who asks, where, and with which person at the terminal. The workspace is opened when an operation first needs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloned.workspace import Workspace
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import Operator
from cloned_storage.clock import Clock, SystemClock
from cloned_storage.layout import Places, UserPlaces, find_workspace


@dataclass(slots=True)
class Context:
    """What every operation gets.

    `start` is the folder that the command was given in, `named` the workspace that it named; `secret` asks for a value
    without showing it.
    """

    actor: str
    operator: Operator
    user: UserPlaces
    start: Path
    secret: Callable[[str], bytes]
    env: Mapping[str, str]
    named: Path | None = None
    say: Callable[[str], None] = lambda _text: None
    clock: Clock = field(default_factory=SystemClock)
    _workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """The workspace that the command is about. Raises WORKSPACE_MISSING where there is none."""
        if self._workspace is None:
            self._workspace = Workspace.open(self.places, self.user, self.clock)
        return self._workspace

    @property
    def places(self) -> Places:
        """Where that workspace is, without opening it."""
        return find_workspace(self.start, self.named, self.env)

    @property
    def opened(self) -> bool:
        """Whether the workspace was needed."""
        return self._workspace is not None

    @property
    def inside_workspace(self) -> bool:
        """Whether the command is about a workspace at all."""
        try:
            return bool(self.places)
        except UserMistake:
            return False

    def progress(self, text: str) -> None:
        """Say what is happening, in one line."""
        self.say(text)

    def close(self) -> None:
        """Close what was opened."""
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None
