"""The attack corpus at the verdict: each hostile release is refused by exactly its error id, and no code of it runs.

D1 to D10, and lies about manifest and statement. D11 to D14 stand in test_archive_attacks.py, D19 in
test_store_attacks.py.
"""

import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import forge
from tests.attacks.expect import ACME, VICTIM, judged, refusal
from tests.attacks.forge import Entry, ForgedPublisher, Tweak

NOBODY = forge.publisher("acme")


@pytest.mark.parametrize("method", [forge.STORED, forge.DEFLATED])
def test_an_honest_release_is_accepted_stored_or_deflated(canary: Path, method: int) -> None:
    verdict = judged(forge.release(ACME, canary=canary, method=method))
    assert verdict.findings == ()
    assert verdict.release is not None
    assert verdict.release.manifest.id == verdict.release.plugin_id == "acme-weather"
    assert [member.path for member in verdict.release.members][:2] == [
        "acme_weather/__init__.py",
        "acme_weather/worker.py",
    ]


def test_an_honest_data_plugin_has_no_entry(canary: Path) -> None:
    data: dict[str, Any] = {"execution": "data", "isolation": "data", "entry": None, "tools": []}
    files = {"acme_weather/pack.yaml": b"pack: {}\n"}
    assert judged(forge.release(ACME, canary=canary, manifest=data, files=files)).accepted


def test_the_canary_sings_where_code_of_the_package_runs(tmp_path: Path) -> None:
    release = forge.release(ACME, canary=tmp_path / "canary")
    wheel = release.write(tmp_path)
    subprocess.run([sys.executable, "-c", "import acme_weather"], env={"PYTHONPATH": str(wheel)}, check=True)
    assert (tmp_path / "canary").exists()


def test_d1_a_flipped_byte_is_refused_before_the_archive_is_parsed(canary: Path) -> None:
    honest = forge.release(ACME, canary=canary)
    inside = honest.wheel.index(b"The weather, as a worker")
    end_record = len(honest.wheel) - 22
    for place in (inside, end_record):
        assert refusal(replace(honest, wheel=forge.flipped(honest.wheel, place))) == "DIGEST_MISMATCH"


@pytest.mark.parametrize("signature", [None, b""])
def test_d2_unsigned(canary: Path, signature: bytes | None) -> None:
    tweak = Tweak(envelope=lambda _: signature)
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "SIG_MISSING"


def test_d3_stripped_signatures(canary: Path) -> None:
    tweak = Tweak(envelope=lambda data: forge.as_json({**json.loads(data), "signatures": []}))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "SIG_MISSING"


def test_d4_unknown_publisher(canary: Path) -> None:
    fresh = forge.publisher("fresh")
    release = forge.release(fresh, plugin_id="fresh-weather", canary=canary)
    assert refusal(release) == "PUBLISHER_UNTRUSTED"


def test_d4_unknown_key_under_a_known_publishers_name(canary: Path) -> None:
    assert refusal(forge.release(NOBODY, canary=canary)) == "PUBLISHER_UNTRUSTED"


def test_d5_one_publishers_key_under_anothers_name(canary: Path) -> None:
    swapped = ForgedPublisher(VICTIM.record, ACME.keys)
    release = forge.release(swapped, plugin_id="victim-weather", canary=canary)
    assert refusal(release) == "KEY_NOT_FOR_PUBLISHER"


def test_d5_the_claimed_key_id_does_not_help(canary: Path) -> None:
    def claim(data: bytes) -> bytes:
        envelope = json.loads(data)
        envelope["signatures"][0]["keyid"] = VICTIM.keys[0].public.keyid
        return forge.as_json(envelope)

    swapped = ForgedPublisher(VICTIM.record, ACME.keys)
    release = forge.release(swapped, plugin_id="victim-weather", canary=canary, tweak=Tweak(envelope=claim))
    assert refusal(release) == "KEY_NOT_FOR_PUBLISHER"


def _lying_digest(text: str) -> str:
    wrong = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    first, _, rest = text.partition("\n")
    path, _, size = first.split(",")
    return f"{path},sha256={wrong},{size}\n{rest}"


@pytest.mark.parametrize(
    "lie",
    [
        _lying_digest,
        lambda text: text.partition("\n")[2],
        lambda text: text + "acme_weather/ghost.py,,\n",
        lambda text: text + text,
        lambda text: text.replace("sha256=", "md5="),
        lambda text: text.replace(",,\n", ",sha256=x,1\n"),
        lambda _: "",
    ],
    ids=["digest", "silent", "ghost", "twice", "weak-hash", "own-line", "empty"],
)
def test_d6_record_lies(canary: Path, lie: Any) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=Tweak(record=lie))) == "RECORD_MISMATCH"


