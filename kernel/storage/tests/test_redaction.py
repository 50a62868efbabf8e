"""Secrets are made when the tests run: none stands in this file for a scanner to find."""

import base64
import json
import random
import re
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from cloned_schemas.tool import RedactionRule
from cloned_storage.redaction import _FORMATS, Redactor, _compiled

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
WORD = ALNUM + "-_"
chance = random.Random(20)  # noqa: S311 - reproducible test values, no secrets


def some(count: int, alphabet: str = ALNUM) -> str:
    # A digit in the middle: a random value without one is rarer than what the entropy rule must let pass.
    return (
        "".join(chance.choice(alphabet) for _ in range(count - 3))
        + "7"
        + chance.choice("ab" if "a" in alphabet else "AB")
        + "9"
    )


def jwt() -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "EdDSA"}, {"sub": "ada"})
    )
    return f"{head}.{body}.{some(43, WORD)}"


def pem(kind: str = "PRIVATE KEY") -> str:
    lines = "\n".join(some(64, ALNUM + "+/") for _ in range(4))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----"


TOKENS: dict[str, Callable[[], str]] = {
    "github p": lambda: f"ghp_{some(36)}",
    "github o": lambda: f"gho_{some(36)}",
    "github u": lambda: f"ghu_{some(36)}",
    "github s": lambda: f"ghs_{some(36)}",
    "github r": lambda: f"ghr_{some(36)}",
    "github fine-grained": lambda: f"github_pat_{some(22)}_{some(59)}",
    "gitlab": lambda: f"glpat-{some(20, WORD)}",
    "aws id": lambda: f"AKIA{some(16, UPPER)}",
    "aws temporary id": lambda: f"ASIA{some(16, UPPER)}",
    "google key": lambda: f"AIza{some(35, WORD)}",
    "google oauth": lambda: f"ya29.{some(60, WORD)}",
    "google client": lambda: f"GOCSPX-{some(28, WORD)}",
    "slack bot": lambda: f"xoxb-{some(11, string.digits)}-{some(24)}",
    "slack app": lambda: f"xapp-1-{some(11, UPPER)}-{some(40)}",
    "slack hook": lambda: f"https://hooks.slack.com/services/T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}",
    "openai": lambda: f"sk-{some(48)}",
    "openai project": lambda: f"sk-proj-{some(80, WORD)}",
    "anthropic": lambda: f"sk-ant-api03-{some(90, WORD)}",
    "stripe": lambda: f"sk_live_{some(24)}",
    "stripe restricted": lambda: f"rk_live_{some(24)}",
    "stripe test": lambda: f"sk_test_{some(24)}",
    "stripe hook": lambda: f"whsec_{some(32)}",
    "npm": lambda: f"npm_{some(36)}",
    "pypi": lambda: f"pypi-AgEIcHlwaS5vcmc{some(60, WORD)}",
    "hugging face": lambda: f"hf_{some(34)}",
    "sendgrid": lambda: f"SG.{some(22, WORD)}.{some(43, WORD)}",
    "digitalocean": lambda: f"dop_v1_{some(64, '0123456789abcdef')}",
    "digitalocean oauth": lambda: f"doo_v1_{some(64, '0123456789abcdef')}",
    "vault": lambda: f"hvs.{some(24, WORD)}",
    "age": lambda: f"AGE-SECRET-KEY-1{some(58, UPPER)}",
    "telegram": lambda: f"{chance.randrange(10**8, 10**9)}:AA{some(33, WORD)}",
    "jwt": jwt,
    "pem": pem,
    "rsa pem": lambda: pem("RSA PRIVATE KEY"),
    "openssh pem": lambda: pem("OPENSSH PRIVATE KEY"),
}
AROUND = (
    "{}", "the token is {}.", "x={}&y=1", '{{"a":"{}"}}', "first line\n{}\nlast line", "see ({}) and [{}]", "Bearer {}",
    "https://api.example.com/v1?access_token={}", "<b>{}</b>", "`{}`",
)  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_known_tokens_go_wherever_they_stand(redactor: Redactor, name: str) -> None:
    for around in AROUND:
        for _ in range(20):
            token = TOKENS[name]()
            secret = token.rpartition("/services/")[2]
            text = around.format(*[token] * around.count("{}"))
            shown = redactor.text(text)
            assert secret not in shown, around
            assert "[REDACTED:" in shown
            assert secret not in json.dumps(redactor.value({"list": [{"deep": text}]}))


def test_every_known_format_is_tried_here() -> None:
    made = [make() for make in TOKENS.values() for _ in range(20)]
    assert [prefix for prefix, pattern in _FORMATS if not any(map(_compiled(pattern).search, made))] == []


