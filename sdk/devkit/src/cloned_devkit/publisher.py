"""Make a publisher: a secret key that stays with its owner, and the record that others trust. Replaces nothing."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cloned_devkit import files, keyfile
from cloned_devkit.mistakes import Mistake
from cloned_schemas.trust import Publisher, PublisherKey
from cloned_trust.keys import SecretKey

RECORD_NAME = "publisher.json"
KEY_NAME = "secret-key.json"


@dataclass(frozen=True, slots=True)
class NewPublisher:
    """Where the two files are, and the key's id, by which people compare it."""

    record: Path
    key: Path
    keyid: str


def init(publisher_id: str, namespaces: list[str], out: Path, *, kernel: bool, name: str | None = None) -> NewPublisher:
    """Write `secret-key.json` (0600) and `publisher.json` into `out`; `kernel`: may run code in Cloned's own process.

    Raises Mistake: FILE_EXISTS (either file is there), FILE_INVALID (a name that cannot be one), FILE_UNREADABLE.
    """
    key = SecretKey.generate()
    record = _record(publisher_id, namespaces, key, kernel=kernel, name=name or publisher_id)
    places = NewPublisher(out / RECORD_NAME, out / KEY_NAME, key.public.keyid)
    if places.record.exists() or places.record.is_symlink():
        raise Mistake("FILE_EXISTS", f"{places.record} is there already", "choose another folder")
    keyfile.write_new(places.key, key)
    files.write_new(places.record, record.model_dump_json(indent=1, exclude_none=True).encode() + b"\n", 0o644)
    return places


def _record(publisher_id: str, namespaces: list[str], key: SecretKey, *, kernel: bool, name: str) -> Publisher:
    executions = ["data", "worker", "kernel"] if kernel else ["data", "worker"]
    public = PublisherKey(keyid=key.public.keyid, public=key.public.base64)
    try:
        return Publisher.model_validate(
            {
                "schema_version": 1,
                "publisher_id": publisher_id,
                "name": name,
                "keys": [public],
                "threshold": 1,
                "namespaces": sorted(set(namespaces)),
                "executions": executions,
            }
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Mistake("FILE_INVALID", f"{place}: {first['msg']}", "use lower-case letters, digits and '-'") from error
