"""The package's front door: light until something is asked for."""

import subprocess
import sys

import pytest

import cloned_sdk
from cloned_sdk import host


def test_importing_the_package_loads_none_of_its_parts() -> None:
    code = (
        "import sys, cloned_sdk; print([m for m in sys.modules if m.startswith(('cloned_sdk.', 'msgspec', 'pluggy'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_worker_side_never_loads_pluggy() -> None:
    code = "import sys; from cloned_sdk import Server, Call, ToolError; print('pluggy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_hookimpl_marks_for_this_project() -> None:
    assert cloned_sdk.hookimpl.project_name == "cloned"
    assert cloned_sdk.hookimpl is cloned_sdk.hookimpl


def test_the_lent_values_are_public_names() -> None:
    assert cloned_sdk.Host is host.Host


def test_an_unknown_name_is_an_attribute_error() -> None:
    for name in ("Nothing", "_private"):
        with pytest.raises(AttributeError, match=name):
            getattr(cloned_sdk, name)