@pytest.mark.parametrize("name", ["github p", "github fine-grained", "aws id", "slack bot", "pem", "openssh pem"])
def test_known_tokens_go_when_packed_in_base64(redactor: Redactor, name: str) -> None:
    for before in ("", ":", "a:", "ab:", '{"auth": "'):
        packed = base64.b64encode(f"{before}{TOKENS[name]()} and more".encode()).decode()
        assert packed[8:-8] not in redactor.text(f"data: {packed}")


ASSIGNMENTS = (
    "password={}", "password: {}", 'db_password = "{}"', "--password={}", "PASSWORD='{}'", "client_secret={}",
    "AWS_SECRET_ACCESS_KEY={}", "api_key: {}", "X-Api-Key: {}", "apikey={}", "Authorization: Bearer {}",
    "Authorization: token {}", "Cookie: theme=dark; session={}", "private_key={}", '{{"access_token": "{}"}}',
    "https://host.example/x?sig={}&v=1", "AccountKey={}", "passphrase => {}", '{{\\"token\\": \\"{}\\"}}',
)  # fmt: skip


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_random_values_beside_telling_names_go(redactor: Redactor, assignment: str) -> None:
    for _ in range(30):
        secret = some(32)
        text = assignment.format(secret)
        assert secret not in redactor.text(text)
        assert secret not in json.dumps(redactor.value(["x", text]))


@pytest.mark.parametrize(
    "key", ["password", "apiKey", "client_secret", "refresh_token", "Authorization", "db-password", "privateKey"]
)
def test_random_values_under_telling_keys_go_at_any_depth(redactor: Redactor, key: str) -> None:
    secret = some(24)
    shown = redactor.value({"a": [{"b": {key: secret, "rows": 3, "none": None}}]})
    assert secret not in json.dumps(shown)
    assert shown["a"][0]["b"]["rows"] == 3


def test_a_short_password_goes_beside_its_name(redactor: Redactor) -> None:
    assert "hunter2" not in redactor.text("login with password=hunter2 now")
    assert "s3cr3t!x" not in redactor.text("postgres://app:s3cr3t!x@db.example/app")


def test_basic_credentials_go(redactor: Redactor) -> None:
    packed = base64.b64encode(b"ada:lovelace").decode()
    assert packed not in redactor.text(f"curl -H 'Authorization: Basic {packed}'")
    assert packed not in redactor.text(f"sent Basic {packed} to it")


