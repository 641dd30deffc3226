"""Has the SDK's client sign a sample, and learns from it where requests go and whether we may send them ourselves.

The SDK builds and signs one request that is never sent. Whatever decides about the host, the style of the
path, the region or the certificates (profile, environment, endpoint rules, a redirect that it followed) is thus
decided in one place. Where it would do something that we do not, it keeps sending the bytes itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from bucketry.store.s3.signing import find_scope
from bucketry.store.s3.target import Target, find_origin, has_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.session import Session
    from mypy_boto3_s3 import S3Client

_SAMPLE_KEY = "a-key-that-is-never-asked-for"
_KEPT_HEADERS = ("User-Agent", "x-amz-request-payer")

_catching = threading.local()


def find_target(client: S3Client, session: Session, common: Mapping[str, str]) -> Target | None:
    """Return where and how to send; None if the bytes have to go through the SDK.

    Raises what the SDK raises for missing credentials and the like, and `UsageError` for certificates that cannot
    be read.
    """
    requests: list[AWSPreparedRequest] = []
    _catching.requests = requests
    try:
        client.get_object(Key=_SAMPLE_KEY, **common)  # type: ignore[arg-type] # the bucket, perhaps who pays
    finally:
        del _catching.requests
    if len(requests) != 1:
        return None
    request = requests[0]
    headers = {name: _text(request.headers[name]) for name in request.headers}
    scope = find_scope({name.lower(): value for name, value in headers.items()}.get("authorization", ""))
    url = str(request.url)
    parts = urlsplit(url)
    if (
        # Signed for several regions, with a session of its own, or not at all.
        scope is None
        or scope.service != "s3"
        or "x-amz-s3session-token" in headers
        or parts.query
        or not parts.path.endswith(f"/{_SAMPLE_KEY}")
        or parts.hostname is None
        or has_proxy(parts)
    ):
        return None
    origin, host = find_origin(parts, session.get_config_variable("ca_bundle"))
    return Target(
        base_url=url.removesuffix(_SAMPLE_KEY),
        host=host,
        origin=origin,
        scope=scope,
        headers={name: headers[name] for name in _KEPT_HEADERS if name in headers},
    )


def catch_sample(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """Answer the request that `find_target` makes, which is then not sent; registered for `before-send`."""
    requests = getattr(_catching, "requests", None)
    if requests is None:
        return None
    requests.append(request)
    return AWSResponse(str(request.url), 200, HTTPHeaders(), None)


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
