"""Where does the SDK send the requests for a bucket, how does it sign them, and may we send them ourselves?

The SDK builds and signs one request that is never sent. Whatever decides about the host, the style of the
path, the region or the certificates (profile, environment, endpoint rules, a redirect that it followed) is thus
decided in one place. Where it would do something that we do not, it keeps sending the bytes itself.
"""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from bucketry.errors import UsageError
from bucketry.store.http1_connection import Origin
from bucketry.store.s3_signing import SigningScope, find_scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    from botocore.session import Session
    from mypy_boto3_s3 import S3Client

_SAMPLE_KEY = "a-key-that-is-never-asked-for"
_KEPT_HEADERS = ("User-Agent", "x-amz-request-payer")
_PORTS = {"http": 80, "https": 443}

_catching = threading.local()


@dataclass(frozen=True)  # without slots, which would leave no room for what is computed once
class Target:
    """What is common to all requests: `base_url` ends where the key begins, `host` is what the Host header says."""

    base_url: str
    host: str
    origin: Origin
    scope: SigningScope
    headers: Mapping[str, str]

    @cached_property
    def base_path(self) -> str:
        """The path of the URL, to which a key is added."""
        return urlsplit(self.base_url).path

    @cached_property
    def bucket_path(self) -> str:
        """Where requests about the bucket itself go; there is no empty path."""
        return self.base_path.rstrip("/") or self.base_path


def find_target(client: S3Client, session: Session, common: Mapping[str, str]) -> Target | None:
    """Return where and how to send; None if the bytes have to go through the SDK.

    Raises what the SDK raises for missing credentials and the like, and `UsageError` for certificates that cannot
    be read.
    """
    with _caught() as requests:
        client.get_object(Key=_SAMPLE_KEY, **common)  # type: ignore[arg-type] # the bucket, perhaps who pays
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
        or parts.scheme in get_environ_proxies(url)
    ):
        return None
    origin, host = find_origin(parts, session)
    return Target(
        base_url=url.removesuffix(_SAMPLE_KEY),
        host=host,
        origin=origin,
        scope=scope,
        headers={name: headers[name] for name in _KEPT_HEADERS if name in headers},
    )


def find_origin(parts: SplitResult, session: Session) -> tuple[Origin, str]:
    """Return where a URL's requests go, and what their Host header says."""
    port = parts.port or _PORTS[parts.scheme]
    tls = _make_tls(session) if parts.scheme == "https" else None
    host = parts.netloc if port != _PORTS[parts.scheme] else parts.netloc.removesuffix(f":{port}")
    return Origin(parts.hostname or "", port, tls), host


def catch_sample(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """Answer the request that `find_target` makes, which is then not sent; registered for `before-send`."""
    requests = getattr(_catching, "requests", None)
    if requests is None:
        return None
    requests.append(request)
    return AWSResponse(str(request.url), 200, HTTPHeaders(), None)


@contextmanager
def _caught() -> Iterator[list[AWSPreparedRequest]]:
    """Hold back what this thread would send."""
    _catching.requests = []
    try:
        yield _catching.requests
    finally:
        del _catching.requests


def _make_tls(session: Session) -> ssl.SSLContext:
    """Trust the authorities that the SDK trusts, and check the server's name."""
    named: Any = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or True
    path = str(get_cert_path(named))
    try:
        if os.path.isdir(path):  # noqa: PTH112 - a path as the environment spells it
            context = ssl.create_default_context(capath=path)
        else:
            context = ssl.create_default_context(cafile=path)
    except OSError as error:
        raise UsageError(
            f"the certificates of the trusted authorities cannot be read from {path}",
            advice="check AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE and ca_bundle in the profile",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
