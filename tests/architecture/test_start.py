"""`cloned --help` starts light: a count of modules is the same on every machine, where milliseconds are not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = 160
HEAVY = {"pydantic", "jsonschema", "sqlalchemy", "httpx", "starlette", "alembic", "ruamel.yaml", "msgspec.inspect"}

PROBE = """
import json, sys
sys.argv = ["cloned", "--help"]
try:
    {start}
except SystemExit as end:
    status = end.code or 0
else:
    status = 0
json.dump({{"status": status, "modules": sorted(sys.modules)}}, sys.stderr)
"""


def loaded(start: str, folder: Path) -> set[str]:
    """The modules in a new process after `start` ran, in an empty folder with nothing of the user's."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    probe = [sys.executable, "-c", PROBE.format(start=start)]
    done = subprocess.run(probe, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stderr)
    assert answer["status"] == 0
    return set(answer["modules"])


def too_heavy(modules: set[str]) -> list[str]:
    """What is wrong with this start."""
    problems = [f"{one} is loaded; import it in the function that needs it" for one in sorted(HEAVY & modules)]
    if len(modules) > MODULES:
        problems.append(f"{len(modules)} modules are loaded, {MODULES} at most")
    return problems


def test_help_loads_few_modules_and_none_of_the_heavy_ones(tmp_path: Path) -> None:
    modules = loaded("from cloned_cli.main import main; main()", tmp_path)
    assert "click" in modules
    assert too_heavy(modules) == []


@pytest.mark.parametrize("start", ["import pydantic", "import sqlalchemy", "import jsonschema"])
def test_a_heavy_start_is_found(tmp_path: Path, start: str) -> None:
    assert too_heavy(loaded(start, tmp_path))


def test_too_many_light_modules_are_found() -> None:
    assert too_heavy({f"light{number}" for number in range(MODULES)}) == []
    assert too_heavy({f"light{number}" for number in range(MODULES + 1)}) != []
