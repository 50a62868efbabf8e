"""The rulebook collects what the gates would stop at first, and agrees with them."""

from dataclasses import replace

import pytest

from cloned_trust import rulebook
from cloned_trust.verdict import Finding
from tests.attacks import forge
from tests.attacks.forge import Entry, ForgedRelease, Tweak

ACME = forge.publisher("acme")


def checked(release: ForgedRelease) -> tuple[Finding, ...]:
    return rulebook.check(release.wheel, release.wheel_name, release.signature)


def ids(release: ForgedRelease) -> list[str]:
    return [finding.error_id for finding in checked(release)]


def test_an_honest_signed_release_has_no_findings() -> None:
    assert checked(forge.release(ACME)) == ()


def test_unsigned_is_a_notice() -> None:
    (finding,) = checked(replace(forge.release(ACME), signature=None))
    assert (finding.error_id, finding.severity) == ("SIG_MISSING", "notice")


def test_an_empty_list_of_signatures_is_more_than_a_notice() -> None:
    (finding,) = checked(replace(forge.release(ACME), signature=b'{"payload":"","payloadType":"x","signatures":[]}'))
    assert (finding.error_id, finding.severity) == ("SIG_MISSING", "refuse")


def test_everything_is_collected_in_the_order_in_which_it_would_refuse() -> None:
    tweak = Tweak(
        files=lambda files: {**files, "acme.pth": b"import x", "other/x.so": b""},
        record=lambda _: "",
        members=lambda members: [*members, Entry(b"acme_weather/extra.py", b"")],
        shipped=lambda release: replace(release, wheel_name="acme_weather-1.0.0-py2-none-any.whl"),
    )
    found = ids(forge.release(ACME, tweak=tweak))
    order = [
        "STATEMENT_INVALID",
        "FORBIDDEN_MEMBER",
        "TOPLEVEL_NOT_OWNED",
        "NATIVE_CODE",
        "EXTRA_FILE",
        "RECORD_MISMATCH",
    ]
    assert list(dict.fromkeys(found)) == order


def test_what_cannot_be_read_ends_the_check_with_what_was_found() -> None:
    tweak = Tweak(archive=lambda wheel: wheel + b"\0")
    assert ids(replace(forge.release(ACME, tweak=tweak), signature=None)) == ["SIG_MISSING", "ZIP_STRUCTURE"]


@pytest.mark.parametrize("tweak", [Tweak(manifest=lambda _: []), Tweak(manifest=lambda _: b"{")])
def test_a_manifest_that_cannot_be_read_leaves_the_rest_unjudged(tweak: Tweak) -> None:
    assert ids(forge.release(ACME, tweak=tweak))[0] in {"MANIFEST_INVALID", "JSON_INVALID"}


def test_the_first_fault_of_a_manifest_is_named_by_its_place() -> None:
    unknown = Tweak(manifest=lambda manifest: {**manifest, "contributes": {"scripts": []}})
    whole = Tweak(manifest=lambda manifest: {**manifest, "isolation": "data"})
    for tweak, place in ((unknown, "contributes.scripts: "), (whole, "the whole: ")):
        assert checked(forge.release(ACME, tweak=tweak))[0].detail.startswith(place)


def test_the_statement_is_compared_with_wheel_and_manifest() -> None:
    other = forge.release(ACME, version="1.0.1")
    renamed = replace(other, wheel_name=forge.release(ACME).wheel_name, signature=forge.release(ACME).signature)
    assert ids(renamed) == ["DIGEST_MISMATCH", "MANIFEST_NAME"]
    lying = Tweak(statement=lambda said: replace(said, publisher_id="victim"))
    assert ids(forge.release(ACME, tweak=lying)) == ["STATEMENT_INVALID"]


def test_namespaces_are_those_of_the_plugins_own_first_label() -> None:
    tool = {**forge.default_manifest("acme-weather", "1.0.0", "acme")["tools"][0], "id": "victim.weather.today@v1"}
    assert ids(forge.release(ACME, manifest={"tools": [tool]})) == ["NAMESPACE_NOT_OWNED"]
