"""How is a request signed by the SDK's own signer, at the server's time, with a digest that is known already?

Only two things differ from what the SDK does by itself: the time can be corrected when the clock of this machine
is wrong, and the SHA-256 of a body is taken from whoever has computed it instead of being computed again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

# Servers allow 15 minutes. Less than this is not why a request was refused.
SMALLEST_SKEW = timedelta(minutes=5)

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
