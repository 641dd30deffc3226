"""Makes the SDK's own signer sign at the server's time, with a digest that is known already.

Only two things differ from what the SDK does by itself: the time can be corrected when the clock of this machine
is wrong, and the SHA-256 of a body is taken from whoever has computed it instead of being computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.auth import S3SigV4Auth
from botocore.credentials import ReadOnlyCredentials

from bucketry.store.s3.signing import TIMESTAMP

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest

    from bucketry.store.s3.signing import Keys, SigningClock, SigningScope


def sign(request: AWSRequest, keys: Keys, scope: SigningScope, clock: SigningClock, sha256: str) -> None:
    """Put the signature, the time, the token and `sha256`, that of the body, into the request's headers."""
    _Signer(keys, scope, clock, sha256).add_auth(request)


class _Signer(S3SigV4Auth):
    def __init__(self, keys: Keys, scope: SigningScope, clock: SigningClock, sha256: str) -> None:
        credentials = ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token)
        super().__init__(credentials, scope.service, scope.region)
        self._clock = clock
        self._sha256 = sha256

    def add_auth(self, request: AWSRequest) -> None:
        """Do the SDK's own steps in its order, at our time."""
        request.context["timestamp"] = self._clock.now().strftime(TIMESTAMP)
        self._modify_request_before_signing(request)  # type: ignore[attr-defined] # not in the stubs
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))  # type: ignore[attr-defined]

    def payload(self, request: AWSRequest) -> str:
        """Return the digest that was given."""
        del request
        return self._sha256
