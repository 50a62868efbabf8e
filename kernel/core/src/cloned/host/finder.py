"""The one way by which plugin code becomes importable in this process. Refuses a package that something else provides.

The finder stands first on `sys.meta_path` and owns exactly the packages given to it. Each source is hashed against the
signed manifest before it is compiled, and compiled each time: no bytecode file is read or written, so a planted one
never runs; native modules and every file that the manifest does not list do not exist for it.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from cloned_schemas.errors import TrustRefused

if TYPE_CHECKING:
    from cloned.host.judgement import VerifiedPlugin


class VerifiedLoader(SourceFileLoader):
    """Loads one module of a plugin, from bytes that are what its publisher signed."""

    def __init__(self, fullname: str, path: Path, plugin: "VerifiedPlugin", finder: "VerifiedFinder") -> None:
        super().__init__(fullname, str(path))
        self.plugin, self.finder = plugin, finder

    def get_code(self, fullname: str) -> CodeType:
        """The module's code, compiled from its source. Raises TREE_MISMATCH, SyntaxError."""
        place = self.get_filename(fullname)
        return self.source_to_code(self.get_data(place), place)

    def get_data(self, path: str) -> bytes:
        """A file of the plugin. Raises TREE_MISMATCH, FileNotFoundError for one that the manifest does not list."""
        inside = path.removeprefix(f"{self.plugin.tree}/")
        if inside not in self.plugin.files:
            raise FileNotFoundError(f"{path} is not a file of {self.plugin.id}")
        return self.plugin.read(inside)


class VerifiedFinder:
    """Finds the modules of the plugins whose packages it owns; answers for no other name. One for each plugin host."""

    def __init__(self) -> None:
        self._owned: dict[str, VerifiedPlugin] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the manifest alone says where a module is
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's protocol has it
    ) -> ModuleSpec | None:
        """The spec of a module of an owned package; None for every other name.

        Raises ModuleNotFoundError for a module that an owned package does not have, so that nobody else is asked.
        """
        plugin = self._owned.get(fullname.partition(".")[0])
        if plugin is None:
            return None
        inside = fullname.replace(".", "/")
        for place, is_package in ((f"{inside}/__init__.py", True), (f"{inside}.py", False)):
            if place in plugin.files:
                return self._spec(fullname, plugin.tree / place, plugin, is_package=is_package)
        raise ModuleNotFoundError(f"the plugin has no module {fullname!r}", name=fullname)

    def _spec(self, fullname: str, place: Path, plugin: "VerifiedPlugin", *, is_package: bool) -> ModuleSpec:
        loader = VerifiedLoader(fullname, place, plugin, self)
        spec = ModuleSpec(fullname, loader, origin=str(place), is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(place.parent)]
        return spec

    def shadow(self, toplevel: str, wheel_sha256: str) -> str | None:
        """Where else a package of this name comes from: loaded already, or found on the path; None if nowhere.

        Modules that this finder loaded do not count, nor those of another host in this process from the same wheel.
        """
        if toplevel in sys.modules:
            loader = _loader(sys.modules[toplevel])
            own = isinstance(loader, VerifiedLoader) and (
                loader.finder is self or loader.plugin.wheel_sha256 == wheel_sha256
            )
            if not own:
                return f"a module that is loaded already ({vars(sys.modules[toplevel]).get('__file__')})"
        for finder in sys.meta_path:
            if isinstance(finder, VerifiedFinder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(toplevel, None)
            if spec is not None and spec.loader is not None:  # a bare folder of that name provides no code
                return str(spec.origin)
        return None

    def own(self, plugin: "VerifiedPlugin") -> None:
        """Make a plugin's package importable, before everything else on the path, in place of another release of it.

        Raises TrustRefused TOPLEVEL_SHADOWED.
        """
        if (before := self._owned.get(plugin.toplevel)) and before.wheel_sha256 != plugin.wheel_sha256:
            self.disown(plugin.toplevel)
        if other := self.shadow(plugin.toplevel, plugin.wheel_sha256):
            raise TrustRefused("TOPLEVEL_SHADOWED", f"the package {plugin.toplevel} also comes from {other}")
        self._owned[plugin.toplevel] = plugin
        if not sys.meta_path or sys.meta_path[0] is not self:
            self._leave()
            sys.meta_path.insert(0, self)

    def disown(self, toplevel: str) -> None:
        """Forget a package and every module that was loaded of it. What still refers to them keeps them."""
        self._owned.pop(toplevel, None)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == toplevel:
                loader = _loader(module)
                if isinstance(loader, VerifiedLoader) and loader.finder is self:
                    del sys.modules[name]

    def close(self) -> None:
        """Forget everything, and leave the import system as it was found."""
        for toplevel in list(self._owned):
            self.disown(toplevel)
        self._leave()

    def _leave(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]


def _loader(module: ModuleType | None) -> object:
    """The loader of an entry of `sys.modules`, which may hold anything."""
    spec = vars(module).get("__spec__") if isinstance(module, ModuleType) else None
    return spec.loader if isinstance(spec, ModuleSpec) else None
