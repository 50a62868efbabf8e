"""Sign a wheel: a DSSE envelope over an in-toto statement, beside the wheel. Signs nothing that the gate refuses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cloned_devkit import files, keyfile, pack
from cloned_devkit.mistakes import Mistake, mistake_from
from cloned_devkit.publisher import RECORD_NAME
from cloned_schemas.manifest import Manifest
from cloned_schemas.trust import Publisher
from cloned_trust import places, publishers, statement, strictjson, wheelzip
from cloned_trust.keys import SecretKey
from cloned_trust.statement import Statement
from cloned_trust.verdict import Refusal

_MAX_RECORD = 64 << 10


@dataclass(frozen=True, slots=True)
class SignedWheel:
    """Where the signature is, and whose keys made it."""

    signature: Path
    keyids: tuple[str, ...]


def sign(wheel: Path, key_files: Sequence[Path]) -> SignedWheel:
    """Sign `wheel` with each key and write `<wheel>.cloned.dsse.json` beside it, in place of an older one.

    Where a `publisher.json` stands beside a key it must be the manifest's publisher, and the key one of its own.
    Raises Mistake: what reading raises, every id of the gate, KEY_NOT_FOR_PUBLISHER, NAMESPACE_NOT_OWNED,
    EXECUTION_NOT_GRANTED.
    """
    data = files.read(wheel, wheelzip.MAX_ARCHIVE)
    manifest = pack.refuse_what_the_gate_refuses(data, wheel.name)
    keys = []
    for path in dict.fromkeys(key_files):
        key = keyfile.read(path)
        _refuse_foreign_key(path.with_name(RECORD_NAME), key, manifest)
        keys.append(key)
    place = wheel.with_name(f"{wheel.name}{places.SIGNATURE_SUFFIX}")
    files.write(place, statement.sign(_statement(data, wheel.name, manifest), keys))
    return SignedWheel(place, tuple(key.public.keyid for key in keys))


def _statement(data: bytes, wheel_name: str, manifest: Manifest) -> Statement:
    inside = next(
        member for member in wheelzip.read(data) if member.path == places.manifest_path(manifest.id, manifest.version)
    )
    return Statement(
        wheel_name=wheel_name,
        wheel_sha256=hashlib.sha256(data).hexdigest(),
        plugin_id=manifest.id,
        version=manifest.version,
        publisher_id=manifest.publisher_id,
        manifest_sha256=inside.sha256,
    )


def _refuse_foreign_key(place: Path, key: SecretKey, manifest: Manifest) -> None:
    """Say now what an install would refuse later, where the publisher's record is at hand."""
    if not place.exists():
        return
    record = _record(place)
    if record.publisher_id != manifest.publisher_id:
        fact = f"{place} is the record of {record.publisher_id}, the wheel is one of {manifest.publisher_id}"
        raise Mistake("KEY_NOT_FOR_PUBLISHER", fact)
    if key.public.keyid not in {one.keyid for one in record.keys}:
        raise Mistake("KEY_NOT_FOR_PUBLISHER", f"{place} does not list the key {key.public.keyid}")
    for finding in publishers.may_sign(record, manifest):
        raise mistake_from(finding)


def _record(place: Path) -> Publisher:
    try:
        return Publisher.model_validate(strictjson.loads(files.read(place, _MAX_RECORD), what=str(place)))
    except Refusal as refusal:
        raise mistake_from(refusal.finding) from refusal
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Mistake("FILE_INVALID", f"{place}: {where}: {first['msg']}") from error
