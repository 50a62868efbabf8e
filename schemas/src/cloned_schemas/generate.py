"""Write the JSON Schemas of the contracts from their models: `python -m cloned_schemas.generate [--check]`."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from cloned_schemas import command, config, manifest, policy, records, registry, skills, tool, trust
from cloned_schemas.model import JsonObject

FOLDER = Path(__file__).with_name("json")
VERSION = "1.0.0"
CONTRACTS: dict[str, type[BaseModel]] = {
    "approval": records.ApprovalRecord,
    "artifact_manifest": records.ArtifactManifest,
    "audit_entry": records.AuditEntry,
    "command": command.Command,
    "event": records.Event,
    "lock": registry.Lock,
    "package.manifest": manifest.Manifest,
    "policy_overlay": policy.PolicyOverlay,
    "policy_pack": policy.PolicyPack,
    "publisher": trust.Publisher,
    "registry": registry.Registry,
    "revocations": trust.Revocations,
    "skill_pack": skills.SkillPack,
    "tool": tool.Tool,
    "tool_call_envelope": records.Envelope,
    "workspace.config": config.WorkspaceConfig,
    "workspace.trust": trust.WorkspaceTrust,
}


def schema_id(name: str) -> str:
    """The `$id` of a contract, with its version."""
    return f"urn:cloned:schema:{name}:{VERSION}"


def schema(name: str) -> JsonObject:
    """The JSON Schema (2020-12) of one contract."""
    generated = CONTRACTS[name].model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_id(name), **generated}


def rendered() -> dict[Path, str]:
    """Each schema file with the text it should have."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema(name), indent=1, sort_keys=True, ensure_ascii=True) + "\n"
        for name in CONTRACTS
    }


def drift() -> list[str]:
    """The names of committed schemas that differ from their models, are missing, or have no model."""
    wanted = rendered()
    present = set(FOLDER.glob("*.schema.json"))
    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    return sorted(stale + [path.name for path in present - set(wanted)])


def main(arguments: list[str]) -> int:
    """Write the schemas, or with --check only say which differ. 0 when all are current."""
    if arguments == ["--check"]:
        stale = drift()
        sys.stdout.writelines(
            f"{name} differs from its model; run python -m cloned_schemas.generate\n" for name in stale
        )
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in rendered().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
