from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.trust.ssh.allowed_signers import matches_patterns, parse_allowed_signer
from bucketry.trust.trust_file import TrustFileError, load_trust_file, parse_trust_file
from trust.people import ANNA, BERT, EVERYBODY, PRODUCTION, Person, rule, signer, trust_text

if TYPE_CHECKING:
    from pathlib import Path


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_whole_trust_file_is_read(tmp_path: Path) -> None:
    top = f'lowest_generation = 3\ndenied_manifests = ["{"cd" * 32}"]\nrevoked_keys = ["{BERT.fingerprint}"]'
    path = tmp_path / "trust.toml"
    path.write_bytes(trust_text(*EVERYBODY, rule(extra="separate_duties = true"), top=top))
    path.chmod(0o644)
    trust = load_trust_file(path)
    assert (trust.lowest_generation, trust.denied_manifests) == (3, frozenset([Digest("cd" * 32)]))
    assert [each.principal for each in trust.signers if each.revoked] == [BERT.principal]
    assert trust.rules[0].separate_duties
    assert trust.rules[0].approvals == 2


def test_several_lines_are_several_keys_of_one_person() -> None:
    second = Person(ANNA.principal, key=2)
    who = f'{ANNA.principal} namespaces="review@bucketry"'
    lines = f"{who} {ANNA.line}\n# the other laptop\n{who} {second.line}"
    text = f'[[signer]]\nprincipal = "{ANNA.principal}"\nallowed = """\n{lines}\n"""\n'
    trust = parse_trust_file(trust_text(text, signer(BERT), rule()))
    assert [each.principal for each in trust.signers] == [ANNA.principal, ANNA.principal, BERT.principal]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"registry = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"a = " + b"[" * 5_000, "not TOML"),
        (b"a = " + b"1" * 5_000, "not TOML"),
        (trust_text(*EVERYBODY), r"no \[\[rule\]\]"),
        (trust_text(*EVERYBODY, rule(approvals=0)), "at least 1"),
        (trust_text(*EVERYBODY, rule(approvals=3)), "never be reached"),
        (trust_text(*EVERYBODY, rule([])), "must each name something|never be reached"),
        (trust_text(*EVERYBODY, rule([ANNA, Person("typo@example.org")])), "typo@example.org.*is no signer"),
        (trust_text(*EVERYBODY, rule(), top="lowest_generatoin = 1"), '"lowest_generatoin" is not understood'),
        (trust_text(*EVERYBODY, rule(extra="approval = 1")), 'rule 1: "approval" is not understood'),
        (trust_text(signer(ANNA, extra="revokd = true"), signer(BERT), rule()), 'signer 1: "revokd" is not'),
        (trust_text(*EVERYBODY, rule(extra='separate_duties = "no"')), "neither true nor false"),
        (trust_text(*EVERYBODY, rule(), top="lowest_generation = -1"), "whole number of at least 0"),
        (trust_text(*EVERYBODY, rule(), top="lowest_generation = true"), "whole number of at least 0"),
        (trust_text(*EVERYBODY, rule(), top='denied_manifests = ["x"]'), "not a SHA-256"),
        (trust_text(*EVERYBODY, rule(), top='revoked_keys = ["MD5:aa"]'), "is not a fingerprint"),
        (trust_text(*EVERYBODY, rule(), registry=""), "registry is missing"),
        (trust_text(signer(ANNA), signer(BERT).replace(BERT.line, ANNA.line), rule()), "share one key"),
        (trust_text(signer(ANNA), signer(BERT).replace(f"'{BERT.principal}", "'eve@x"), rule()), "somebody else"),
        (trust_text(signer(ANNA, "cert-authority"), signer(BERT), rule()), "certificate authorities"),
        (trust_text('signer = "anna"', rule()), r"under \[\[signer\]\]"),
    ],
)
def test_a_trust_file_that_cannot_be_meant_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(TrustFileError, match=reason):
        parse_trust_file(body)


def test_a_missing_trust_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustFileError, match="cannot be read: No such file"):
        load_trust_file(tmp_path / "absent.toml")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_trust_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "trust.toml"
    path.write_bytes(trust_text(*EVERYBODY, rule()))
    path.chmod(mode)
    with pytest.raises(TrustFileError, match="can be written by others") as caught:
        load_trust_file(path)
    assert caught.value.advice == f"run `chmod go-w {path}`"


def test_a_trust_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trust.toml"
    path.write_bytes(trust_text(*EVERYBODY, rule()))
    path.chmod(0o644)
    real = path.stat().st_uid
    if real == 0:
        import os  # noqa: PLC0415 - only root may give a file away

        os.chown(path, 12_345, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: real + 1)
    with pytest.raises(TrustFileError, match="neither to root nor to us"):
        load_trust_file(path)


