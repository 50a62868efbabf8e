"""Import a plugin's package from its verified tree, and nothing else from there.

Owns the one way by which plugin code becomes importable in a worker. Reads sources only: no bytecode (a planted
`.pyc` runs whatever the source says), no native module, no other top-level of the tree, no `.pth`.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType


class SourceLoader(SourceFileLoader):
    """Compiles the source each time; a cached bytecode file is never looked for."""

    def get_code(self, fullname: str) -> CodeType:
        """The module's code. Raises ImportError, SyntaxError, OSError."""
        place = self.get_filename(fullname)
        return self.source_to_code(self.get_data(place), place)


class PluginFinder:
    """Finds `toplevel` and its submodules in `tree`. Stands first on `sys.meta_path`, so nothing else answers for them.

    Raises ImportError where the name belongs to the standard library, the SDK or a module that is loaded already:
    a plugin never stands in for another's code.
    """

    def __init__(self, tree: str, toplevel: str) -> None:
        taken = toplevel in sys.stdlib_module_names or toplevel in sys.modules or toplevel in ("cloned_sdk", "msgspec")
        if taken or not toplevel.isidentifier():
            raise ImportError(f"a plugin cannot own the package name {toplevel!r}")
        self._toplevel = toplevel
        self._tree = tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of the plugin; None for every other name."""
        if fullname.partition(".")[0] != self._toplevel:
            return None
        for folder in [self._tree] if path is None else path:
            spec = FileFinder(folder, (SourceLoader, [".py"])).find_spec(fullname, target)
            if spec is not None and spec.loader is not None:
                return spec
        raise ModuleNotFoundError(f"the plugin has no module {fullname!r}", name=fullname)
