"""What a person is shown before a plugin takes part: everything that it may then do, in words."""

from cloned_schemas.manifest import Manifest


def consent_facts(manifest: Manifest) -> list[str]:
    """One line for each thing that the plugin brings or asks for."""
    brought = manifest.contributes
    packs = [*brought.policy_packs, *brought.skill_packs]
    return [
        *(
            ["code      runs in Cloned's own process, as trusted as Cloned itself"]
            if manifest.execution == "kernel"
            else []
        ),
        *(f"tool      {tool.id}: {tool.summary} ({tool.effect}, {tool.risk_level} risk)" for tool in manifest.tools),
        *(f"pack      {pack.id}: {pack.summary}" for pack in packs),
        *(f"command   cloned {' '.join(command.path)}: {command.help}" for command in brought.commands),
        *(f"network   {target.host}:{target.port} {', '.join(target.methods)}" for target in manifest.egress),
        *(f"secret    {need.name} ({need.secret_class}): {need.why}" for need in manifest.secrets),
        *(f"folder    {need.name}: {need.why} (lend it with 'cloned plugin grant')" for need in manifest.folders),
        *(f"ability   {name}" for name in manifest.capabilities_required),
        *(f"you must  {step}" for step in manifest.manual_steps),
    ]
