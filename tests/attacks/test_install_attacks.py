"""The attack corpus at the command: D1 to D14 as `cloned plugin install WHEEL`, by a person who agrees to everything.

Each ends with its own error id and exit code 5, runs no code of the package, and leaves one audit line, no more.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import forge
from tests.attacks.expect import ACME, VICTIM
from tests.attacks.forge import Entry, ForgedPublisher, ForgedRelease, Tweak
from tests.attacks.premises import Watched, beside, error_of, trusted
from tests.conftest import Command, Desk

HUGE = 100_000_000
ANOTHER = forge.archive([Entry(b"acme_weather/worker.py", b"raise SystemExit\n")])


@pytest.fixture
def trusting(desk: Desk, tmp_path: Path) -> Desk:
    """A workspace whose user trusts two publishers."""
    return trusted(trusted(desk, ACME, tmp_path), VICTIM, tmp_path)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def flipped(canary: Path) -> ForgedRelease:
    honest = forge.release(ACME, canary=canary)
    return replace(honest, wheel=forge.flipped(honest.wheel, len(honest.wheel) - 22))


def tweaked(tweak: Tweak, signer: ForgedPublisher = ACME, **more: Any) -> Any:
    return lambda canary: forge.release(signer, canary=canary, tweak=tweak, **more)


def shipping(path: str) -> Any:
    return lambda canary: forge.release(
        ACME, canary=canary, tweak=forge.shipped_file(path, forge.canary_source(canary))
    )


def with_member(**entry: Any) -> Any:
    return lambda canary: forge.release(
        ACME, canary=canary, tweak=forge.added(Entry(**{"data": forge.canary_source(canary), **entry}))
    )


def stripped(envelope: bytes) -> bytes:
    return forge.as_json({**json.loads(envelope), "signatures": []})


CORPUS = {
    "d1-flipped-byte": (flipped, "DIGEST_MISMATCH"),
    "d2-unsigned": (tweaked(Tweak(envelope=lambda _: None)), "SIG_MISSING"),
    "d3-stripped-signatures": (tweaked(Tweak(envelope=stripped)), "SIG_MISSING"),
    "d4-unknown-publisher": (
        tweaked(Tweak(), forge.publisher("fresh"), plugin_id="fresh-weather"),
        "PUBLISHER_UNTRUSTED",
    ),
    "d4-unknown-key": (tweaked(Tweak(), forge.publisher("acme")), "PUBLISHER_UNTRUSTED"),
    "d5-publisher-swap": (
        tweaked(Tweak(), ForgedPublisher(VICTIM.record, ACME.keys), plugin_id="victim-weather"),
        "KEY_NOT_FOR_PUBLISHER",
    ),
    "d6-record-lie": (tweaked(Tweak(record=lambda text: text.partition("\n")[2])), "RECORD_MISMATCH"),
    "d7-unlisted-member": (with_member(name=b"acme_weather/extra.py"), "EXTRA_FILE"),
    "d8-pth": (shipping("x.pth"), "FORBIDDEN_MEMBER"),
    "d9-scripts": (shipping("acme_weather-1.0.0.data/scripts/pip"), "FORBIDDEN_MEMBER"),
    "d10-overlay": (shipping("victim/__init__.py"), "TOPLEVEL_NOT_OWNED"),
    "d11-path-traversal": (with_member(name=b"../../x"), "ZIP_NAME"),
    "d12-link": (with_member(name=b"acme_weather/x", data=b"/etc/passwd", mode=forge.LINK_MODE), "ZIP_TYPE"),
    "d13-duplicate": (with_member(name=b"acme_weather/worker.py"), "ZIP_DUPLICATE"),
    "d14-concatenated": (tweaked(Tweak(archive=lambda wheel: ANOTHER + wheel)), "ZIP_STRUCTURE"),
}


@pytest.mark.parametrize(("forged", "expected"), CORPUS.values(), ids=CORPUS)
def test_a_hostile_wheel_is_refused_and_only_the_audit_tells_of_it(
    trusting: Desk, command: Command, wheels: Path, canary: Path, forged: Any, expected: str
) -> None:
    wheel = forged(canary).write(wheels)
    watched = Watched.now(trusting)
    refused = beside(trusting, command).at_terminal("plugin", "install", wheel, "--enable", "--json")
    told = error_of(refused)
    assert (refused.code, told["id"]) == (5, expected)
    assert told["repair"]
    watched.assert_untouched()
    [entry] = watched.told_since()
    assert (entry["kind"], entry["error_id"], entry["details"]["wheel"]) == ("refusal", expected, wheel.name)


def test_the_same_way_installs_what_is_honest(trusting: Desk, command: Command, wheels: Path, canary: Path) -> None:
    wheel = forge.release(ACME, canary=canary).write(wheels)
    done = beside(trusting, command).at_terminal("plugin", "install", wheel, "--enable")
    assert done.code == 0, done.out
    assert "Type" in done.out
    assert [row["state"] for row in trusting.ask("plugin.list").plugins] == ["enabled"]


def test_what_is_refused_only_once_it_lies_in_the_store_does_not_stay_there(
    trusting: Desk, command: Command, wheels: Path, canary: Path
) -> None:
    tool = forge.default_manifest("acme-weather", "1.0.0", "acme")["tools"][0]
    forge.release(ACME, canary=canary).write(wheels)
    trusting.ask("plugin.install", id=str(wheels / "acme_weather-1.0.0-py3-none-any.whl"), enable=True)
    # The same tool from a second plugin: everything about the wheel is right but what it claims.
    greedy = forge.release(ACME, plugin_id="acme-zephyr", canary=canary, manifest={"tools": [tool]})
    watched = Watched.now(trusting)
    refused = beside(trusting, command).at_terminal("plugin", "install", greedy.write(wheels), "--json")
    assert error_of(refused)["id"] == "TOOL_ID_TAKEN"
    watched.assert_untouched()
    assert [entry["error_id"] for entry in watched.told_since()] == ["TOOL_ID_TAKEN"]


def test_a_wheel_or_signature_of_100_mb_is_refused_before_it_is_read(
    trusting: Desk, command: Command, wheels: Path, canary: Path
) -> None:
    honest = forge.release(ACME, canary=canary)
    for grown in (honest.wheel_name, honest.signature_name):
        wheel = honest.write(wheels)
        os.truncate(wheels / grown, HUGE)  # a hole: it costs no disk, and whoever reads it takes it all into memory
        watched = Watched.now(trusting)
        refused = beside(trusting, command).at_terminal("plugin", "install", wheel, "--json")
        told = error_of(refused)
        assert (refused.code, told["id"]) == (2, "FILE_TOO_LARGE")
        assert f"{HUGE} bytes" in told["message"]
        watched.assert_untouched()


def test_a_wheel_that_no_memory_could_hold_is_refused_like_any_that_is_too_large(
    trusting: Desk, command: Command, wheels: Path, canary: Path
) -> None:
    wheel = forge.release(ACME, canary=canary).write(wheels)
    os.truncate(wheel, 1 << 40)
    refused = beside(trusting, command).at_terminal("plugin", "install", wheel, "--json")
    assert error_of(refused)["id"] == "FILE_TOO_LARGE"


def fifo(place: Path) -> None:
    os.mkfifo(place)


def link(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


def folder(place: Path) -> None:
    place.mkdir()


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [(fifo, 2, "PLUGIN_NOT_FOUND"), (link, 5, "FILE_UNSAFE"), (folder, 2, "PLUGIN_NOT_FOUND")],
)
def test_a_wheel_that_is_no_plain_file_is_refused(
    trusting: Desk, command: Command, wheels: Path, canary: Path, kind: Any, code: int, expected: str
) -> None:
    wheel = forge.release(ACME, canary=canary).write(wheels)
    if kind is not link:
        wheel.unlink()
    kind(wheel)
    watched = Watched.now(trusting)
    refused = beside(trusting, command).at_terminal("plugin", "install", wheel, "--json")
    assert (refused.code, error_of(refused)["id"]) == (code, expected)
    watched.assert_untouched()


@pytest.mark.parametrize("kind", [fifo, link, folder])
def test_a_signature_that_is_no_plain_file_is_refused(
    trusting: Desk, command: Command, wheels: Path, canary: Path, kind: Any
) -> None:
    honest = forge.release(ACME, canary=canary)
    wheel = honest.write(wheels)
    signature = wheels / honest.signature_name
    if kind is not link:
        signature.unlink()
    kind(signature)
    watched = Watched.now(trusting)
    refused = beside(trusting, command).at_terminal("plugin", "install", wheel, "--json")
    assert (refused.code, error_of(refused)["id"]) == (5, "FILE_UNSAFE")
    watched.assert_untouched()
    assert [entry["kind"] for entry in watched.told_since()] == ["refusal"]