def test_d7_an_unlisted_member(canary: Path) -> None:
    entry = Entry(b"acme_weather/extra.py", forge.canary_source(canary))
    assert refusal(forge.release(ACME, canary=canary, tweak=forge.added(entry))) == "EXTRA_FILE"


@pytest.mark.parametrize(
    "path",
    [
        "acme.pth",
        "acme_weather/deep/x.PTH",
        "acme_weather/worker.pyc",
        "acme_weather/__pycache__/worker.cpython-311.pyc",
        "acme_weather/__pycache__/x.py",
        "sitecustomize.py",
        "usercustomize/__init__.py",
        "acme_weather/sitecustomize.py",
        "acme_weather/package.manifest.json",
        "acme_weather-1.0.0.dist-info/package.manifest.json",
        "acme_weather-1.0.0.dist-info/INSTALLER",
        "acme_weather-1.0.0.dist-info/REQUESTED",
        "acme_weather-1.0.0.dist-info/direct_url.json",
        "acme_weather-1.0.0.dist-info/RECORD.jws",
        "acme_weather-1.0.0.dist-info/RECORD.p7s",
        "acme_weather-1.0.0-py3-none-any.whl.cloned.dsse.json",
    ],
)
def test_d8_members_that_no_wheel_may_hold(canary: Path, path: str) -> None:
    tweak = forge.shipped_file(path, forge.canary_source(canary))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "FORBIDDEN_MEMBER"


@pytest.mark.parametrize("group", ["console_scripts", "gui_scripts", "distutils.commands", "CLONED.PLUGINS"])
def test_d8_entry_points_of_other_groups(canary: Path, group: str) -> None:
    text = f"[cloned.plugins]\na = acme_weather.worker:server\n  [{group}]\npip = acme_weather:main\n"
    tweak = forge.shipped_file("acme_weather-1.0.0.dist-info/entry_points.txt", text.encode())
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "FORBIDDEN_MEMBER"


def test_d8_entry_points_that_no_ascii_reader_reads_alike(canary: Path) -> None:
    text = "[cloned.plugins]\n[console_scripts\u00a0]\n"
    tweak = forge.shipped_file("acme_weather-1.0.0.dist-info/entry_points.txt", text.encode())
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "FORBIDDEN_MEMBER"


def test_the_entry_points_that_plugins_are_found_by_are_allowed(canary: Path) -> None:
    text = b"# found by metadata alone\n[cloned.plugins]\nweather = acme_weather.worker:server\n"
    tweak = forge.shipped_file("acme_weather-1.0.0.dist-info/entry_points.txt", text)
    assert judged(forge.release(ACME, canary=canary, tweak=tweak)).accepted


@pytest.mark.parametrize(
    "path",
    [
        "acme_weather-1.0.0.data/scripts/pip",
        "acme_weather-1.0.0.DATA/purelib/acme.py",
        "acme_weather-1.0.0.data/data/acme_weather-1.0.0.dist-info/cloned/package.manifest.json",
    ],
)
def test_d9_data_and_scripts_and_a_manifest_inside_data(canary: Path, path: str) -> None:
    tweak = forge.shipped_file(path, forge.canary_source(canary))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "FORBIDDEN_MEMBER"


@pytest.mark.parametrize(
    "path",
    [
        "victim/__init__.py",
        "acme_weather.py",
        "acme/__init__.py",
        "json.py",
        "victim-1.0.0.dist-info/METADATA",
        "victim.dist-info",
        "README.md",
    ],
)
def test_d10_a_wheel_that_ships_anothers_package(canary: Path, path: str) -> None:
    tweak = forge.shipped_file(path, forge.canary_source(canary))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "TOPLEVEL_NOT_OWNED"


def test_d10_an_entry_in_anothers_package(canary: Path) -> None:
    release = forge.release(ACME, canary=canary, manifest={"entry": "python:os.path:join"})
    assert refusal(release) == "TOPLEVEL_NOT_OWNED"


@pytest.mark.parametrize("keep", ["package.manifest.json", "METADATA", "WHEEL"])
def test_the_manifest_names_what_the_wheel_does_not_hold(canary: Path, keep: str) -> None:
    dropped = Tweak(members=lambda members: [member for member in members if not member.name.endswith(keep.encode())])
    expected = "MANIFEST_MISSING" if keep == "package.manifest.json" else "MISSING_FILE"
    assert refusal(forge.release(ACME, canary=canary, tweak=dropped)) == expected


