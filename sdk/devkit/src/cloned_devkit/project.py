"""A plugin's own description: pyproject.toml and plugin.yaml in, metadata and the manifest's author part out.

Runs no build code: whatever would have to be computed (dynamic fields) or would be run (scripts) is refused.
"""

import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pyproject_metadata import StandardMetadata
from pyproject_metadata.errors import ConfigurationError, ConfigurationWarning

from cloned_devkit import files
from cloned_devkit.mistakes import Mistake, mistake_from
from cloned_trust import strictyaml
from cloned_trust.verdict import Refusal

METADATA_VERSION = "2.4"
"""Named here so that another version of a library does not change the bytes of a wheel."""

_MAX_BYTES = 256 << 10
_DERIVED = ("schema_version", "id", "version", "summary", "license", "files")
_REFUSED = ("dynamic", "scripts", "gui-scripts", "entry-points")
_NEEDED = ("name", "version", "description", "license")


@dataclass(frozen=True, slots=True)
class Project:
    """What a plugin says of itself. `facts` are the manifest's fields without `files`, not yet judged.

    `metadata` is the wheel's METADATA; `licenses` are the license files by their path below the project.
    """

    plugin_id: str
    version: str
    facts: dict[str, Any]
    metadata: bytes
    licenses: dict[str, bytes]


def read(folder: Path) -> Project:
    """Read a plugin's folder. Raises Mistake: FILE_INVALID, FILE_SYNTAX, FILE_UNREADABLE, FILE_UNSAFE."""
    place = folder / "pyproject.toml"
    table = _project_table(place)
    standard = _standard(table, place)
    plugin_id, version = str(table["name"]), str(table["version"])
    if plugin_id != canonicalize_name(plugin_id) or version != str(Version(version)):
        normal = f"{canonicalize_name(plugin_id)} {Version(version)}"
        raise _invalid(place, f"name and version are {plugin_id} {version}", f"write them in normal form: {normal}")
    facts = {
        "schema_version": 1,
        "id": plugin_id,
        "version": version,
        "summary": standard.description,
        "license": standard.license,
        **_authors_part(folder / "plugin.yaml", table),
    }
    licenses = {path.as_posix(): files.read(folder / path, _MAX_BYTES) for path in standard.license_files or ()}
    return Project(plugin_id, version, facts, bytes(standard.as_rfc822()), dict(sorted(licenses.items())))


def _project_table(place: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(files.read(place, _MAX_BYTES).decode("utf-8")).get("project")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Mistake("FILE_SYNTAX", f"{place}: {error}") from error
    if not isinstance(table, dict):
        raise _invalid(place, "it has no table [project]", "add [project] with name, version, description and license")
    for key in _REFUSED:
        if key in table:
            repair = f"take {key} out of [project]; plugin.yaml declares what a plugin contributes"
            raise _invalid(place, f"[project] has {key}, which pack does not compute or carry", repair)
    for key in _NEEDED:
        if not isinstance(table.get(key), str) or not table[key]:
            raise _invalid(place, f"[project] has no {key} as a text", f'add {key} = "..." to [project]')
    return table


def _standard(table: dict[str, Any], place: Path) -> StandardMetadata:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConfigurationWarning)
            return StandardMetadata.from_pyproject({"project": table}, place.parent, METADATA_VERSION)
    except (ConfigurationError, ConfigurationWarning) as error:
        raise _invalid(place, str(error), "mend [project] as the message says") from error


def _authors_part(place: Path, table: dict[str, Any]) -> dict[str, Any]:
    try:
        value = strictyaml.loads(files.read(place, strictyaml.MAX_BYTES), what=place.name)
    except Refusal as refusal:
        raise mistake_from(refusal.finding) from refusal
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _invalid(place, "it is not a list of `field: value`", "begin with `publisher_id:` and `execution:`")
    for key in _DERIVED:
        if key in value:
            raise _invalid(place, f"{key} is written by pack", f"take {key} out; it comes from pyproject.toml or src/")
    return {**value, **_libraries(value, table, place)}


def _libraries(value: dict[str, Any], table: dict[str, Any], place: Path) -> dict[str, Any]:
    """`host_requires` of a kernel plugin: the libraries that [project] names, all but our own, unless it says less."""
    if value.get("execution") != "kernel":
        return {}
    try:
        wanted = [Requirement(text) for text in table.get("dependencies", ())]
        said = [Requirement(text) for text in value.get("host_requires", ())]
    except InvalidRequirement as error:
        raise _invalid(place, str(error), "write each as a PEP 508 requirement") from error
    names = {canonicalize_name(one.name) for one in wanted}
    unknown = sorted(one.name for one in said if canonicalize_name(one.name) not in names)
    if unknown:
        repair = "add it to dependencies in pyproject.toml"
        raise _invalid(place, f"host_requires names {unknown[0]}, which [project] does not", repair)
    if "host_requires" in value:
        return {}
    libraries = sorted(str(one) for one in wanted if canonicalize_name(one.name) != "cloned-sdk")
    return {"host_requires": libraries} if libraries else {}


def _invalid(place: Path, fact: str, repair: str) -> Mistake:
    return Mistake("FILE_INVALID", f"{place}: {fact}", repair)
