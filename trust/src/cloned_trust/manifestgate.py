"""The manifest gate: members ⇔ manifest ⇔ RECORD, and nothing that a plugin may not ship. Imports nothing of a plugin.

Collects all it finds, in the order in which the first one decides an install: what may be there at all, then whose it
is, then whether it is complete.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from cloned_schemas.manifest import Manifest
from cloned_trust import places, record, strictjson
from cloned_trust.toolschema import refused_schemas
from cloned_trust.verdict import Finding, Refusal
from cloned_trust.wheelzip import Member

NATIVE = "native"
"""The capability that a wheel with native code must require."""

PURE_TAG = "py3-none-any"
_METADATA_FILES = ("METADATA", "WHEEL")
_FORBIDDEN_SUFFIXES = (".pth", ".pyc", ".pyo", ".egg-link", places.SIGNATURE_SUFFIX)
_FORBIDDEN_STEMS = {"sitecustomize", "usercustomize", "__pycache__"}
_FORBIDDEN_METADATA = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"}
_NATIVE_NAME = re.compile(r"\.(so(\.\d+)*|pyd|dll|dylib|exe|a|lib|node)$", re.IGNORECASE)
_NATIVE_MAGIC = (
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"MZ\x90\0",
)


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate read: the manifest, where there is a valid one, with the SHA-256 (hex) of its bytes."""

    manifest: Manifest | None
    manifest_sha256: str | None
    findings: tuple[Finding, ...]


def judge(members: Sequence[Member], wheel_name: str) -> Gate:
    """Judge the members of a wheel against its own manifest and RECORD; `wheel_name` is its file name.

    Findings: FORBIDDEN_MEMBER, MANIFEST_NAME, MANIFEST_MISSING, MANIFEST_INVALID, JSON_*, TOPLEVEL_NOT_OWNED,
    NATIVE_CODE, TOOL_SCHEMA, EXTRA_FILE, MISSING_FILE, DIGEST_MISMATCH, RECORD_MISMATCH.
    """
    findings = [*_forbidden(members)]
    by_path = {member.path: member for member in members}
    manifest = sha256 = None
    try:
        name = _wheel_parts(wheel_name)
        place = _manifest_place(by_path, name)
        sha256 = by_path[place].sha256
        manifest = parse(by_path[place].data, what=place)
        findings += _against(manifest, by_path, name)
    except Refusal as refusal:
        findings.append(refusal.finding)
    return Gate(manifest, sha256, tuple(findings))


def parse(data: bytes, *, what: str) -> Manifest:
    """The manifest in its bytes. Raises Refusal: MANIFEST_INVALID or JSON_*."""
    value = strictjson.loads(data, what=what)
    try:
        return Manifest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise Refusal("MANIFEST_INVALID", what, f"{where}: {first['msg']}") from error


def _wheel_parts(wheel_name: str) -> tuple[str, str, str]:
    parts = places.wheel_parts(wheel_name)
    if parts is None:
        raise Refusal("MANIFEST_NAME", wheel_name, "it is not the file name of a wheel without build tag")
    return parts


def _manifest_place(by_path: Mapping[str, Member], name: tuple[str, str, str]) -> str:
    """The manifest's path, as the wheel's name (package, version, tag) has it; the signature binds that name."""
    package, version, _ = name
    place = places.manifest_path(package, version)
    if place in by_path:
        return place
    elsewhere = [path for path in by_path if path.endswith(f".dist-info/cloned/{places.MANIFEST_NAME}")]
    if elsewhere:
        raise Refusal("MANIFEST_NAME", elsewhere[0], f"a wheel of this name has its manifest at {place}")
    raise Refusal("MANIFEST_MISSING", place, "the wheel does not hold it")


def _against(manifest: Manifest, by_path: Mapping[str, Member], name: tuple[str, str, str]) -> Iterator[Finding]:
    package, version, tag = name
    if (places.package_of(manifest.id), manifest.version) != (package, version):
        yield Finding("MANIFEST_NAME", f"{package} {version}", f"its manifest is {manifest.id} {manifest.version}'s")
    yield from _metadata(manifest, by_path)
    yield from _not_owned(manifest, by_path)
    if NATIVE not in manifest.capabilities_required:
        yield from _native(by_path, tag)
    yield from refused_schemas(manifest)
    yield from _unequal(manifest, by_path)
    own = places.record_path(manifest.id, manifest.version)
    listed = [member for member in by_path.values() if member.path != own]
    for path in record.differences(by_path[own].data if own in by_path else b"", listed, own):
        yield Finding("RECORD_MISMATCH", path, "RECORD has no right line for it, or more than one")


def _forbidden(members: Sequence[Member]) -> Iterator[Finding]:
    for member in members:
        why = _why_forbidden(member)
        if why:
            yield Finding("FORBIDDEN_MEMBER", member.path, why)


