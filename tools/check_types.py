"""Check all types strictly: our distributions with every test, then each plugin by itself, as its author would.

Run: python tools/check_types.py. A plugin's folder is no package name, and its tests may be called what another's are,
so each is a run of its own with its own cache.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ("schemas", "trust", "sdk", "kernel", "tests", "tools")


def run(folder: Path, *arguments: str) -> bool:
    """One run of mypy in `folder`; True when it found nothing."""
    cache = ROOT / ".mypy_cache" / folder.name
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mypy", f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={cache}", *arguments],
        check=False,
        cwd=folder,
        env={**os.environ, "MYPYPATH": "src"} if folder != ROOT else None,
    )
    where = "." if folder == ROOT else folder.relative_to(ROOT)
    print(f"mypy {where}: {'good' if done.returncode == 0 else 'found something'} ({time.monotonic() - begin:.1f} s)")
    return done.returncode == 0


def plugin(folder: Path) -> bool:
    """A plugin's sources and tests; a plugin of data alone has nothing to check."""
    parts = [part for part in ("src", "tests") if any((folder / part).rglob("*.py"))]
    return run(folder, *parts) if parts else True


def main() -> int:
    """Run them all, whatever one of them finds. 0 when none found anything."""
    good = [run(ROOT, *(part for part in OURS if any((ROOT / part).rglob("*.py"))))]
    good += [plugin(place.parent) for place in sorted(ROOT.glob("plugins/*/pyproject.toml"))]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
