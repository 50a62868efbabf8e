"""Install a plugin in a process that ends by SIGKILL at a named step: ROOT STEP PLUGIN FOLDER."""

import os
import sys
from pathlib import Path

from cloned_storage.layout import UserPlaces
from tests.conftest import Desk
from tests.crash.call_driver import die_at


def main() -> None:
    root, step, plugin_id, folder = sys.argv[1:]
    desk = Desk(Path(root), UserPlaces.from_environment(os.environ))
    die_at(step, 1)
    desk.ask("plugin.install", **{"id": plugin_id, "from": folder, "enable": True})


if __name__ == "__main__":
    main()
