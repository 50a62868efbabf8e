"""What `cloned doctor` asks this plugin: skill packs that cannot be used, runs that nobody executes any more."""

from collections.abc import Sequence

from cloned_sdk.host import Check, CheckFinding, Host
from cloned_skills.catalog import catalog
from cloned_skills.records import Records

PACKS = "cloned.skills.packs"
RUNS = "cloned.skills.runs"
LOOKED_AT = 100


def checks(host: Host) -> list[Check]:
    """The checks over one workspace."""
    return [Check(PACKS, lambda: packs(host)), Check(RUNS, lambda: interrupted(host))]


def packs(host: Host) -> Sequence[CheckFinding]:
    """A finding for each refused pack."""
    found = catalog(host.skill_packs())
    if not found.refused:
        return [CheckFinding(PACKS, "ok", f"{len(found.definitions)} pipelines can be run")]
    return [
        CheckFinding(
            PACKS,
            "problem",
            f"skill pack {pack.pack_id} of {pack.plugin_id} cannot be used: {pack.reason}",
            "its pipelines do not run",
            f"cloned plugin disable {pack.plugin_id}",
        )
        for pack in found.refused
    ]


def interrupted(host: Host) -> Sequence[CheckFinding]:
    """A finding for each run that was under way when its process ended. Takes each one's lease for an instant."""
    findings = []
    for run in Records(host).listed("running", LOOKED_AT):
        with host.lease(run.run_id) as mine:
            if mine:
                findings.append(
                    CheckFinding(
                        RUNS,
                        "warning",
                        f"run {run.run_id} of {run.pipeline_id} was interrupted",
                        "nothing executes it; it goes on without repeating what is done",
                        f"cloned runs resume {run.run_id}",
                    )
                )
    return findings or [CheckFinding(RUNS, "ok", "no run is orphaned")]
