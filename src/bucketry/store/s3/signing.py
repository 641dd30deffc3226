"""Signs a request as the SDK's signer does it, at the server's time, with a digest that is known already.

The same steps for requests that are plain text already, at a tenth of the cost: that is what many small files wait
for. A test compares the signatures with the SDK's. The SDK's own signer, for the requests that its client makes, is in
`sdk.account`.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import field
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as new_sha256
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.store.s3.text import parse_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Servers allow 15 minutes. Less than this is not why a request was refused.
SMALLEST_SKEW = timedelta(minutes=5)

ALGORITHM = "AWS4-HMAC-SHA256"
TIMESTAMP = "%Y%m%dT%H%M%SZ"
# What something on the way may change, or add.
NOT_SIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/[0-9]{8}/([^/,]+)/([^/,]+)/aws4_request, ?SignedHeaders=.*")


class SigningClock:
    """The time to sign with: this machine's, until a server says by how much it is wrong."""

    def __init__(self, read: Callable[[], datetime] | None = None) -> None:
        self._read = read or (lambda: datetime.now(UTC))
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
            served_at = parse_date(date).astimezone(UTC)
        except ValueError:
            return False
        if abs(served_at - self.now()) < SMALLEST_SKEW:
            return False
        self._offset = served_at - self._read()
        return True


@frozen
class Keys:
    """Who signs. Two of them are secret, and shown by nothing."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@frozen
class SigningScope:
    """What a signature is valid for."""

    region: str
    service: str


def find_scope(authorization: str) -> SigningScope | None:
    """Return the scope of a signature of version 4 in a header; None if it is signed in another way, or not."""
    found = _SCOPE.fullmatch(authorization)
    return None if found is None else SigningScope(found[1], found[2])


@frozen
class Unsigned:
    """A request: `path` and `query` as they go over the wire, headers with the host, and the SHA-256 of the body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    sha256: str


@frozen
class Signable:
    """A request with all its headers but the signature; `canonical` is what the signature is of."""

    headers: Mapping[str, str] = field(repr=False)
    canonical: str = field(repr=False)
    credential: str
    preface: str
    key: bytes = field(repr=False)

    def signature(self, canonical: str) -> str:
        """Return the signature of this request, or of one that differs in its canonical form only."""
        digest = new_sha256(canonical.encode()).hexdigest()
        return hmac.digest(self.key, f"{self.preface}{digest}".encode(), "sha256").hex()

    def authorization(self, signature: str) -> str:
        """Return the header that carries a signature."""
        return f"{ALGORITHM} {self.credential}, Signature={signature}"


class RequestSigner:
    """Signs the requests of one scope; safe for many threads. The key that a day's signatures share is made once."""

    def __init__(self, scope: SigningScope, clock: SigningClock) -> None:
        self._scope = scope
        self._clock = clock
        self._kept: tuple[str, str, bytes] = ("", "", b"")
        self._kept_stamp: tuple[datetime | None, str] = (None, "")

    def sign(self, request: Unsigned, keys: Keys) -> dict[str, str]:
        """Return the headers of the request with the time, the token, the digest and the signature."""
        signable = self.prepare(request, keys, self.stamp())
        return {**signable.headers, "Authorization": signable.authorization(signable.signature(signable.canonical))}

    def stamp(self) -> str:
        """Return the time to sign with, as it is written in a request; it changes once a second."""
        second, kept = self._clock.now().replace(microsecond=0), self._kept_stamp
        if kept[0] != second:
            kept = self._kept_stamp = (second, second.strftime(TIMESTAMP))
        return kept[1]

    def prepare(self, request: Unsigned, keys: Keys, stamp: str) -> Signable:
        """Return what is to be signed of a request, and with what."""
        headers = {**request.headers, "X-Amz-Date": stamp, "X-Amz-Content-SHA256": request.sha256}
        if keys.token:
            headers["X-Amz-Security-Token"] = keys.token
        lowered = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        names = sorted(lowered.keys() - NOT_SIGNED)
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
        return Signable(
            headers=headers,
            canonical="\n".join(lines),
            credential=f"Credential={keys.access_key}/{scope}, SignedHeaders={signed}",
            preface=f"{ALGORITHM}\n{stamp}\n{scope}\n",
            key=self._key(keys.secret_key, stamp[:8]),
        )

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
