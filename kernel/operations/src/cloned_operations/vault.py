"""Operations on the vault: references and their health. No operation ever answers with a value."""

from typing import Any

import msgspec

from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import Operation, VaultProvider

PREFIX = "vault:"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Status(msgspec.Struct, frozen=True):
    """The provider in force and whether it can be used."""

    provider: str
    level: str
    what: str
    why: str
    repair: str


class Secrets(msgspec.Struct, frozen=True):
    """References only: ref, class, changed_at."""

    secrets: list[dict[str, Any]]


class SetInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference and a class; the value comes from a prompt or standard input, never from the command line."""

    ref: str
    secret_class: str = "generic"  # noqa: S105 - a class of secrets, not one


class RefInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference, `vault:NAME`."""

    ref: str


class Done(msgspec.Struct, frozen=True):
    """What was done to which reference."""

    ref: str
    done: str


def _name(ref: str) -> str:
    name = ref.removeprefix(PREFIX)
    parts = name.split(".")
    if not ref.startswith(PREFIX) or len(name) > 190 or not all(_plain(part) for part in parts):  # noqa: PLR2004
        raise UserMistake("SECRET_REF", f"{ref!r} is not a reference; write it as vault:NAME, e.g. vault:github.token")
    return name


def _plain(part: str) -> bool:
    return bool(part) and part.isascii() and part.replace("-", "").replace("_", "").isalnum() and part == part.lower()


def _status(context: Context, _: Nothing) -> Status:
    provider = _provider(context)
    found = provider.status()
    return Status(provider.name, found.level, found.what, found.why, found.repair)


def _provider(context: Context) -> VaultProvider:
    return context.workspace.vault()


def _list(context: Context, _: Nothing) -> Secrets:
    kept = _provider(context).names()
    return Secrets([{"ref": PREFIX + name, "class": kind, "changed_at": at} for name, kind, at in kept])


def _set(context: Context, wanted: SetInput) -> Done:
    name = _name(wanted.ref)
    provider = _provider(context)
    value = context.secret(f"value of {wanted.ref}")
    provider.write(name, value, wanted.secret_class)
    context.workspace.redactor.remember(value)
    context.workspace.audit.append("vault", actor=context.actor, details={"set": wanted.ref, "provider": provider.name})
    return Done(wanted.ref, "kept")


def _remove(context: Context, wanted: RefInput) -> Done:
    name = _name(wanted.ref)
    provider = _provider(context)
    context.operator.confirm(f"forget the secret {wanted.ref}", ["what refers to it stops working"])
    provider.remove(name)
    context.workspace.audit.append("vault", actor=context.actor, details={"removed": wanted.ref})
    return Done(wanted.ref, "forgotten")


STATUS = Operation(
    "vault.status", "Which vault is in force and whether it can be used", "read", Nothing, Status, _status
)
LIST = Operation("vault.list", "The references kept, never their values", "read", Nothing, Secrets, _list)
SET = Operation("vault.set", "Keep a secret under a reference", "write", SetInput, Done, _set)
REMOVE = Operation("vault.rm", "Forget a secret", "write", RefInput, Done, _remove)
