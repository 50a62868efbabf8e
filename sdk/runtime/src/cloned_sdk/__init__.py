"""What a plugin imports: `Server`, `Call` and `ToolError` in a worker, `hookimpl` and the lent values in the kernel.

Every name is loaded when it is first asked for, so a worker never pays for (or needs) pluggy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

    from cloned_sdk.host import *  # noqa: F403 - its names are public here too; types see them, run time waits
    from cloned_sdk.tools import Call as Call
    from cloned_sdk.tools import Server as Server
    from cloned_sdk.tools import ToolError as ToolError

    hookimpl: pluggy.HookimplMarker

_HOMES = {"Call": "tools", "Server": "tools", "ToolError": "tools"}
__all__ = ["Call", "Server", "ToolError", "hookimpl"]


def __getattr__(name: str) -> Any:
    """A public name on its first use (PEP 562); names of `host.py` are public too. Raises AttributeError."""
    if name == "hookimpl":
        value: Any = import_module("pluggy").HookimplMarker("cloned")
    elif name.startswith("_"):
        raise AttributeError(f"module 'cloned_sdk' has no attribute {name!r}")
    else:
        value = _from_home(name)
    globals()[name] = value
    return value


def _from_home(name: str) -> Any:
    home = import_module(f"cloned_sdk.{_HOMES.get(name, 'host')}")
    if name not in vars(home):
        raise AttributeError(f"module 'cloned_sdk' has no attribute {name!r}")
    return vars(home)[name]
