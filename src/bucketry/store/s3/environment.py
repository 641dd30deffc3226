"""Finds out whether the variables of the environment say alone who asks, and of whom.

The SDK looks in many places, and to load it takes longer than a small command otherwise does. Where both keys are in
the environment, it looks in no other place for them. So with them, no profile and no configuration file there is
nothing left that only the SDK could know, unless a variable says so: any of its variables that is not named here is
taken for that, also one that does not exist yet. That both ways lead to the same is tested, for many environments.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.store.s3.plain import DEFAULT_REGION
from bucketry.store.s3.signing import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.store.s3.settings import S3Settings

# A profile in either file may name a region, an endpoint, and much else.
FILES: Mapping[str, str] = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
READ_HERE = frozenset(
    {
        *FILES,
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    }
)
# Where else keys could come from, what other programs read, and what our requests never left to the SDK.
WITHOUT_EFFECT = frozenset(
    {
        "AWS_ACCOUNT_ID",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_DEFAULT_OUTPUT",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EXECUTION_ENV",
        "AWS_MAX_ATTEMPTS",
        "AWS_PAGER",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_RETRY_MODE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
PREFIXES_OF_THE_SDK = ("AWS_", "BOTO")
# Those of other services; the one of S3 is read.
PREFIX_OF_ENDPOINTS = "AWS_ENDPOINT_URL_"


@frozen
class Environment:
    """What the settings and the environment say; None where they say nothing. `authorities` is a path."""

    keys: Keys
    endpoint_url: str | None
    region: str | None
    authorities: str | None


def find_environment(settings: S3Settings) -> Environment | None:
    """Return what the environment says, if the SDK could not know more than that."""
    said = os.environ
    access_key, secret_key = said.get("AWS_ACCESS_KEY_ID"), said.get("AWS_SECRET_ACCESS_KEY")
    region = settings.region if settings.region is not None else said.get("AWS_DEFAULT_REGION")
    if (
        not access_key
        or not secret_key
        or settings.profile is not None
        or any(_is_for_the_sdk(name) for name in said)
        # This SDK does not read it, but others do, so the next version may: what both would do alike is certain.
        or (settings.region is None and said.get("AWS_REGION", region) not in {region, region or DEFAULT_REGION})
        or any(_is_file(said.get(name, usual)) for name, usual in FILES.items())
    ):
        return None
    # A key with a line end, say, at its end could not be sent.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if not said.get(name, "").isprintable():
            raise UsageError(
                f"{name} has a character that no key has",
                advice="look for a line end behind it, where it is set",
            )
    return Environment(
        keys=Keys(access_key, secret_key, said.get("AWS_SESSION_TOKEN") or None),
        endpoint_url=settings.endpoint_url or said.get("AWS_ENDPOINT_URL_S3") or said.get("AWS_ENDPOINT_URL") or None,
        region=region,
        authorities=said.get("AWS_CA_BUNDLE"),
    )


def _is_for_the_sdk(name: str) -> bool:
    return (
        name.startswith(PREFIXES_OF_THE_SDK)
        and name not in READ_HERE
        and name not in WITHOUT_EFFECT
        and not name.startswith(PREFIX_OF_ENDPOINTS)
    )


def _is_file(path: str) -> bool:
    return os.path.isfile(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111, PTH113 - as the SDK does it