ORDINARY = (
    "The secret of getting ahead is getting started.",
    "Set a password: it must have at least 12 characters, and a digit.",
    "password: required, string",
    "Basic understanding of bearer certificates helps; see authorization: below.",
    "Authorization: Bearer <token>",
    "export API_KEY=$API_KEY  # or api_key: ${API_KEY}",
    "token = get_token(request)",
    "token: vault:github.app.private_key",
    "auth: https://login.example.com/oauth2/v2.0/authorize",
    "private_key: /home/ada/.ssh/id_ed25519",
    "The key sk-learn-like-names-are-long-but-have-no-digits stays.",
    "sha256:" + "0123456789abcdef" * 4,
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b fixes #12",
    "urn:uuid:01900000-0000-7000-8000-000000000000",
    "next_page_token: CAUQAA1234567890abcdef",
    '{"nextPageToken": "CAUQAA1234567890abcdef"}',
    "total_tokens: 12345, max_token=4096",
    "http://localhost:8080/path@v1 and git@github.com:cloned/cloned.git and ada@example.com",
    "https://example.com/a/b?q=tokens&sort=asc#signature",
    "def sign(key: bytes, signature: bytes) -> bool: ...",
    "Ünïcödé, 日本語, 👩‍👩‍👧 and tabs\tand\r\nline feeds stay.",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
    "cloned.internal.artifact.save@v1 calls, keyid 4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ada@host",
    "author: Ada Lovelace, 1815; tokenizer=bpe50257; secretary=Bob",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_comes_through_untouched(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text
    value = {"text": [text], "count": 3, "nothing": None, "yes": True}
    assert redactor.value(value) == value


def test_places_in_a_listing_are_no_secrets(redactor: Redactor) -> None:
    value = {
        "nextPageToken": "CAUQAA1234567890abcdef",
        "cursor_token": "CAUQAA1234567890abcdef",
        "key": "a1b2c3d4e5f6g7",
    }
    assert redactor.value(value) == value


VAULTED = 'p@ss wörd/+"quoted"\\7'
HIDING: tuple[Callable[[str], str], ...] = (
    lambda s: s,
    lambda s: f"prefix{s}suffix",
    lambda s: quote(s, safe=""),
    lambda s: re.sub("%..", lambda found: found[0].lower(), quote(s, safe="")),
    lambda s: json.dumps({"x": s}),
    lambda s: json.dumps({"x": s}, ensure_ascii=False),
    lambda s: json.dumps(json.dumps({"x": s})),
    lambda s: s.encode().hex(),
    *(lambda s, n=n: base64.b64encode(b"x" * n + s.encode() + b"tail").decode() for n in range(3)),
    *(lambda s, n=n: base64.urlsafe_b64encode(b"x" * n + s.encode()).decode() for n in range(3)),
)


@pytest.mark.parametrize("hidden", HIDING)
def test_a_remembered_value_goes_in_every_form(redactor: Redactor, hidden: Callable[[str], str]) -> None:
    before = hidden(VAULTED)
    assert redactor.text(before) == before
    redactor.remember(VAULTED.encode() + b"\n")
    assert "[REDACTED:secret:" in redactor.text(before)
    assert "[REDACTED:secret:" in json.dumps(redactor.value({"deep": [{"x": before}]}))
    assert "[REDACTED:secret:" in json.dumps(redactor.value({before: 1}))


def test_a_remembered_key_goes_line_by_line(redactor: Redactor) -> None:
    key = pem()
    redactor.remember(key.encode())
    assert key.split("\n")[2] not in redactor.text(f"line 2 was {key.split(chr(10))[2]}")


def test_bytes_that_are_no_text_are_remembered_too(redactor: Redactor) -> None:
    raw = bytes([0xFF, 0xFE, 7, 8, 9, 10, 200, 201, 202])
    redactor.remember(raw)
    assert raw.hex() not in redactor.text(f"key {raw.hex()}")
    assert "REDACTED" in redactor.text(base64.b64encode(raw).decode())


def test_another_process_recognises_a_value_by_its_fingerprint(redactor: Redactor) -> None:
    plain = "plain words here"
    fingerprint = redactor.remember(b"correct-horse")
    other = Redactor(b"a salt of these tests", [fingerprint])
    assert "correct-horse" not in fingerprint
    assert "correct-horse" not in other.text('the password "correct-horse" was used')
    assert "correct-horse" not in json.dumps(other.value({"x": ["it is correct-horse"]}))
    assert other.text(plain) == plain
    assert Redactor(b"another salt", [fingerprint]).text("correct-horse") == "correct-horse"


def test_equal_secrets_get_equal_marks_and_a_mark_tells_nothing_without_the_salt(redactor: Redactor) -> None:
    token = TOKENS["github p"]()
    first, second = redactor.text(f"{token} {token}").split()
    assert first == second
    assert Redactor(b"another").text(token) != first
    assert len(first) == len("[REDACTED:token:]") + 8


def test_what_is_redacted_stays_as_it_is(redactor: Redactor) -> None:
    for assignment in ASSIGNMENTS:
        once = redactor.text(assignment.format(some(30)))
        assert redactor.text(once) == once


def test_marked_fields_go_whole(redactor: Redactor) -> None:
    def rule(pointer: str, kind: str) -> RedactionRule:
        return RedactionRule.model_validate({"pointer": pointer, "redaction_class": kind})

    value: dict[str, Any] = {"people": [{"mail": "ada@example.com", "id": 1}, {"mail": "bob@example.com", "id": 2}],
                             "a/b": {"home": "/home/ada"}, "kept": "x", "body": {"deep": [1, 2]}}  # fmt: skip
    rules = [rule("inputs/people/*/mail", "pii"), rule("inputs/a~1b/home", "path"), rule("inputs/body", "secret"),
             rule("inputs/absent/field", "pii"), rule("inputs/people/1/id", "pii")]  # fmt: skip
    shown = redactor.value(value, rules)
    assert "example.com" not in json.dumps(shown)
    assert shown["a/b"]["home"].startswith("[REDACTED:path:")
    assert shown["body"].startswith("[REDACTED:secret:")
    assert (shown["kept"], shown["people"][0]["id"]) == ("x", 1)
    assert shown["people"][1]["id"].startswith("[REDACTED:pii:")
    assert value["people"][0]["mail"] == "ada@example.com"


def test_control_characters_go_and_a_log_line_is_one_line(redactor: Redactor) -> None:
    assert redactor.text("a\x1b[31mred\x00\x9b\r\n\tb") == "a[31mred\r\n\tb"
    assert redactor.value({"x\x1b": ["\x07y"]}) == {"x": ["y"]}
    assert redactor.line("a\nb\r\n  c" + "d" * 2000, most=20) == "a b c" + "d" * 15
    assert redactor.text("lone \udcff surrogate") == "lone  surrogate"
    assert redactor.value(["lone \udcff"]) == ["lone "]


def test_time_grows_with_length_alone(redactor: Redactor) -> None:
    """Each would take hours with a pattern that tries everything twice: it would hang, not fail."""
    for piece in (
        "password=",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ" + "a" * 50,
        "Bearer ",
        "://a:",
        'token:\\"',
        "a_" * 30,
        "QUtJQ",
    ):
        redactor.text(piece * (200_000 // len(piece)))
