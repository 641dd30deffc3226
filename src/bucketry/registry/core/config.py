"""Reads which registries this user knows, and who the user is.

`~/.config/bucketry/config.toml` (or `$XDG_CONFIG_HOME/bucketry/config.toml`, or the file in `BUCKETRY_CONFIG`):

    identity = "ada@example.org"
    default = "prod"

    [registries.prod]
    url = "s3://models/prod"   # or ["s3://models/prod", "eu"]: the registry, and its replicas by URL or name
    read_only = true
    region = "eu-west-1"
    trust = "trust.toml"       # for pull, resolve, cat and tensors; relative to this file
"""

from __future__ import annotations

import os
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bucketry.errors import DeniedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.location import is_plain_word, parse_location
from bucketry.schema.documents.audit import LONGEST_ACTOR_BYTES
from bucketry.schema.text import displayable
from bucketry.user_folders import expand_user, find_home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.store.s3.settings import S3Settings

S3_TEXTS = ("profile", "region", "endpoint_url", "addressing", "kms_key_id")
S3_FLAGS = ("requester_pays", "allow_http")
PROFILE_TEXTS = (*S3_TEXTS, "trust")
PROFILE_FLAGS = (*S3_FLAGS, "read_only")
TEXTS = ("identity", "default")
TABLES = ("registries", "tui")
LARGEST_CONFIG_BYTES = 256 * 1024
LONGEST_NAME_ECHOED = 40
MOST_PLACES = 16
ADDRESSINGS = ("auto", "path", "virtual")


@frozen
class RegistryProfile:
    """One registry that the configuration names.

    `s3` holds settings for its store. `trust` is the trust file of whoever serves from the registry. `replicas` are
    further places to read from, in their order.
    """

    url: str
    read_only: bool = False
    s3: Mapping[str, Any] = field(default_factory=dict)
    trust: Path | None = None
    replicas: tuple[RegistryProfile, ...] = ()

    def s3_settings(self) -> S3Settings:
        """Return the settings as the S3 store takes them."""
        from bucketry.store.s3.settings import S3Settings  # noqa: PLC0415 - a folder registry needs none

        return S3Settings(**self.s3)


@frozen
class Config:
    """The configuration file as values."""

    registries: Mapping[str, RegistryProfile] = field(default_factory=dict)
    identity: str = ""
    default: str = ""

    def find_profile(self, where: str | None) -> RegistryProfile:
        """Return the registry that a URL, a path, a profile's name or the environment means; raise `UsageError`."""
        chosen = where or os.environ.get("BUCKETRY_REGISTRY") or self.default
        if not chosen and len(self.registries) == 1:
            chosen = next(iter(self.registries))
        if not chosen:
            raise UsageError(
                "no registry was named",
                advice="use --registry URL, or set BUCKETRY_REGISTRY, or write the config file",
            )
        if chosen in self.registries:
            return self.registries[chosen]
        if is_plain_word(chosen):
            from difflib import get_close_matches  # noqa: PLC0415 - only for a slip of the fingers

            close = get_close_matches(chosen, self.registries, n=1)
            known = f"; did you mean {close[0]}?" if close else ""
            word = chosen if len(chosen) <= LONGEST_NAME_ECHOED else "NAME"
            there = config_path() or "a configuration (BUCKETRY_CONFIG)"
            raise UsageError(
                f"no registry {chosen!a} is configured in {there}{known}",
                advice=f"write ./{word} for a folder, s3://{word} for a bucket, or configure [registries.{word}]",
            )
        location = parse_location(chosen)
        for profile in self.registries.values():
            if parse_location(profile.url) == location:
                return _beside_environment(profile)
        return RegistryProfile(chosen)


def _beside_environment(profile: RegistryProfile) -> RegistryProfile:
    """Return a profile that was not named, but only has the same URL: there the environment's word comes first."""
    s3 = dict(profile.s3)
    if os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        s3.pop("endpoint_url", None)
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    if region:
        s3["region"] = region
    if os.environ.get("AWS_PROFILE"):
        s3.pop("profile", None)
    return replace(profile, s3=s3)


def config_path() -> Path | None:
    """Return where the configuration file is looked for; None for a user without a home folder."""
    given = os.environ.get("BUCKETRY_CONFIG")
    if given:
        return Path(given)
    base, home = os.environ.get("XDG_CONFIG_HOME"), find_home()
    if base:
        return Path(base) / "bucketry" / "config.toml"
    return home / ".config" / "bucketry" / "config.toml" if home is not None else None


def load_config() -> Config:
    """Return the configuration, empty where there is no file; raise `UsageError` naming the file for a wrong one."""
    path = config_path()
    if path is None:
        return Config()
    try:
        text = read_config_file(path)
    except (FileNotFoundError, NotADirectoryError):  # a home that is /dev/null, say
        if os.environ.get("BUCKETRY_CONFIG"):
            raise UsageError(f"BUCKETRY_CONFIG names {path}, which does not exist") from None
        return Config()
    except PermissionError as error:
        raise DeniedError(f"{path} may not be read", advice="make it readable, or set BUCKETRY_CONFIG") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return _parse_config(path, text)


