"""Which buckets does the SDK reach in so plain a way that its client need not be made to find it out?

A server that is not Amazon's, named by a plain URL, and a bucket with a plain name below it: all requests go to
`https://host:port/bucket/key`. For this one case the SDK's rules are written down here; that they are its rules is
tested, by asking both for many configurations. Whatever else a profile or the environment asks for is left to it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.utils import get_environ_proxies

from bucketry.store.s3_settings import is_amazon
from bucketry.store.s3_signing import SigningScope
from bucketry.store.s3_target import Target, find_origin

if TYPE_CHECKING:
    from botocore.session import Session

    from bucketry.store.s3_settings import S3Settings

# Names with two hyphens in them may be of a special kind, such as `--x-s3` for one zone and `--ol-s3` for functions.
_PLAIN_BUCKET = re.compile(r"(?!.*(--|\.\.|-s3alias))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PLAIN_URL = re.compile(r"https?://[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?(:[0-9]{1,5})?/?")
_PLAIN_REGION = re.compile(r"(?!.*(fips|global))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Where no region is named, S3 means this one.
DEFAULT_REGION = "us-east-1"
# What would change the host, the signature or the headers. Of most, the value that changes nothing is "not set".
SETTINGS_OF_THE_SDK = (
    "s3",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "sigv4a_signing_region_set",
    "auth_scheme_preference",
    "user_agent_appid",
    "api_versions",
    "data_path",
    "csm_enabled",
)
PLUGINS_VARIABLE = "BOTOCORE_EXPERIMENTAL__PLUGINS"


@dataclass(frozen=True, slots=True)
class PlainEndpoint:
    """A server as the SDK would speak to it: path style, signed for S3 in one region."""

    url: str
    bucket: str
    region: str
    requester_pays: bool

    def target(self, session: Session) -> Target | None:
        """Return where and how to send; None if a proxy is in the way."""
        base_url = f"{self.url}/{self.bucket}/"
        parts = urlsplit(base_url)
        if parts.scheme in get_environ_proxies(base_url):
            return None
        payer = {"x-amz-request-payer": "requester"} if self.requester_pays else {}
        origin, host = find_origin(parts, session)
        return Target(
            base_url=base_url,
            host=host,
            origin=origin,
            scope=SigningScope(self.region, "s3"),
            headers={"User-Agent": session.user_agent(), **payer},
        )


def find_plain_endpoint(session: Session, bucket: str, settings: S3Settings) -> PlainEndpoint | None:
    """Return the endpoint if it is plain; raise what the SDK raises where its configuration cannot be read."""
    url = settings.endpoint_url or _configured_endpoint(session)
    region = session.get_config_variable("region") or DEFAULT_REGION
    if (
        url is None
        or not _PLAIN_URL.fullmatch(url)
        or is_amazon(url)
        or settings.addressing == "virtual"
        or not _PLAIN_BUCKET.fullmatch(bucket)
        or not _PLAIN_REGION.fullmatch(region)
        or session.get_config_variable("defaults_mode") != "legacy"
        or PLUGINS_VARIABLE in os.environ
        or any(session.get_config_variable(name) for name in SETTINGS_OF_THE_SDK)
    ):
        return None
    return PlainEndpoint(url.rstrip("/"), bucket, region, settings.requester_pays)


def _configured_endpoint(session: Session) -> str | None:
    """Return the endpoint that the environment or the profile names for S3."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    )
    found: str | None = provider.provide()
    return found
