"""Runs of real pipelines against an open workspace: the fixture `skills` over the root's fixture `workspace`."""

import pytest

from cloned.workspace import Workspace
from tests.skills.bench import Bench


@pytest.fixture
def skills(workspace: Workspace) -> Bench:
    return Bench(workspace)
