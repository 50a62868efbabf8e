"""What the kernel lends to one kernel plugin: narrow, its own, and nothing to reach the rest by."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cloned_sdk.host import HostDatabase, SkillPackSource, Tools
from cloned_storage.clock import Clock, uuid7
from cloned_storage.layout import private_folder

Level = Literal["debug", "info", "warning", "error"]
_LEASE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class LentHost:
    """`cloned_sdk.host.Host`, made for one plugin.

    `states` is the folder that holds each plugin's own folder, `run` the workspace's folder of locks; `write_log`
    redacts; `packs` answers with the enabled plugins' skill packs.
    """

    plugin_id: str
    settings: Mapping[str, Any]
    database: HostDatabase
    tools: Tools
    clock: Clock
    states: Path
    run: Path
    write_log: Callable[[Level, str], None]
    packs: Callable[[], Sequence[SkillPackSource]]

    @property
    def state_folder(self) -> Path:
        """The plugin's own folder, 0700. Raises STORE_MODE, WORKSPACE_READ_ONLY."""
        return private_folder(self.states / self.plugin_id)

    def now(self) -> datetime:
        """The time in UTC."""
        return self.clock.now()

    def new_id(self) -> str:
        """A new UUIDv7."""
        return uuid7(self.clock)

    def log(self, level: Level, message: str) -> None:
        """One line in the log, under the plugin's name."""
        self.write_log(level, f"{self.plugin_id}: {message}")

    def skill_packs(self) -> Sequence[SkillPackSource]:
        """Every skill pack of the enabled plugins, sorted by id."""
        return sorted(self.packs(), key=lambda pack: pack.id)

    @contextmanager
    def lease(self, name: str) -> Iterator[bool]:
        """Whether this is now the only holder of `name` among all processes and threads; it ends with the block.

        A process that ends, however it ends, holds nothing any more (flock(2)). Names are the plugin's own: at most 100
        lower-case letters, digits, `.`, `_`, `-`. Raises ValueError for another name, OSError where none can be made.
        """
        if not _LEASE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a lease")
        place = self.run / f"{self.plugin_id}.{name}.lock"
        descriptor = _locked(place)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                place.unlink(missing_ok=True)  # while it is held, so that nobody can hold a file of the past
                os.close(descriptor)


def _locked(place: Path) -> int | None:
    """A descriptor that holds the lock of the file which has that name now; None where another holds it."""
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.close(descriptor)  # its last holder removed it between our open and our lock
