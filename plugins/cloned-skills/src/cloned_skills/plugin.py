"""The plugin's entry: which hooks it answers. Light to import; what an answer needs is loaded when it is asked for."""

from collections.abc import Sequence

import cloned_sdk
from cloned_sdk.host import Check, Host, InProcessTool, Migration, Operation
from cloned_skills.export import TOOL_ID, export
from cloned_skills.operations import Skills


class Plugin:
    """Operations on runs, the export tool, the tables, the doctor's checks."""

    @cloned_sdk.hookimpl
    def cloned_operations(self, host: Host) -> Sequence[Operation]:
        """Running pipelines, and steering runs."""
        return Skills(host).operations()

    @cloned_sdk.hookimpl
    def cloned_tools(self, host: Host) -> Sequence[InProcessTool]:
        """`cloned.artifact.export@v1`."""
        del host
        return [InProcessTool(TOOL_ID, export)]

    @cloned_sdk.hookimpl
    def cloned_migrations(self) -> Sequence[Migration]:
        """The history of the tables of runs and steps."""
        from cloned_skills.tables import MIGRATIONS  # noqa: PLC0415 - SQLAlchemy costs 150 ms

        return MIGRATIONS

    @cloned_sdk.hookimpl
    def cloned_checks(self, host: Host) -> Sequence[Check]:
        """Refused skill packs and interrupted runs."""
        from cloned_skills.checks import checks  # noqa: PLC0415 - SQLAlchemy costs 150 ms

        return checks(host)


plugin = Plugin()
