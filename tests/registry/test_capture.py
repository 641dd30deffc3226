"""Is what is captured, and what is stated, free of credentials before it comes into a manifest?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.opening import open_session
from bucketry.registry.publishing.capture import capture_command, without_credentials
from bucketry.registry.publishing.publish import PublishRequest, prepare_publish
from bucketry.schema.codec import encode
from bucketry.schema.documents.manifest import Lineage, Training
from bucketry.schema.names import ModelName
from registry.opened import make_registry

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "ghp_hunter2"
PRIVATE = f"https://ci:{SECRET}@host/d"
PUBLIC = "https://host/d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PRIVATE, PUBLIC),
        ("ssh://git@host:22/d", "ssh://host:22/d"),
        ("https://u:p w@h@host", "https://host"),
        (f"name=d,uri={PRIVATE}", f"name=d,uri={PUBLIC}"),
        (f"--dataset=name=d,uri={PRIVATE},rows=3", f"--dataset=name=d,uri={PUBLIC},rows=3"),
        (f"fetch {PRIVATE} && fetch 'http://u:p@x/y?z'", f"fetch {PUBLIC} && fetch 'http://x/y?z'"),
        (f'["{PRIVATE}","s3://b","a@b"]', f'["{PUBLIC}","s3://b","a@b"]'),
        ("http://[u:p@host", "http://host"),
    ],
)
def test_user_and_password_are_left_out_wherever_a_url_stands(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        PUBLIC,
        "git@host:d.git",
        "ada@example.org",
        "https://host/a@b",
        "https://host?q=a@b",
        "http://host and a@b c",
    ],
)
def test_what_has_no_credentials_stays_as_it_is(text: str) -> None:
    assert without_credentials(f"see {text}") == f"see {text}"


def test_a_recorded_command_holds_no_credentials() -> None:
    words = ["publish", "--dataset", f"name=d,uri={PRIVATE}", f"--pipeline=uri={PRIVATE}", f"{PRIVATE}?page=2"]
    assert SECRET not in capture_command([*words, "--token", SECRET, f"--api-key={SECRET}"])
    assert capture_command(words) == (
        f"publish --dataset name=d,uri={PUBLIC} --pipeline=uri={PUBLIC} '{PUBLIC}?page=2'"
    )


def test_what_only_sounds_like_a_secret_stays_in_a_recorded_command() -> None:
    words = "train.py --tokenizer bert --max-tokens 512 --token_limit=9 --author ada --authors=b --tokens 3 --lr 1"
    assert capture_command(words.split()) == words
    hidden = "train.py --hf_token x --use_auth_token=y --authorization z --oauth q --auth w"
    assert capture_command(hidden.split()) == (
        "train.py --hf_token '***' '--use_auth_token=***' --authorization '***' --oauth '***' --auth '***'"
    )


def test_what_has_the_form_of_a_token_is_not_recorded_wherever_it_stands() -> None:
    token = "hf_" + "a1B2" * 9
    assert capture_command(["train.py", token, f"--hub={token}", f"{token}=3"]) == "train.py '***' '--hub=***' '***'"


def test_half_of_a_url_that_looks_like_the_name_of_a_secret_is_not_recorded() -> None:
    assert capture_command(["https://ci:my-token@host/d?page=2"]) == "'https://host/d?page=2'"


@pytest.mark.usefixtures("_own_settings")
def test_what_is_stated_comes_into_no_manifest_with_credentials(tmp_path: Path) -> None:
    make_registry(tmp_path / "registry")
    session = open_session(str(tmp_path / "registry"), identity="ada@example.org")
    (tmp_path / "file").write_bytes(b"x")
    request = PublishRequest(
        ModelName("acme", "chat"),
        [tmp_path / "file"],
        training=Training(
            hyperparameters={"corpus": PRIVATE, "lr": 0.1},
            datasets=({"name": "d", "uri": PRIVATE, "rows": 3},),
            command=f"train.py --data {PRIVATE}",
        ),
        lineage=Lineage(code={"repository": PRIVATE, "dirty": False}, pipeline={"name": "nightly", "uri": PRIVATE}),
    )
    draft = prepare_publish(session, request).draft
    assert draft.training.hyperparameters == {"corpus": PUBLIC, "lr": 0.1}
    assert draft.training.datasets == ({"name": "d", "uri": PUBLIC, "rows": 3},)
    assert draft.training.command == f"train.py --data {PUBLIC}"
    assert draft.lineage.code == {"repository": PUBLIC, "dirty": False}
    assert draft.lineage.pipeline == {"name": "nightly", "uri": PUBLIC}
    assert SECRET.encode() not in encode(draft.to_document())


@pytest.fixture
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
