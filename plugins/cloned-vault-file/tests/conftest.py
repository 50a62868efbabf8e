"""Finds the plugin's package in its source folder.

These tests run in a process of their own: the host refuses a plugin whose package is importable from elsewhere
(TOPLEVEL_SHADOWED), so they are not collected together with tests that open a workspace.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
