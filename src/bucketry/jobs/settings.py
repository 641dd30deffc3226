"""What must mean the same to a worker as to whoever gave the order: which settings, which registry, which path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError, UsageError
from bucketry.registry.core.config import load_config
from bucketry.registry.core.location import BucketLocation, parse_location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.jobs.orders import Order
    from bucketry.registry.core.session import Session

# Which of several registries, and whose: what a worker must have in common with whoever gives it an order. Credentials
# are not among them: those of the worker are used, which has them from whoever started it.
PATH_SETTINGS = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "BUCKETRY_CACHE",
    "BUCKETRY_CONFIG",
    "BUCKETRY_STATE",
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)
SETTINGS = (
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    *PATH_SETTINGS,
)


def settle_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose paths mean the same from wherever they are looked at."""
    paths = {name: os.path.abspath(environment[name]) for name in PATH_SETTINGS if environment.get(name)}  # noqa: PTH100
    return {**environment, **paths}


def digest_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a short digest of each setting that is set: enough to compare, and nothing to read."""
    settled = settle_paths(environment)
    return {
        name: hashlib.sha256(settled[name].encode("utf-8", "surrogateescape")).hexdigest()[:16]
        for name in SETTINGS
        if settled.get(name)
    }


def differing_settings(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the names of the settings that are not the same in both, as a part of a sentence; empty for none."""
    return " and ".join(name for name in SETTINGS if one.get(name) != other.get(name))


def check_registry(order: Order, session: Session) -> None:
    """Raise `RejectedError` where another registry has taken the place of the one that an order is about."""
    if session.registry.registry != order.registry_id:
        raise RejectedError(
            f"at {session.store.name} is another registry than the one that the transfer was ordered from",
            advice="look at what the profile and the environment say, then order it anew",
        )


def registry_text(where: str | None) -> str:
    """Return the registry as a process in another folder would name it: by its profile, or its place."""
    config = load_config()
    profile = config.find_profile(where)
    location = parse_location(profile.url)
    if isinstance(location, BucketLocation) or profile.replicas:
        return next((name for name, known in config.registries.items() if known is profile), profile.url)
    return str(location.path)


def absolute_path(path: Path) -> Path:
    """Return a path that means the same to the worker; raise `UsageError` for one that cannot be written down."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    try:
        str(absolute).encode()
    except UnicodeEncodeError as error:
        raise UsageError("the path is not valid UTF-8", advice="choose another, or do it without --detach") from error
    return absolute