def test_a_folder_is_no_trust_file(tmp_path: Path) -> None:
    with pytest.raises(TrustFileError, match="cannot be read"):
        load_trust_file(tmp_path)


def test_rules_speak_about_models_and_aliases_by_pattern() -> None:
    (spoken,) = parse_trust_file(trust_text(*EVERYBODY, rule(models="risk/*", aliases="prod*"))).rules
    assert spoken.speaks_about(ModelName("risk", "chat"), PRODUCTION)
    assert not spoken.speaks_about(ModelName("other", "chat"), PRODUCTION)
    assert not spoken.speaks_about(ModelName("risk", "chat"), AliasName("staging"))
    assert not spoken.speaks_about(ModelName("risk", "chat"), None)


def test_only_a_star_speaks_about_versions_without_an_alias() -> None:
    (spoken,) = parse_trust_file(trust_text(*EVERYBODY, rule(models="*", aliases="*"))).rules
    assert spoken.speaks_about(ModelName("risk", "chat"), None)
    assert spoken.speaks_about(ModelName("default", "chat"), AliasName("x"))


def test_a_model_without_a_namespace_goes_by_both_names() -> None:
    for pattern in ("chat", "default/chat"):
        (spoken,) = parse_trust_file(trust_text(*EVERYBODY, rule(models=pattern))).rules
        assert spoken.speaks_about(ModelName("default", "chat"), PRODUCTION)
        assert not spoken.speaks_about(ModelName("risk", "chat"), PRODUCTION)


def test_an_allowed_signers_line_is_read_as_openssh_reads_it() -> None:
    options = 'namespaces="review@*,!review@evil",valid-after="20260101Z",valid-before="20270101123000Z"'
    allowed = parse_allowed_signer(f"anna@*,!anna@evil.org {options} {ANNA.line} her laptop")
    assert allowed.speaks_for("anna@example.org")
    assert not allowed.speaks_for("anna@evil.org")
    assert allowed.allows("review@bucketry")
    assert not allowed.allows("review@evil")
    assert not allowed.allows("publish@bucketry")
    assert not allowed.is_valid_at(moment("2025-12-31T23:59:59"))
    assert allowed.is_valid_at(moment("2026-01-01T00:00:00"))
    assert allowed.is_valid_at(moment("2027-01-01T12:30:00"))
    assert not allowed.is_valid_at(moment("2027-01-01T12:30:01"))


def test_a_signer_without_namespaces_is_refused() -> None:
    bare = f"[[signer]]\nprincipal = \"{ANNA.principal}\"\nallowed = '{ANNA.principal} {ANNA.line}'\n"
    with pytest.raises(TrustFileError, match='write namespaces="review@bucketry"'):
        parse_trust_file(trust_text(bare, signer(BERT), rule()))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "no principals"),
        (ANNA.line, "is not a public key|not a time|not understood"),
        (f"anna verify-required {ANNA.line}", "verify-required"),
        (f"anna namespaces=review@bucketry {ANNA.line}", "is not a public key"),
        (f'anna namespaces="" {ANNA.line}', "empty"),
        (f'anna valid-after="20261301Z" {ANNA.line}', "no calendar|any calendar"),
        (f'anna valid-after="tomorrow" {ANNA.line}', "is not a time"),
        (f'anna valid-after="20260101" {ANNA.line}', "with a Z"),
        (f'anna valid-before="202601010300" {ANNA.line}', "with a Z"),
        (f'anna valid-before="20260101ZZ" {ANNA.line}', "with a Z"),
        (f'anna valid-after="20260101Z",valid-after="20250101Z" {ANNA.line}', "twice"),
        (f"anna cert-authority {ANNA.line}", "certificate authorities"),
        ("anna ssh-ed25519 AAAA", "is not a public key"),
        ("anna " + "x" * 20_000, "too long"),
    ],
)
def test_an_allowed_signers_line_that_is_not_understood_is_refused(line: str, reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        parse_allowed_signer(line)


@pytest.mark.parametrize(
    ("text", "patterns", "matches"),
    [
        ("a@b", ["a@b"], True),
        ("a@b", ["a@?"], True),
        ("a@b", ["*"], True),
        ("a@b", ["[a]@b"], False),
        ("a@b", ["*", "!a@b"], False),
        ("a@b", ["!x"], False),
        ("a@b\n", ["a@b"], False),
    ],
)
def test_patterns_match_as_in_openssh(text: str, patterns: list[str], *, matches: bool) -> None:
    assert matches_patterns(text, patterns) is matches
