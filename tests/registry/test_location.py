from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError, UsageError
from bucketry.registry.config import Config, RegistryProfile, load_config
from bucketry.registry.location import BucketLocation, parse_location
from bucketry.registry.opening import create_registry, open_session, probe_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("spelling", ["{}", "{}/", "file://{}", "file://localhost{}/", "{}/../{name}", "{}/./"])
def test_a_folder_is_the_same_place_however_it_is_written(tmp_path: Path, spelling: str) -> None:
    written = spelling.format(tmp_path, name=tmp_path.name)
    assert parse_location(written) == parse_location(str(tmp_path))


def test_a_bucket_is_the_same_place_with_and_without_a_slash() -> None:
    assert parse_location("s3://models/prod/") == parse_location("s3://models/prod") == BucketLocation("models", "prod")


@pytest.mark.parametrize(
    "where",
    [
        "",
        "http://x",
        "http://[",
        "s3://[b",
        "s3://",
        "s3://a:b@c/d",
        "file://host/x",
        "file:///reg?x#y",
        "file:x",
        "a\0b",
    ],
)
def test_what_is_no_place_is_a_usage_error(where: str) -> None:
    with pytest.raises(UsageError):
        parse_location(where)


@pytest.mark.parametrize("spelling", ["prod", "{}", "{}/", "file://{}", "{}/."])
def test_a_read_only_registry_is_read_only_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[registries.prod]\nurl = "{tmp_path}/reg"\nread_only = true\n')
    monkeypatch.setenv("BUCKETRY_CONFIG", "/dev/null")
    create_registry(f"{tmp_path}/reg")
    monkeypatch.setenv("BUCKETRY_CONFIG", str(config))
    session = open_session(spelling.format(f"{tmp_path}/reg"))
    for write in (session.check_writable, lambda: probe_store(session), lambda: create_registry(session.store.name)):
        with pytest.raises(RejectedError, match="read-only"):
            write()


def test_a_configuration_that_was_named_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match=r"absent\.toml, which does not exist"):
        load_config()


def test_no_configuration_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUCKETRY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_config() == Config()


def test_an_identity_that_no_record_can_hold_stops_writers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKETRY_CONFIG", "/dev/null")
    create_registry(f"{tmp_path}/reg", identity="ada@example.org")
    session = open_session(f"{tmp_path}/reg", identity="a" * 65)
    assert session.registry.registry
    with pytest.raises(UsageError, match="identity"):
        session.check_writable()


def test_a_profile_is_found_by_its_name() -> None:
    profile = RegistryProfile("s3://models/prod", read_only=True)
    assert Config({"prod": profile}).find_profile("prod") is profile


def test_a_configuration_with_a_number_of_thousands_of_digits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"identity = {'1' * 5_000}")
    monkeypatch.setenv("BUCKETRY_CONFIG", str(path))
    with pytest.raises(UsageError, match=r"config\.toml"):
        load_config()


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ('[registry.prod]\nurl = "s3://b"\ntrust = "t.toml"', '"registry" is not understood', "registries"),
        ('[Registries.prod]\nurl = "s3://b"', '"Registries" is not understood', "registries"),
        ('indentity = "ada@example.org"', '"indentity" is not understood', "identity"),
        ("zebra = 1", '"zebra" is not understood', "it may hold identity, default, registries, tui"),
        ("identity = 3", "identity is not a text", ""),
        ("default = true", "default is not a text", ""),
        ("registries = 3", "registries is not a table", ""),
        ("[registries]\nprod = 3", r"registries\.prod has no url", ""),
        ('[registries.prod]\nurl = "s3://b"\ntrsut = "t.toml"', "trsut is not understood", ""),
        ('[registries.prod]\nurl = "s3://b"\ntrust = true', "trust is not understood", ""),
    ],
)
def test_what_nobody_reads_in_the_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, advice: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    monkeypatch.setenv("BUCKETRY_CONFIG", str(path))
    with pytest.raises(UsageError, match=message) as refused:
        load_config()
    assert advice in refused.value.advice
