"""Where a release keeps what: the one table of names that pack, gate, store and finder agree on. Reads nothing."""

import re

MANIFEST_NAME = "package.manifest.json"
SIGNATURE_SUFFIX = ".cloned.dsse.json"
_TAG = r"[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+"
_WHEEL_NAME = re.compile(rf"(?P<package>[a-z0-9_]+)-(?P<version>[0-9a-z.]+)-(?P<tag>{_TAG})\.whl")


def package_of(plugin_id: str) -> str:
    """The one import package that a plugin owns."""
    return plugin_id.replace("-", "_")


def dist_info(plugin_id: str, version: str) -> str:
    """The wheel's metadata directory."""
    return f"{package_of(plugin_id)}-{version}.dist-info"


def manifest_path(plugin_id: str, version: str) -> str:
    """The manifest's path in the wheel."""
    return f"{dist_info(plugin_id, version)}/cloned/{MANIFEST_NAME}"


def record_path(plugin_id: str, version: str) -> str:
    """RECORD's path in the wheel."""
    return f"{dist_info(plugin_id, version)}/RECORD"


def wheel_parts(wheel_name: str) -> tuple[str, str, str] | None:
    """Package, version and compatibility tag of a wheel's file name (PEP 427, no build tag); None if it is not one."""
    found = _WHEEL_NAME.fullmatch(wheel_name)
    return found and (found["package"], found["version"], found["tag"])
