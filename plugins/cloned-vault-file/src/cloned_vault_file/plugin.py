"""The plugin's entry: the provider `file` and the check that says what it is. Light; PyNaCl loads on first use."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cloned_sdk
from cloned_sdk.host import Check, Host, VaultProvider

if TYPE_CHECKING:
    from cloned_vault_file.vault import FileVault


class Plugin:
    """Answers two hooks."""

    @cloned_sdk.hookimpl
    def cloned_vault_providers(self, host: Host) -> Sequence[VaultProvider]:
        """The provider `file`."""
        return [_vault(host)]

    @cloned_sdk.hookimpl
    def cloned_checks(self, host: Host) -> Sequence[Check]:
        """Its status, which is a warning at best."""
        vault = _vault(host)
        return [Check("cloned.vault.file", lambda: [vault.status()])]


def _vault(host: Host) -> "FileVault":
    from cloned_vault_file.places import Places  # noqa: PLC0415
    from cloned_vault_file.vault import FileVault  # noqa: PLC0415 - PyNaCl is needed only where a vault is

    return FileVault(lambda: Places(host.state_folder), host.now)


plugin = Plugin()
