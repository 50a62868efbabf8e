"""A workspace of real files, its user's folders and a clock that stands where it is put."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloned_schemas.errors import ClonedError
from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.database import Database, sqlite_url
from cloned_storage.layout import Places, UserPlaces
from cloned_storage.redaction import Redactor


@dataclass
class SetClock:
    moment: datetime = field(default_factory=lambda: datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    root = tmp_path / "work"
    root.mkdir()
    made = Places(root.resolve())
    made.prepare()
    return made


@pytest.fixture
def user(tmp_path: Path) -> UserPlaces:
    return UserPlaces.from_environment({"HOME": os.fspath(tmp_path / "home")})


@pytest.fixture
def database(places: Places) -> Database:
    return Database(sqlite_url(places.database), SystemClock())


WORKSPACE_ID = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(b"a salt of these tests")


@pytest.fixture
def log(places: Places, redactor: Redactor) -> AuditLog:
    return AuditLog(places, SystemClock(), WORKSPACE_ID, redactor)


@pytest.fixture
def error_of() -> Callable[..., ClonedError]:
    def run(*call: object, **named: object) -> ClonedError:
        function, *inputs = call
        assert callable(function)
        with pytest.raises(ClonedError) as caught:
            function(*inputs, **named)
        return caught.value

    return run
