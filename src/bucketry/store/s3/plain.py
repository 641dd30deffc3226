"""Finds the buckets that the SDK reaches in so plain a way that neither it nor its client has to be asked.

Two kinds. A server that is not Amazon's, named by a plain URL: requests go to `https://host:port/bucket/key`. And
Amazon's in one of its ordinary regions: `https://bucket.s3.region.amazonaws.com/key`. For these the SDK's rules are
written down here; that they are its rules is tested, by asking both for many configurations. Whatever else a profile
or the environment asks for is left to it: see `environment` and `sdk.account`, which look whether they do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bucketry.frozen import frozen
from bucketry.store.s3.settings import is_amazon
from bucketry.store.s3.signing import SigningScope
from bucketry.store.s3.target import Target, find_origin, has_proxy

if TYPE_CHECKING:
    from bucketry.store.s3.settings import S3Settings

# Names with two hyphens in them may be of a special kind, such as `--x-s3` for one zone and `--ol-s3` for functions.
_PLAIN_BUCKET = re.compile(r"(?!.*(--|\.\.|-s3alias))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PLAIN_URL = re.compile(r"https?://[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?(:[0-9]{1,5})?/?")
_PLAIN_REGION = re.compile(r"(?!.*(fips|global))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# No other partition: not China, no governments.
_AMAZON_REGION = re.compile(r"(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-[1-9]")
# Where no region is named, S3 means this one.
DEFAULT_REGION = "us-east-1"


@frozen
class PlainEndpoint:
    """Where the requests for a bucket go: `url` names the server, `base_url` ends where the key begins."""

    url: str
    base_url: str
    region: str
    requester_pays: bool

    def target(self, user_agent: str, authorities: str | None) -> Target | None:
        """Return where and how to send; None if a proxy is in the way. `authorities` as in `find_origin`."""
        parts = urlsplit(self.base_url)
        if has_proxy(parts):
            return None
        payer = {"x-amz-request-payer": "requester"} if self.requester_pays else {}
        origin, host = find_origin(parts, authorities)
        return Target(
            base_url=self.base_url,
            host=host,
            origin=origin,
            scope=SigningScope(self.region, "s3"),
            headers={"User-Agent": user_agent, **payer},
        )


def find_plain_endpoint(bucket: str, settings: S3Settings, url: str | None, region: str | None) -> PlainEndpoint | None:
    """Return the endpoint if it is plain. `url` and `region` are those that the SDK would take, None if it has none."""
    addressing, payer = settings.addressing, settings.requester_pays
    if not _PLAIN_BUCKET.fullmatch(bucket):
        return None
    if url is not None:
        region = region or DEFAULT_REGION
        is_plain = _PLAIN_URL.fullmatch(url) and not is_amazon(url) and _PLAIN_REGION.fullmatch(region)
        if not is_plain or addressing == "virtual":
            return None
        url = url.rstrip("/")
        return PlainEndpoint(url, f"{url}/{bucket}/", region, payer)
    # A dot in a bucket's name does not go with the certificate of a host named after it.
    if region is None or not _AMAZON_REGION.fullmatch(region) or addressing == "path" or "." in bucket:
        return None
    # The first region is older than their names.
    server = "s3.amazonaws.com" if region == DEFAULT_REGION else f"s3.{region}.amazonaws.com"
    return PlainEndpoint(f"https://{server}", f"https://{bucket}.{server}/", region, payer)
