from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError, UsageError
from bucketry.registry.core.config import Config, RegistryProfile, load_config
from bucketry.registry.core.location import BucketLocation, parse_location
from bucketry.registry.core.opening import create_registry, open_session, probe_store
from bucketry.transfer.disk.cache_place import default_cache_root

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
        "s3://models?versionId=1",
        "s3://models/prod#x",
        "s3://../prod",
        "s3://mo..dels/prod",
        "s3://.models/prod",
        "s3://mo%2fdels/prod",
        "s3://models/../prod",
        "s3://models/a/../../prod",
        "s3://models/a/./prod",
        "s3://models/a//prod",
        "s3://models/a/%2e%2e/prod",
        "s3://models/a/\u2028/prod",
        "file://host/x",
        "file:///reg?x#y",
        "file:x",
        "a\0b",
    ],
)
def test_what_is_no_place_is_a_usage_error(where: str) -> None:
    with pytest.raises(UsageError):
        parse_location(where)


@pytest.mark.parametrize("where", ["/", "{home}", "{home}/", "{home}/x/..", "{above}", "/proc/.."])
def test_a_cache_where_other_things_lie_is_a_usage_error(tmp_path: Path, where: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(UsageError, match="where other things lie too"):
        default_cache_root({"BUCKETRY_CACHE": where.format(home=home, above=tmp_path)}, home)
    place = tmp_path / "home" / ".cache"
    assert default_cache_root({"BUCKETRY_CACHE": str(place)}, home) == place


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
        (
            '[registries.prod]\nurl = "s3://b"\ntrsut = "t.toml"',
            'prod: "trsut" is not understood',
            "did you mean trust?",
        ),
        (
            '[registries.prod]\nurl = "s3://b"\nreadonly = true',
            '"readonly" is not understood',
            "did you mean read_only?",
        ),
        ('[registries.prod]\nurl = "s3://b"\n"\\u001b[31m" = 1', r'"\\x1b\[31m" is not', "it may hold url, profile"),
        (
            '[registries.prod]\nurl = "s3://b"\nread_only = "yes"',
            "read_only is neither true nor false",
            "without quotes",
        ),
        ('[registries.prod]\nurl = "s3://b"\naddressing = "x"', "addressing is none", "auto, path, virtual"),
        ('[registries.prod]\nurl = "s3://b"\ntrust = true', "trust is not a text", 'trust = "..."'),
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


def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))


@pytest.mark.parametrize("name", ["prdo", "prod.eu", "~prod", "registry"])
def test_a_plain_word_is_a_profile_and_never_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    configure(tmp_path, monkeypatch, '[registries.prod]\nurl = "s3://models/prod"\n')
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry").mkdir()
    for ask in (create_registry, open_session):
        with pytest.raises(UsageError, match=f"no registry '{name}' is configured") as refused:
            ask(name)
        assert f"./{name} for a folder" in refused.value.advice
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "registry"]


def test_a_mistyped_profile_is_told_which_is_like_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, monkeypatch, '[registries.prod]\nurl = "s3://models/prod"\n')
    with pytest.raises(UsageError, match="did you mean prod"):
        load_config().find_profile("prdo")


@pytest.mark.parametrize("path", [".", "./registry", "..", "a/b", "file:///tmp/x", "s3://x"])
def test_what_has_a_slash_or_is_dots_alone_is_a_place(path: str) -> None:
    assert Config().find_profile(path) == RegistryProfile(path)


@pytest.mark.parametrize(
    ("variables", "s3"),
    [
        ({}, {"endpoint_url": "https://a:9", "region": "eu-west-1", "profile": "ml"}),
        ({"AWS_ENDPOINT_URL": "https://b"}, {"region": "eu-west-1", "profile": "ml"}),
        ({"AWS_ENDPOINT_URL_S3": "https://b"}, {"region": "eu-west-1", "profile": "ml"}),
        ({"AWS_REGION": "us-west-2"}, {"endpoint_url": "https://a:9", "region": "us-west-2", "profile": "ml"}),
        (
            {"AWS_DEFAULT_REGION": "us-east-2", "AWS_REGION": "us-west-2"},
            {"endpoint_url": "https://a:9", "region": "us-east-2", "profile": "ml"},
        ),
        ({"AWS_PROFILE": "other"}, {"endpoint_url": "https://a:9", "region": "eu-west-1"}),
    ],
)
def test_the_environment_comes_before_a_profile_that_only_has_the_same_url(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], s3: dict[str, str]
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = {"endpoint_url": "https://a:9", "region": "eu-west-1", "profile": "ml"}
    config = Config({"prod": RegistryProfile("s3://models/prod", read_only=True, s3=said)})
    found = config.find_profile("s3://models/prod/")
    assert (found.s3, found.read_only) == (s3, True)
    assert config.find_profile("prod").s3 == said  # who names it means all of it
