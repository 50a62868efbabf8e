"""What is in force right now: policy, offered tools and grants, read as one and kept until something moves.

Files move the fingerprint, the database moves its generation; a call judged on the old reading is judged again.
"""

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

from cloned.host.plugins import Inputs, PluginHost, VerifiedPlugin
from cloned.monitor import egress, policy
from cloned.monitor.policy import Policy
from cloned.monitor.records import Authority, Offered
from cloned_schemas.errors import ClonedError, PolicyDenied, UserMistake
from cloned_schemas.policy import PolicyOverlay, PolicyPack
from cloned_schemas.tool import Tool
from cloned_sdk.host import PolicyPackSource
from cloned_sdk.wire import tool_digest, tool_of
from cloned_storage import standing
from cloned_storage.accepted import AcceptedStore
from cloned_storage.database import Database
from cloned_storage.files import parse_yaml, validate
from cloned_storage.layout import Places, UserPlaces
from cloned_storage.standing import Standing
from cloned_workers.pool import WorkerSpec


def offer(tool: Tool, plugin: VerifiedPlugin | None = None) -> Offered:
    """A tool ready to be judged and called."""
    digest = plugin.tools[tool.id] if plugin else tool_digest(tool_of(tool.model_dump(mode="json")))
    return Offered(tool, plugin, digest)


def resolve_policy(source: PolicyPackSource, overlay_file: bytes | None) -> Policy:
    """A pack with its overlay, judged usable. Raises UserMistake with the field that is not."""
    pack = validate(PolicyPack, parse_yaml(source.data, f"policy pack {source.id}"), f"policy pack {source.id}")
    overlay = None
    if overlay_file is not None:
        what = f"policy/{pack.pack_id}.yaml"
        overlay = validate(PolicyOverlay, parse_yaml(overlay_file, what), what)
    digest = hashlib.sha256(source.data + b"\0" + (overlay_file or b"")).hexdigest()
    found = Policy(pack, overlay, digest)
    policy.refuse_unusable(found)
    return found


def egress_rules(authority: Authority, in_force: Policy, offered: Offered) -> list[list[str]]:
    """Step 4: the rule that lets the tool reach each host it declares. Raises PolicyDenied EGRESS_DENIED."""
    hosts = [target.host for target in offered.tool.egress]
    if not hosts or offered.plugin is None:
        return []
    granted = egress.judge(hosts, [("grants", authority.grants[offered.plugin.id].hosts)])
    verdict = egress.judge(hosts, in_force.egress_layers(offered.tool.id, offered.plugin.id))
    for denied, by in ((granted.denied, f"the grants of {offered.plugin.id}"), (verdict.denied, "policy")):
        if denied is not None:
            raise PolicyDenied("EGRESS_DENIED", f"{offered.tool.id} needs {denied}, which {by} does not list")
    return [list(match) for match in verdict.matched]


def worker_spec(plugin: VerifiedPlugin, plugins: PluginHost) -> WorkerSpec:
    """How to start the worker of a verified plugin: from what was verified, with what was granted, and nothing else."""
    return WorkerSpec(
        plugin.id, str(plugin.manifest.entry), plugin.toplevel, plugin.tree, plugin.manifest_path, plugin.tools,
        plugin.folders, plugin.settings, before_spawn=lambda: plugins.before_spawn(plugin),
    )  # fmt: skip


def inputs_of(found: Standing) -> Inputs:
    """What the plugin host judges on."""
    folders = {
        plugin_id: {name: Path(place) for name, place in lent.items()} for plugin_id, lent in found.folders.items()
    }
    return Inputs(found.registry, found.lock, found.publishers, found.revocations, folders)


class AuthoritySource:
    """Gives every call the reading that is in force, made anew only when something moved. Thread-safe."""

    def __init__(
        self, places: Places, user: UserPlaces, accepted: AcceptedStore, database: Database, plugins: PluginHost,
        own: Mapping[str, Offered],
    ) -> None:  # fmt: skip
        self._places, self._user, self._accepted = places, user, accepted
        self._database, self._plugins, self._own = database, plugins, own
        self._turn = threading.Lock()
        self._kept: Authority | None = None
        self._standing: tuple[tuple[object, ...], Standing] | None = None

    def current(self) -> Authority:
        """What is in force, for a call. Raises WORKSPACE_CHANGED and whatever makes files or policy unusable."""
        with self._turn:
            fingerprint = self._accepted.fingerprint()
            if self._kept is None or self._kept.fingerprint != fingerprint:
                self._kept = None  # a reading that fails leaves none behind
                self._kept = self._read(fingerprint)
            return self._kept

    def kept(self) -> Authority | None:
        """The last reading, which may not hold any more; None where there is none."""
        return self._kept

    def moved(self) -> None:
        """The database's generation is not the one that was read: read again at the next call."""
        with self._turn:
            self._kept = None

    def holds(self, authority: Authority) -> bool:
        """Whether nothing that a reading was made from moved since."""
        return authority.fingerprint == self._accepted.fingerprint()

    def standing(self) -> Standing:
        """What was accepted, whatever the files say now, with the plugins judged on it: for reading, not for calls."""
        with self._turn:
            return self._judged(self._accepted.fingerprint())

    def read_policy(self) -> Policy | None:
        """The policy that was accepted; None means the floor."""
        return self._policy(self.standing())

    def _judged(self, fingerprint: tuple[object, ...]) -> Standing:
        if self._standing is None or self._standing[0] != fingerprint:
            found = standing.accepted(self._accepted, self._places, self._user)
            self._plugins.refresh(inputs_of(found))
            self._standing = (fingerprint, found)
        return self._standing[1]

    def _read(self, fingerprint: tuple[object, ...]) -> Authority:
        with self._database.read() as connection:
            generation = self._database.generation(connection)
        self._accepted.check()
        found = self._judged(fingerprint)
        offers, refused = dict(self._own), dict[str, ClonedError]()
        for verdict in self._plugins.verdicts():
            if verdict.plugin is None:
                refused.update(dict.fromkeys(verdict.tools, verdict.refusal()))
            else:
                offers.update({tool.id: offer(tool, verdict.plugin) for tool in verdict.plugin.manifest.tools})
        grants = {plugin.id: plugin.grants for plugin in self._plugins.enabled()}
        return Authority(self._policy(found), offers, refused, grants, generation, fingerprint)

    def _policy(self, found: Standing) -> Policy | None:
        ref = found.config.policy_pack_ref
        if ref is None:
            return None
        plugin_id, _, pack_id = ref.partition(":")
        for _, packs in self._plugins.ask("cloned_policy_packs", plugin_id):
            for source in packs:
                if isinstance(source, PolicyPackSource) and source.id == pack_id:
                    return resolve_policy(source, found.overlay)
        raise UserMistake("POLICY_UNKNOWN", f"{plugin_id} ships no policy pack {pack_id}, which config.yaml refers to")
