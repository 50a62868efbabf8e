"""Which pipelines there are: the skill packs of the enabled plugins, judged one by one. A bad pack stops no other."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import msgspec

from cloned_sdk.host import Refused, SkillPackSource
from cloned_skills.pack import Constitution, Pipeline, SkillPack
from cloned_skills.plan import Plan, plan
from cloned_skills.yamltext import parse


@dataclass(frozen=True, slots=True)
class Definition:
    """A pipeline with the constitution that binds its runs. `digest` is the SHA-256 of both, in hexadecimal."""

    plugin_id: str
    plugin_version: str
    pack_id: str
    constitution: Constitution
    pipeline: Pipeline

    @property
    def digest(self) -> str:
        """What a run is bound to: it never goes on under another pipeline or constitution than it began with."""
        content = msgspec.json.encode([self.constitution, self.pipeline], order="deterministic")
        return hashlib.sha256(content).hexdigest()

    def plan(self) -> Plan:
        """The compiled pipeline. Raises Refused PIPELINE_INVALID."""
        return plan(self.pipeline)

    def outside(self) -> list[str]:
        """Steps whose tool the constitution does not cover. They are shown; the monitor refuses and audits them."""
        return [step.id for step in self.pipeline.steps if not self.constitution.covers(step.tool)]


@dataclass(frozen=True, slots=True)
class RefusedPack:
    """A pack that cannot be used, and why."""

    plugin_id: str
    pack_id: str
    error_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every usable pipeline by id, and the packs that were refused."""

    definitions: Mapping[str, Definition]
    refused: tuple[RefusedPack, ...]

    def get(self, pipeline_id: str) -> Definition:
        """A pipeline by id. Raises Refused PIPELINE_UNKNOWN, with near names and the packs that were refused."""
        if pipeline_id in self.definitions:
            return self.definitions[pipeline_id]
        near = get_close_matches(pipeline_id, self.definitions, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        broken = "".join(f"; pack {pack.pack_id} was refused: {pack.reason}" for pack in self.refused)
        raise Refused("PIPELINE_UNKNOWN", f"no usable skill pack has the pipeline {pipeline_id!r}{guess}{broken}")


def read_pack(source: SkillPackSource) -> SkillPack:
    """Decode one pack strictly. Raises Refused FILE_TOO_LARGE, FILE_SYNTAX or PIPELINE_INVALID."""
    value = parse(source.data, f"skill pack {source.id} of {source.plugin_id}")
    try:
        pack = msgspec.convert(value, SkillPack, strict=True)
    except msgspec.ValidationError as error:
        raise Refused("PIPELINE_INVALID", f"skill pack {source.id} of {source.plugin_id}: {error}") from error
    if pack.pack_id != source.id:
        raise Refused(
            "PIPELINE_INVALID",
            f"{source.plugin_id} contributes the skill pack {source.id}, but the file names itself {pack.pack_id}",
        )
    return pack


def catalog(sources: Iterable[SkillPackSource]) -> Catalog:
    """Judge every pack. Where two packs claim one pipeline id, neither has it: the order of plugins decides nothing."""
    claims: dict[str, list[Definition]] = {}
    refused: list[RefusedPack] = []
    for source in sources:
        try:
            pack = read_pack(source)
        except Refused as refusal:
            refused.append(RefusedPack(source.plugin_id, source.id, refusal.error_id, refusal.fact))
            continue
        for pipeline in pack.pipelines:
            made = Definition(source.plugin_id, source.plugin_version, pack.pack_id, pack.constitution, pipeline)
            claims.setdefault(pipeline.id, []).append(made)
    for pipeline_id, claimants in claims.items():
        if len(claimants) > 1:
            reason = f"{pipeline_id} is claimed by {' and '.join(made.pack_id for made in claimants)}"
            refused += [RefusedPack(made.plugin_id, made.pack_id, "PLUGIN_NAMESPACE", reason) for made in claimants]
    return Catalog({key: made[0] for key, made in sorted(claims.items()) if len(made) == 1}, tuple(refused))
