"""How is a request signed by the SDK's own signer, at the server's time, with a digest that is known already?

Only two things differ from what the SDK does by itself: the time can be corrected when the clock of this machine
is wrong, and the SHA-256 of a body is taken from whoever has computed it instead of being computed again.

`Signer` does the same steps for requests that are plain text already, at a tenth of the cost: that is what many small
files wait for. A test compares its signatures with the SDK's.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256 as new_sha256
from typing import TYPE_CHECKING

from botocore.auth import SIGNED_HEADERS_BLACKLIST, SIGV4_TIMESTAMP, S3SigV4Auth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

# Servers allow 15 minutes. Less than this is not why a request was refused.
SMALLEST_SKEW = timedelta(minutes=5)

ALGORITHM = "AWS4-HMAC-SHA256"
_NOT_SIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/[0-9]{8}/([^/,]+)/([^/,]+)/aws4_request, ?SignedHeaders=.*")


class SigningClock:
    """The time to sign with: this machine's, until a server says by how much it is wrong."""

    def __init__(self, read: Callable[[], datetime] | None = None) -> None:
        self._read = read or _utc_now
        self._offset = timedelta(0)

    @property
    def is_corrected(self) -> bool:
        """Whether the time differs from this machine's."""
        return self._offset != timedelta(0)

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._read() + self._offset

    def correct(self, date: str) -> bool:
        """Take over the Date of a reply if it is far from ours; return whether it was."""
        try:
            served_at = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return False
        if abs(served_at - self.now()) < SMALLEST_SKEW:
            return False
        self._offset = served_at - self._read()
        return True


@dataclass(frozen=True, slots=True)
class SigningScope:
    """What a signature is valid for."""

    region: str
    service: str


def find_scope(authorization: str) -> SigningScope | None:
    """Return the scope of a signature of version 4 in a header; None if it is signed in another way, or not."""
    found = _SCOPE.fullmatch(authorization)
    return None if found is None else SigningScope(found[1], found[2])


def sign(
    request: AWSRequest, credentials: ReadOnlyCredentials, scope: SigningScope, clock: SigningClock, sha256: str
) -> None:
    """Put the signature, the time, the token and `sha256`, that of the body, into the request's headers."""
    _Signer(credentials, scope, clock, sha256).add_auth(request)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request: `path` and `query` as they go over the wire, headers with the host, and the SHA-256 of the body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    sha256: str


class Signer:
    """Signs the requests of one scope; safe for many threads. The key that a day's signatures share is made once."""

    def __init__(self, scope: SigningScope, clock: SigningClock) -> None:
        self._scope = scope
        self._clock = clock
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def sign(self, request: Unsigned, credentials: ReadOnlyCredentials) -> dict[str, str]:
        """Return the headers of the request with the time, the token, the digest and the signature."""
        stamp = self._clock.now().strftime(SIGV4_TIMESTAMP)
        headers = {**request.headers, "X-Amz-Date": stamp, "X-Amz-Content-SHA256": request.sha256}
        if credentials.token:
            headers["X-Amz-Security-Token"] = credentials.token
        lowered = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        names = sorted(lowered.keys() - _NOT_SIGNED)
        signed = ";".join(names)
        lines = [
            request.method,
            request.path,
            _canonical(request.query),
            *[f"{name}:{lowered[name]}" for name in names],
            "",
            signed,
            request.sha256,
        ]
        scope = f"{stamp[:8]}/{self._scope.region}/{self._scope.service}/aws4_request"
        digest = new_sha256("\n".join(lines).encode()).hexdigest()
        key = self._key(credentials.secret_key or "", stamp[:8])
        signature = hmac.digest(key, f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
        headers["Authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _key(self, secret_key: str, day: str) -> bytes:
        kept = self._kept  # read once: another thread may put another one there
        if kept[:2] == (secret_key, day):
            return kept[2]
        key = f"AWS4{secret_key}".encode()
        for part in (day, self._scope.region, self._scope.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._kept = (secret_key, day, key)
        return key


def _canonical(query: str) -> str:
    """Return the query as it is signed: by name, and with a value for each name even if it is empty."""
    if not query:
        return ""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in pairs)


class _Signer(S3SigV4Auth):
    def __init__(self, credentials: ReadOnlyCredentials, scope: SigningScope, clock: SigningClock, sha256: str) -> None:
        super().__init__(credentials, scope.service, scope.region)
        self._clock = clock
        self._sha256 = sha256

    def add_auth(self, request: AWSRequest) -> None:
        """Do the SDK's own steps in its order, at our time."""
        request.context["timestamp"] = self._clock.now().strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)  # type: ignore[attr-defined] # not in the stubs
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))  # type: ignore[attr-defined]

    def payload(self, request: AWSRequest) -> str:
        """Return the digest that was given."""
        del request
        return self._sha256


def _utc_now() -> datetime:
    return datetime.now(UTC)