@pytest.mark.parametrize("name", ["METADATA", "WHEEL"])
def test_a_wheel_that_is_none_is_refused_though_its_manifest_agrees(canary: Path, name: str) -> None:
    def without(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [item for item in items if not item["path"].endswith(name)]

    tweak = Tweak(
        manifest=lambda manifest: {**manifest, "files": without(manifest["files"])},
        record=lambda text: "".join(line for line in text.splitlines(keepends=True) if name not in line),
        members=lambda members: [member for member in members if not member.name.endswith(name.encode())],
    )
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "MISSING_FILE"


def _with_entry(manifest: dict[str, Any], **entry: Any) -> dict[str, Any]:
    files = [*manifest["files"], {"path": "acme_weather/ghost.py", "size": 0, "sha256": "0" * 64, **entry}]
    return {**manifest, "files": files}


BIJECTION = {
    "ghost": (_with_entry, "MISSING_FILE"),
    "no-files": (lambda manifest: {**manifest, "files": []}, "EXTRA_FILE"),
    "digest": (lambda manifest: {**manifest, "files": [{**one, "sha256": "0" * 64} for one in manifest["files"]]},
               "DIGEST_MISMATCH"),
    "size": (lambda manifest: {**manifest, "files": [{**one, "size": 1} for one in manifest["files"]]},
             "DIGEST_MISMATCH"),
    "record-listed": (lambda manifest: _with_entry(manifest, path="acme_weather-1.0.0.dist-info/RECORD"),
                      "MANIFEST_INVALID"),
    "listed-twice": (lambda manifest: {**manifest, "files": manifest["files"] * 2}, "MANIFEST_INVALID"),
    "contribution": (lambda manifest: {**manifest, "contributes": {"skill_packs": [
        {"id": "acme.pack", "path": "acme_weather/pack.yaml", "summary": "A pack"}]}}, "MISSING_FILE"),
    "entry": (lambda manifest: {**manifest, "entry": "python:acme_weather.ghost:server"}, "MISSING_FILE"),
    "unknown-field": (lambda manifest: {**manifest, "post_install": "run"}, "MANIFEST_INVALID"),
    "no-object": (lambda manifest: [manifest], "MANIFEST_INVALID"),
    "other-id": (lambda manifest: {**manifest, "id": "acme-other"}, "MANIFEST_NAME"),
    "other-version": (lambda manifest: {**manifest, "version": "1.0.1"}, "MANIFEST_NAME"),
    "other-publisher": (lambda manifest: {**manifest, "publisher_id": "victim"}, "STATEMENT_INVALID"),
    "duplicate-key": (lambda manifest: b'{"id":"acme-weather",' + forge.as_json(manifest)[1:], "JSON_DUPLICATE_KEY"),
    "bom": (lambda manifest: b"\xef\xbb\xbf" + forge.as_json(manifest), "JSON_TEXT"),
    "deep": (lambda _: b"[" * 100_000, "JSON_DEPTH"),
    "large": (lambda _: b" " * (1 << 21), "JSON_SIZE"),
    "remote-schema": (lambda manifest: {**manifest, "settings_schema": {"$ref": "https://example.com/x"}},
                      "TOOL_SCHEMA"),
}  # fmt: skip


@pytest.mark.parametrize(("lie", "expected"), BIJECTION.values(), ids=BIJECTION)
def test_a_manifest_that_is_not_the_wheels_is_refused(canary: Path, lie: Any, expected: str) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=Tweak(manifest=lie))) == expected


def test_a_tool_outside_the_publishers_namespaces_is_refused(canary: Path) -> None:
    manifest = forge.default_manifest("acme-weather", "1.0.0", "acme")
    tools = [{**manifest["tools"][0], "id": "victim.weather.today@v1"}]
    assert refusal(forge.release(ACME, canary=canary, manifest={"tools": tools})) == "NAMESPACE_NOT_OWNED"


def test_a_plugin_outside_the_publishers_namespaces_is_refused(canary: Path) -> None:
    release = forge.release(ACME, plugin_id="victim-weather", canary=canary)
    assert refusal(release) == "NAMESPACE_NOT_OWNED"


def test_kernel_code_needs_the_publishers_grant(canary: Path) -> None:
    manifest = {"execution": "kernel", "isolation": "in_process"}
    assert refusal(forge.release(ACME, canary=canary, manifest=manifest)) == "EXECUTION_NOT_GRANTED"
    granted = replace(ACME, record=ACME.record.model_copy(update={"executions": ["data", "worker", "kernel"]}))
    assert judged(forge.release(granted, canary=canary, manifest=manifest), granted).accepted


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("acme_weather/fast.so", b""),
        ("acme_weather/fast.cpython-311.so.1", b""),
        ("acme_weather/FAST.DLL", b""),
        ("acme_weather/blob", b"\x7fELF\x02"),
        ("acme_weather/blob", b"\xfe\xed\xfa\xce"),
        ("acme_weather/blob", b"\xfe\xed\xfa\xcf"),
        ("acme_weather/blob", b"\xce\xfa\xed\xfe"),
        ("acme_weather/blob", b"\xcf\xfa\xed\xfe"),
        ("acme_weather/blob", b"\xca\xfe\xba\xbe"),
        ("acme_weather/blob", b"MZ\x90\0\x03"),
    ],
)
def test_native_code_needs_its_capability(canary: Path, path: str, data: bytes) -> None:
    tweak = forge.shipped_file(path, data)
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "NATIVE_CODE"
    declared = forge.release(ACME, canary=canary, tweak=tweak, manifest={"capabilities_required": ["native"]})
    assert judged(declared).accepted


