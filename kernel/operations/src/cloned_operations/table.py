"""Every operation of the kernel by id, named as text so that a command imports only its own module."""

import importlib

from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake, error_for, registry
from cloned_sdk.host import Operation, Refused

OWN = {
    "workspace.init": "init:INIT",
    "plugin.list": "plugins:LIST",
    "plugin.show": "plugins:SHOW",
    "plugin.install": "install:INSTALL",
    "plugin.enable": "plugins:ENABLE",
    "plugin.disable": "plugins:DISABLE",
    "plugin.grant": "plugins:GRANT",
    "plugin.remove": "plugins:REMOVE",
    "plugin.verify": "plugins:VERIFY",
    "plugin.sync": "sync:SYNC",
    "trust.add": "trust:ADD",
    "trust.list": "trust:LIST",
    "trust.show": "trust:SHOW",
    "trust.remove": "trust:REMOVE",
    "trust.revoke": "trust:REVOKE",
    "policy.show": "policy:SHOW",
    "policy.apply": "policy:APPLY",
    "approvals.list": "approvals:LIST",
    "approvals.show": "approvals:SHOW",
    "approvals.approve": "approvals:APPROVE",
    "approvals.deny": "approvals:DENY",
    "budgets.list": "budgets:LIST",
    "audit.tail": "audit:TAIL",
    "audit.show": "audit:SHOW",
    "audit.verify": "audit:VERIFY",
    "artifacts.list": "artifacts:LIST",
    "artifacts.show": "artifacts:SHOW",
    "artifacts.verify": "artifacts:VERIFY",
    "vault.status": "vault:STATUS",
    "vault.list": "vault:LIST",
    "vault.set": "vault:SET",
    "vault.rm": "vault:REMOVE",
    "doctor.run": "doctor:RUN",
}


def find(operation_id: str, context: Context, plugin_id: str | None = None) -> Operation:
    """An operation of the kernel, or one that an enabled plugin contributes.

    Raises UserMistake OPERATION_UNKNOWN, or why `plugin_id`, which is known to contribute it, is refused.
    """
    if (named := OWN.get(operation_id)) is not None:
        module, _, attribute = named.partition(":")
        found = getattr(importlib.import_module(f"cloned_operations.{module}"), attribute)
        if isinstance(found, Operation):
            return found
    for operation in context.workspace.plugin_operations(operation_id):
        if operation.id == operation_id:
            return operation
    for verdict in context.workspace.verdicts():
        if verdict.plugin_id == plugin_id and verdict.plugin is None:
            raise verdict.refusal()
    raise UserMistake("OPERATION_UNKNOWN", f"no enabled plugin offers the operation {operation_id}")


def run(operation_id: str, inputs: object, context: Context, plugin_id: str | None = None) -> object:
    """Carry an operation out: its inputs strictly converted to its input type, its output as it gives it."""
    import msgspec  # noqa: PLC0415 - 8 ms that a --help does not pay

    operation = find(operation_id, context, plugin_id)
    try:
        typed = msgspec.convert(inputs, operation.input, strict=True)
    except msgspec.ValidationError as error:
        raise UserMistake("USAGE", f"{operation_id}: {error}") from error
    try:
        return operation.handler(context, typed)
    except Refused as refusal:
        known = refusal.error_id in registry()
        error_id = refusal.error_id if known else "PLUGIN_RAISED"
        raise error_for(error_id, refusal.fact, repair=refusal.repair, details=refusal.details) from refusal
