"""The plugin's entry is light and answers what its manifest says."""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def test_importing_the_entry_loads_no_cryptography() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import cloned_vault_file.plugin;"
        "print([name for name in ('nacl', 'msgspec', 'cffi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