def test_a_statement_about_another_wheel_is_refused(canary: Path) -> None:
    honest = forge.release(ACME, canary=canary)
    renamed = replace(honest, wheel_name="acme_weather-2.0.0-py3-none-any.whl")
    assert refusal(renamed) == "STATEMENT_INVALID"


def _renamed(name: str) -> Tweak:
    return Tweak(
        statement=lambda said: replace(said, wheel_name=name),
        shipped=lambda release: replace(release, wheel_name=name),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme_weather-1.0.0.zip", "MANIFEST_NAME"),
        ("acme_weather-1.0.0-1-py3-none-any.whl", "MANIFEST_NAME"),
        ("../acme_weather-1.0.0-py3-none-any.whl", "MANIFEST_NAME"),
        ("victim_weather-1.0.0-py3-none-any.whl", "MANIFEST_NAME"),
        ("acme_weather-2.0.0-py3-none-any.whl", "MANIFEST_NAME"),
        ("acme-weather-1.0.0-py3-none-any.whl", "MANIFEST_NAME"),
        ("acme_weather-1.0.0-cp311-cp311-linux_x86_64.whl", "NATIVE_CODE"),
    ],
)
def test_a_wheel_named_otherwise_than_its_manifest_is_refused(canary: Path, name: str, expected: str) -> None:
    assert refusal(forge.release(ACME, canary=canary, tweak=_renamed(name))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Metadata-Version: 2.4\nName: victim-weather\nVersion: 1.0.0\n",
        "Metadata-Version: 2.4\nName: acme-weather\nVersion: 9.0.0\n",
        "Metadata-Version: 2.4\nName: acme-weather\nName: victim\nVersion: 1.0.0\n",
        "Metadata-Version: 2.4\nname: victim\nName: acme-weather\nVersion: 1.0.0\n",
        "Metadata-Version: 2.4\nName: acme-weather\n victim\nVersion: 1.0.0\n",
        "Metadata-Version: 2.4\nName: acme-weather\rName: victim\rVersion: 1.0.0\n",
        "Metadata-Version: 2.4\nName: acme-weather\n\nVersion: 1.0.0\n",
        "",
    ],
    ids=["name", "version", "twice", "twice-reversed", "folded", "carriage-return", "in-the-body", "empty"],
)
def test_metadata_that_installers_read_otherwise_is_refused(canary: Path, text: str) -> None:
    path = "acme_weather-1.0.0.dist-info/METADATA"

    def lie(members: list[Entry]) -> list[Entry]:
        return [replace(one, data=text.encode()) if one.name == path.encode() else one for one in members]

    assert refusal(forge.release(ACME, canary=canary, tweak=Tweak(members=lie))) == "MANIFEST_NAME"


@pytest.mark.parametrize("field", ["plugin_id", "version", "manifest_sha256"])
def test_a_statement_that_the_manifest_contradicts_is_refused(canary: Path, field: str) -> None:
    tweak = Tweak(statement=lambda said: replace(said, **{field: "0" * 64}))
    assert refusal(forge.release(ACME, canary=canary, tweak=tweak)) == "STATEMENT_INVALID"


def test_a_payload_changed_after_signing_is_refused(canary: Path) -> None:
    def changed(data: bytes) -> bytes:
        envelope = json.loads(data)
        payload = base64.b64decode(envelope["payload"]).replace(b'"1.0.0"', b'"1.0.1"')
        return forge.as_json({**envelope, "payload": base64.b64encode(payload).decode()})

    assert refusal(forge.release(ACME, canary=canary, tweak=Tweak(envelope=changed))) == "SIG_INVALID"


def test_one_key_cannot_meet_a_threshold_of_two(canary: Path) -> None:
    two = forge.publisher("acme", key_count=2, threshold=2)
    twice = ForgedPublisher(two.record, (two.keys[0], two.keys[0]))

    def renamed(data: bytes) -> bytes:
        envelope = json.loads(data)
        envelope["signatures"][1]["keyid"] = two.keys[1].public.keyid
        return forge.as_json(envelope)

    release = forge.release(twice, canary=canary, tweak=Tweak(envelope=renamed))
    assert refusal(release, two) == "SIG_INVALID"
    helped = ForgedPublisher(two.record, (two.keys[0], *VICTIM.keys))
    assert refusal(forge.release(helped, canary=canary), two, VICTIM) == "SIG_INVALID"
    assert judged(forge.release(two, canary=canary), two).accepted
