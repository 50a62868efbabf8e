from pathlib import Path

import pytest

from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places
from cloned_storage.redaction import Redactor

WORKSPACE_ID = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(b"a salt of these tests")


@pytest.fixture
def log(places: Places, redactor: Redactor) -> AuditLog:
    return AuditLog(places, SystemClock(), WORKSPACE_ID, redactor)
