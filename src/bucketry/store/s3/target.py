"""Says where the requests for a bucket go, over which kind of connection, and whether a proxy is in the way."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bucketry.errors import UsageError
from bucketry.store.http.connection import Origin

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from bucketry.store.s3.signing import SigningScope

_PORTS = {"http": 80, "https": 443}


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


def find_origin(parts: SplitResult, authorities: str | None) -> tuple[Origin, str]:
    """Return where a URL's requests go, and what their Host header says.

    `authorities` is the file or folder of those to trust, None for those that the SDK trusts. Raises `UsageError` if
    it cannot be read.
    """
    port = parts.port or _PORTS[parts.scheme]
    tls = _make_tls(authorities) if parts.scheme == "https" else None
    host = parts.netloc if port != _PORTS[parts.scheme] else parts.netloc.removesuffix(f":{port}")
    return Origin(parts.hostname or "", port, tls), host


def has_proxy(parts: SplitResult) -> bool:
    """Whether the SDK would send a URL's requests through a proxy."""
    has_only_variables = os.name == "posix" and sys.platform != "darwin"
    if has_only_variables and not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    import socket  # noqa: PLC0415 - most have no proxies
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - it loads all that a browser needs

    try:
        if proxy_bypass(parts.netloc):
            return False
    except (TypeError, socket.gaierror):
        pass  # as the SDK does: what cannot be understood bypasses nothing
    return parts.scheme in getproxies()


def find_usual_authorities() -> str:
    """Return the file of authorities that the SDK trusts by itself."""
    try:
        from certifi import where  # noqa: PLC0415 - only https needs it

        return where()
    except ImportError:
        found = find_spec("botocore")  # does not load it
        return str(Path(found.origin or "").with_name("cacert.pem")) if found is not None else ""


def _make_tls(authorities: str | None) -> ssl.SSLContext:
    """Trust these authorities, and check the server's name."""
    import ssl  # noqa: PLC0415 - only https needs it

    path = authorities or os.environ.get("REQUESTS_CA_BUNDLE") or find_usual_authorities()
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
