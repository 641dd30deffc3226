"""Says which S3 server is meant, and how it may be spoken to.

Credentials are not settings: they come from where every AWS tool finds them (environment, profile, instance
role), and no setting or message of Bucketry ever holds one.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote, urlsplit

from bucketry.errors import UsageError
from bucketry.frozen import frozen

Addressing = Literal["auto", "path", "virtual"]

AWS_HOST_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")


@frozen
class S3Settings:
    """What a registry's settings say about its S3 server; empty means what the AWS environment says.

    `addressing="auto"` speaks path style to any server that is not Amazon's, since only Amazon's has a host
    name for each bucket by default. `kms_key_id` is sent with each new object,
    `requester_pays` with each request.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    addressing: Addressing = "auto"
    kms_key_id: str | None = None
    requester_pays: bool = False
    allow_http: bool = False
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    grace_seconds: float = 10.0
    least_bytes_per_second: float = 1024.0
    max_connections: int = 64


def check_endpoint(url: str, *, allow_http: bool) -> None:
    """Raise `UsageError` unless the endpoint is private: https, or this machine, or openly allowed."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        credentials = parts.username is not None or parts.password is not None
        _ = parts.port  # raises where it is none
    except ValueError:
        # The cause would repeat the URL, and with it whatever is in it.
        raise UsageError("the S3 endpoint is not a URL", advice="write it as https://host:port") from None
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise UsageError(
            "the URL of the S3 endpoint has a query or a fragment",
            advice="write it as https://host:port; what follows ? or # would be lost or sent with every key",
        )
    if any(segment in {".", ".."} for segment in unquote(parts.path).split("/")):
        raise UsageError("the URL of the S3 endpoint has a '.' or '..' in its path", advice="write its path plainly")
    if credentials:
        raise UsageError(
            "the URL of the S3 endpoint contains credentials",
            advice="take them out of the URL, and give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError("the S3 endpoint is not an http or https URL", advice="write it as https://host:port")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise UsageError(
            f"the S3 endpoint http://{host} is not encrypted",
            advice="use https, or set allow_http = true for this registry if the network is trusted",
        )


def is_amazon(url: str) -> bool:
    """Whether the endpoint is Amazon's own, which has a host name for each bucket."""
    return (urlsplit(url).hostname or "").endswith(AWS_HOST_SUFFIXES)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 - only for a server that is not encrypted

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
