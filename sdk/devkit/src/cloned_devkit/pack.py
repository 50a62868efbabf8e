"""Pack a plugin's folder into a wheel. Refuses, before anything is written, what the gate would refuse afterwards."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cloned_devkit import files, project, tree, wheel
from cloned_devkit.mistakes import Mistake, mistake_from
from cloned_devkit.project import Project
from cloned_schemas.manifest import Manifest
from cloned_trust import manifestgate, places, wheelzip
from cloned_trust.manifestgate import PURE_TAG
from cloned_trust.verdict import Refusal

_IN_PYPROJECT = {"id": "name", "version": "version", "summary": "description", "license": "license"}
"""Fields of the manifest that pyproject.toml gives, with their names there."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A wheel in memory, with its file name, its manifest, and the source paths that were left out."""

    name: str
    data: bytes
    manifest: Manifest
    left_out: tuple[str, ...]


def pack(folder: Path, tag: str = PURE_TAG) -> Packed:
    """Pack the plugin in `folder`; `tag` is the wheel's compatibility tag, which only native code may change.

    Raises Mistake: what reading the folder raises, FILE_INVALID for the description, and every id of the gate.
    """
    described = project.read(folder)
    package = places.package_of(described.plugin_id)
    sources = tree.package(folder, package)
    dist_info = places.dist_info(described.plugin_id, described.version)
    contents = {
        **sources.files,
        **wheel.metadata_files(described.plugin_id, described.version, tag, described.metadata),
        **{f"{dist_info}/licenses/{path}": data for path, data in described.licenses.items()},
    }
    manifest = _manifest(described, contents)
    name = f"{package}-{described.version}-{tag}.whl"
    data = wheel.assemble(contents, manifest)
    refuse_what_the_gate_refuses(data, name)
    return Packed(name, data, manifest, sources.left_out)


def write(packed: Packed, out: Path) -> Path:
    """Put the wheel into the folder `out`, in place of an older one of that name."""
    files.write(out / packed.name, packed.data)
    return out / packed.name


def refuse_what_the_gate_refuses(data: bytes, name: str) -> Manifest:
    """The manifest of a wheel that the gate lets through. Raises Mistake with the gate's first refusal."""
    try:
        gate = manifestgate.judge(wheelzip.read(data), name)
    except Refusal as refusal:
        raise mistake_from(refusal.finding) from refusal
    for finding in gate.findings:
        if finding.refuses:
            raise mistake_from(finding)
    if gate.manifest is None:
        raise Mistake("MANIFEST_MISSING", name)
    return gate.manifest


def _manifest(described: Project, contents: dict[str, bytes]) -> Manifest:
    entries = [{"path": one.path, "size": one.size, "sha256": one.sha256} for one in wheel.listed(contents)]
    try:
        return Manifest.model_validate({**described.facts, "files": entries})
    except ValidationError as error:
        raise _explained(error, entries) from error


def _explained(error: ValidationError, entries: list[dict[str, object]]) -> Mistake:
    """The first thing wrong, with its place in plugin.yaml; a bad file name is named as the file it is."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = first["loc"]
    if where[:1] == ("files",) and len(where) > 1 and isinstance(where[1], int):
        path = entries[where[1]]["path"]
        return Mistake("ZIP_NAME", f"{path} cannot stand in a manifest")
    place = ".".join(str(part) for part in where)
    source, field = ("pyproject.toml", _IN_PYPROJECT[place]) if place in _IN_PYPROJECT else ("plugin.yaml", place)
    return Mistake(
        "FILE_INVALID", f"{source}: {field or 'as a whole'}: {first['msg']}", f"mend {source} and pack again"
    )