def _why_forbidden(member: Member) -> str | None:
    segments = member.path.split("/")
    top, name = segments[0].lower(), segments[-1]
    if name.lower().endswith(_FORBIDDEN_SUFFIXES):
        return "no wheel may hold a file of this kind"
    if _FORBIDDEN_STEMS & {segment.lower().split(".")[0] for segment in segments}:
        return "Python would run it, or take it for something else, without being asked"
    if top.endswith(".data"):
        return "installers put it outside the package"
    if top.endswith(".dist-info"):
        return _why_forbidden_metadata(segments[1:], member)
    return "a second manifest" if name.lower() == places.MANIFEST_NAME else None


def _why_forbidden_metadata(below: Sequence[str], member: Member) -> str | None:
    """For members of a metadata directory, given their segments below it."""
    if _FORBIDDEN_METADATA.intersection(below[:1]):
        return "only an installer writes this file"
    if below == ["entry_points.txt"] and _other_entry_points(member.data):
        return "entry points other than cloned.plugins would run code of the package"
    if below[-1:] == [places.MANIFEST_NAME] and below != ["cloned", places.MANIFEST_NAME]:
        return "a second manifest"
    return None


def _other_entry_points(data: bytes) -> bool:
    if not data.isascii():
        return True
    lines = [line.strip() for line in data.decode("ascii").splitlines()]
    return any(line.startswith("[") and line != "[cloned.plugins]" for line in lines)


def _metadata(manifest: Manifest, by_path: Mapping[str, Member]) -> Iterator[Finding]:
    folder = places.dist_info(manifest.id, manifest.version)
    for name in _METADATA_FILES:
        if f"{folder}/{name}" not in by_path:
            yield Finding("MISSING_FILE", f"{folder}/{name}", "a wheel needs this file")
    metadata = by_path.get(f"{folder}/METADATA")
    if metadata and _name_and_version(metadata.data) != (manifest.id, manifest.version):
        yield Finding("MANIFEST_NAME", metadata.path, f"it is not that of {manifest.id} {manifest.version}")


def _name_and_version(metadata: bytes) -> tuple[str, str] | None:
    """What installers take for name (in normal form) and version; None where that is not plain."""
    headers = re.split(r"\r\n?|\n", re.split(r"\r?\n\r?\n", metadata.decode("latin-1"), maxsplit=1)[0])
    values: dict[str, str] = {}
    for header, following in zip(headers, [*headers[1:], ""], strict=True):
        key, _, value = header.partition(":")
        if key.lower() in ("name", "version"):
            if key.lower() in values or following[:1].isspace():
                return None
            values[key.lower()] = value.strip()
    if len(values) != 2:  # noqa: PLR2004 - the two that were looked for
        return None
    return re.sub(r"[-_.]+", "-", values["name"]).lower(), values["version"]


def _not_owned(manifest: Manifest, by_path: Mapping[str, Member]) -> Iterator[Finding]:
    package = places.package_of(manifest.id)
    own = (f"{package}/", f"{places.dist_info(manifest.id, manifest.version)}/")
    for path in by_path:
        if not path.startswith(own):
            yield Finding("TOPLEVEL_NOT_OWNED", path, f"{manifest.id} owns {own[0]} and {own[1]} alone")
    if manifest.entry is None:
        return
    module = manifest.entry.removeprefix("python:").split(":")[0].replace(".", "/")
    if module.split("/")[0] != package:
        yield Finding("TOPLEVEL_NOT_OWNED", manifest.entry, f"the entry of {manifest.id} must lie in {package}")
    elif not {f"{module}.py", f"{module}/__init__.py"} & set(by_path):
        yield Finding("MISSING_FILE", manifest.entry, "the wheel does not hold the module of its entry")


def _native(by_path: Mapping[str, Member], tag: str) -> Iterator[Finding]:
    if tag != PURE_TAG:
        yield Finding("NATIVE_CODE", tag, f"a wheel without the capability {NATIVE} has the tag {PURE_TAG}")
    for member in by_path.values():
        if _NATIVE_NAME.search(member.path) or member.data.startswith(_NATIVE_MAGIC):
            yield Finding("NATIVE_CODE", member.path, f"it is native code; the manifest does not require {NATIVE}")


def _unequal(manifest: Manifest, by_path: Mapping[str, Member]) -> Iterator[Finding]:
    apart = {places.record_path(manifest.id, manifest.version), places.manifest_path(manifest.id, manifest.version)}
    listed = {entry.path: entry for entry in manifest.files}
    for path in sorted(apart & set(listed)):
        yield Finding("MANIFEST_INVALID", path, "RECORD and the manifest cannot be listed in the manifest")
    for path in sorted(set(by_path) - set(listed) - apart):
        yield Finding("EXTRA_FILE", path, "the manifest does not list it")
    for path in sorted({*listed, *_needed(manifest)} - set(by_path)):
        yield Finding("MISSING_FILE", path, "the manifest names it and the wheel does not hold it")
    for path in sorted(set(listed) & set(by_path) - apart):
        member, entry = by_path[path], listed[path]
        if (member.size, member.sha256) != (entry.size, entry.sha256):
            yield Finding("DIGEST_MISMATCH", path, "its content is not what the manifest lists")


def _needed(manifest: Manifest) -> Iterator[str]:
    """Files that the manifest names besides its list."""
    for contribution in (*manifest.contributes.skill_packs, *manifest.contributes.policy_packs):
        yield contribution.path
