"""The expectation that all attacks share: one refusal, by one registered id. Judges nothing itself."""

from cloned_schemas.errors import spec
from cloned_schemas.trust import Revocations
from cloned_trust.release import ReleaseVerdict, judge_release
from tests.attacks import forge
from tests.attacks.forge import ForgedPublisher, ForgedRelease

ACME = forge.publisher("acme")
VICTIM = forge.publisher("victim")
NOTHING_REVOKED = Revocations()


def judged(
    release: ForgedRelease, *trusted: ForgedPublisher, revocations: Revocations = NOTHING_REVOKED
) -> ReleaseVerdict:
    return judge_release(
        wheel=release.wheel,
        wheel_name=release.wheel_name,
        signature=release.signature,
        publishers=[one.record for one in trusted or (ACME, VICTIM)],
        revocations=revocations,
    )


def refusal(release: ForgedRelease, *trusted: ForgedPublisher, revocations: Revocations = NOTHING_REVOKED) -> str:
    """The id of the one refusal, which must stand in the registry as the operator's to decide."""
    verdict = judged(release, *trusted, revocations=revocations)
    assert not verdict.accepted
    assert verdict.release is None
    (finding,) = verdict.findings
    assert finding.refuses
    assert spec(finding.error_id).family == "trust_refused"
    return finding.error_id
