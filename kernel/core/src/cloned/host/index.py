"""The command index: what plugins add to the command line, kept so that `cloned --help` imports neither them nor us.

A cache of verified manifests and nothing more: it decides no verdict, and a damaged one is as good as none.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloned.host.judgement import PluginVerdict, VerifiedPlugin

_SCHEMA = 1
_MAX_BYTES = 4 << 20
_ENTRY_POINTS = "cloned.plugins"


@dataclass(frozen=True, slots=True)
class Index:
    """`commands` are a manifest's `contributes.commands`, each with `plugin_id`; `built_for` is plugin id → wheel."""

    commands: tuple[dict[str, Any], ...]
    built_for: dict[str, str]


def render(plugins: Iterable["VerifiedPlugin"]) -> bytes:
    """The index of these plugins as the file's content; equal plugins give equal bytes."""
    known = sorted(plugins, key=lambda plugin: plugin.id)
    commands = [
        {"plugin_id": plugin.id, **command.model_dump(mode="json")}
        for plugin in known
        for command in plugin.manifest.contributes.commands
    ]
    body = {"schema_version": _SCHEMA, "built_for": {plugin.id: plugin.wheel_sha256 for plugin in known}}
    return json.dumps({**body, "commands": commands}, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def place(user_state: Path, root: Path) -> Path:
    """Where the index of a workspace lies: in the user's state, where a checkout cannot bring one."""
    return user_state / "index" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"


def read(path: Path) -> Index | None:
    """The index in a file; None where there is none that can be used, which building it again mends."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        match json.loads(data) if len(data) <= _MAX_BYTES else None:
            case {"schema_version": 1, "built_for": dict(built_for), "commands": list(commands)}:
                return Index(tuple(one for one in commands if _is_command(one)), built_for)
    except (OSError, ValueError, RecursionError):
        return None
    return None


def _is_command(value: object) -> bool:
    match value:
        case {"plugin_id": str(), "operation": str(), "help": str(), "path": [str(), *rest], "parameters": list()}:
            return all(isinstance(word, str) for word in rest)
    return False


def unmanaged() -> "tuple[PluginVerdict, ...]":
    """Plugins that somebody installed into this Python, by metadata alone. Nothing of them is imported or ever used."""
    from importlib import metadata  # noqa: PLC0415 - 60 modules that a --help does not load

    from packaging.utils import canonicalize_name  # noqa: PLC0415 - as above

    from cloned.host.judgement import PluginVerdict  # noqa: PLC0415 - as above
    from cloned_trust.places import MANIFEST_NAME  # noqa: PLC0415 - as above

    found = {}
    for one in metadata.distributions():
        points = any(point.group == _ENTRY_POINTS for point in one.entry_points)
        if one.metadata["Name"] and (points or one.read_text(f"cloned/{MANIFEST_NAME}") is not None):
            name = canonicalize_name(one.metadata["Name"])
            why = "it was installed into this Python without being verified, and is not used"
            repair = f"run 'cloned plugin install {name} --from FOLDER' with its signed wheel"
            found[name] = PluginVerdict(name, one.version, "unmanaged", reason=why, repair=repair)
    return tuple(found[name] for name in sorted(found))