def read_config_file(path: Path) -> str:
    """Return the text of a configuration; raise `UsageError` for one over the limit, else what reading raises."""
    with path.open("rb") as file:
        body = file.read(LARGEST_CONFIG_BYTES + 1)
    if len(body) > LARGEST_CONFIG_BYTES:
        raise UsageError(
            f"{displayable(str(path))} is larger than {LARGEST_CONFIG_BYTES:,} bytes, the limit of a configuration",
            advice="mend the file or move it away",
        )
    return body.decode("utf-8")


def find_identity(config: Config, given: str | None) -> str:
    """Return who acts: given, configured, `BUCKETRY_IDENTITY`, git's user.email, or user@host.

    It is a claim, checked when something is written.
    """
    stated = given or config.identity or os.environ.get("BUCKETRY_IDENTITY")
    if stated:
        return stated
    # Only who has said nothing about it waits for these.
    import getpass  # noqa: PLC0415
    import socket  # noqa: PLC0415

    from bucketry.registry.publishing.capture_git import read_git_email  # noqa: PLC0415

    claim = read_git_email(Path())
    if claim:
        return claim
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:LONGEST_ACTOR_BYTES]


def _parse_config(path: Path, text: str) -> Config:
    import tomllib  # noqa: PLC0415 - many have no such file

    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError and no TOMLDecodeError
        raise _unreadable(path, error) from error
    # What nobody reads is refused: a mistyped table may be the one that names the trust file.
    unknown = sorted(name for name in document if name not in TABLES and name not in TEXTS)
    if unknown:
        raise _not_understood(f"{path}: ", unknown[0], (*TEXTS, *TABLES))
    wrong = next((name for name in TEXTS if not isinstance(document.get(name, ""), str)), None)
    if wrong is not None:
        raise UsageError(f"{path}: {wrong} is not a text", advice=f'write {wrong} = "..."')
    profiles = document.get("registries", {})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: registries is not a table", advice="write [registries.NAME]")
    return Config(
        registries=_read_profiles(path, profiles),
        identity=document.get("identity", ""),
        default=document.get("default", ""),
    )


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} cannot be read: {error}", advice="mend the file or move it away")


def _not_understood(where: str, found: str, known: Sequence[str]) -> UsageError:
    from difflib import get_close_matches  # noqa: PLC0415 - for this message alone

    near = get_close_matches(found, known, 1)
    return UsageError(
        f'{where}"{displayable(found)}" is not understood',
        advice=f"did you mean {near[0]}?" if near else f"it may hold {', '.join(known)}",
    )


def _read_profiles(path: Path, tables: Mapping[str, object]) -> dict[str, RegistryProfile]:
    """Return all registries; a further place of one is another that is named here, or has the same settings."""
    profiles = {name: _read_profile(path, name, table) for name, table in tables.items()}
    for name, table in tables.items():
        first, *further = _urls(table)
        if further:
            own = profiles[name]
            replicas = (profiles[one] if one in profiles else replace(own, url=one) for one in further)
            profiles[name] = replace(own, replicas=tuple(replace(one, replicas=()) for one in replicas))
            _check_url(path, name, first)
    return profiles


def _urls(table: object) -> list[str]:
    """Return the places that a table names, or none where it names them wrongly."""
    url = table.get("url") if isinstance(table, dict) else None
    urls = [url] if isinstance(url, str) else url
    is_right = isinstance(urls, list) and 0 < len(urls) <= MOST_PLACES and all(isinstance(one, str) for one in urls)
    return list(urls) if is_right and isinstance(urls, list) else []


def _check_url(path: Path, name: str, url: str) -> None:
    if is_plain_word(url):
        raise UsageError(
            f"{path}: the first place of registries.{name} is {displayable(url)!a}, a name and not a URL",
            advice="write the URL of the registry itself first; its replicas may be names",
        )


def _read_profile(path: Path, name: str, table: object) -> RegistryProfile:
    """Return a profile; raise `UsageError` for a setting that nobody reads, or with another kind of value."""
    urls = _urls(table)
    if not urls or not isinstance(table, dict):
        raise UsageError(
            f"{path}: registries.{name} has no url",
            advice=f'write url = "s3://..." under [registries.{name}], or a list of such',
        )
    texts = {key: table[key] for key in PROFILE_TEXTS if key in table}
    flags = {key: table[key] for key in PROFILE_FLAGS if key in table}
    what, known = f"{path}: registries.{displayable(name)}", ("url", *PROFILE_TEXTS, *PROFILE_FLAGS)
    unknown = sorted(key for key in table if key not in known)
    if unknown:
        raise _not_understood(f"{what}: ", unknown[0], known)
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UsageError(f"{what}: {key} is not a text", advice=f'write {key} = "..."')
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise UsageError(f"{what}: {key} is neither true nor false", advice=f"write {key} = true, without quotes")
    if texts.get("addressing", "auto") not in ADDRESSINGS:
        raise UsageError(f"{what}: addressing is none that is known", advice=f"write one of {', '.join(ADDRESSINGS)}")
    read_only = bool(flags.pop("read_only", False))
    trust = texts.pop("trust", None)
    return RegistryProfile(
        urls[0], read_only, texts | flags, None if trust is None else path.parent / expand_user(trust)
    )
