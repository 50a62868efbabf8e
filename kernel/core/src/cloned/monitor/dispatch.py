"""Step 9: hand an authorized call to who carries it out, and tell what is known of its effect if that goes wrong.

One of the two walls with a broad except: an in-process tool may raise anything, and it is recorded as its plugin's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloned.host.plugins import PluginHost, VerifiedPlugin
from cloned.monitor.ledger import error_result
from cloned.monitor.records import Authorized, Result, plain_json
from cloned_schemas.errors import ClonedError, PluginFault, Unavailable, error_for
from cloned_sdk import ToolError
from cloned_sdk.host import InProcessTool, JsonObject, Refused, ToolContext
from cloned_workers.pool import WorkerPool, WorkerSpec

OwnTool = Callable[[Authorized], JsonObject]


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Knows the three places where tools run: workers, kernel plugins, the kernel itself."""

    plugins: PluginHost
    workers: WorkerPool
    own: Mapping[str, OwnTool]
    workspace: Path
    spec_of: Callable[[VerifiedPlugin], WorkerSpec]

    def dispatch(self, authorized: Authorized) -> Result:
        """Carry the call out. Never raises: what goes wrong is a result, ambiguous where it may have taken effect."""
        try:
            return Result("success", self._carry_out(authorized))
        except ClonedError as error:
            sent = bool(error.details.get("sent", True))
            answered = error.id == "TOOL_FAILED"
            changes = authorized.judged.offered.tool.effect != "read"
            return error_result(error, ambiguous=changes and sent and not answered, counted=sent)

    def _carry_out(self, authorized: Authorized) -> JsonObject:
        judged = authorized.judged
        tool, plugin = judged.offered.tool, judged.offered.plugin
        if plugin is None:
            return self.own[tool.id](authorized)
        if plugin.manifest.execution == "kernel":
            return self._in_process(authorized, plugin)
        return self.workers.call(
            self.spec_of(plugin), tool.id, judged.request.inputs, judged.call_id, timeout=tool.timeout_seconds
        )

    def _in_process(self, authorized: Authorized, plugin: VerifiedPlugin) -> JsonObject:
        judged = authorized.judged
        tool_id = judged.offered.tool.id
        offered = [tool for _, tools in self.plugins.ask("cloned_tools", plugin_id=plugin.id) for tool in tools]
        if self.plugins.plugin(plugin.id) != plugin:  # what was authorized is this release with these grants
            fact = f"{plugin.id} was changed while {tool_id} was being authorized"
            raise Unavailable("WORKSPACE_MOVED", fact, details={"sent": False})
        found = next((tool for tool in offered if isinstance(tool, InProcessTool) and tool.tool_id == tool_id), None)
        if found is None:
            raise PluginFault("PLUGIN_HOOK", f"{plugin.id} brings no handler for {tool_id}", details={"sent": False})
        context = ToolContext(judged.call_id, judged.request.run_id, judged.request.caller, self.workspace)
        try:
            output: object = found.handler(judged.request.inputs, context)
        except Refused as refusal:
            raise _refused(refusal, plugin.id) from refusal
        except ToolError as error:
            raise PluginFault("TOOL_FAILED", f"{tool_id}: {error}") from error
        except (Exception, SystemExit) as error:  # the wall: whatever a plugin raises, the call ends in one record
            raise PluginFault("PLUGIN_RAISED", f"{plugin.id} raised {type(error).__name__} in {tool_id}") from error
        return _answered(output, tool_id)


def _refused(refusal: Refused, plugin_id: str) -> ClonedError:
    details = {"sent": False, **refusal.details}
    try:
        return error_for(refusal.error_id, refusal.fact, repair=refusal.repair, details=details)
    except LookupError:
        return PluginFault("PLUGIN_RAISED", f"{plugin_id} refused with the unknown id {refusal.error_id!r}")


def _answered(output: object, tool_id: str) -> JsonObject:
    try:
        plain_json(output)
    except ValueError as error:
        raise PluginFault("OUTPUT_INVALID", f"outputs of {tool_id} {error}") from error
    if not isinstance(output, dict):
        raise PluginFault("OUTPUT_INVALID", f"{tool_id} answered with something that is no object")
    return output
