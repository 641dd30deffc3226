"""Sends one request by the SDK, exactly once, and says which error it is when it fails.

Most requests go over connections of our own (`wire`); these are the others, for what the SDK knows better than
anyone: proxies, redirects to another region, special kinds of buckets. Its retries are off: what may be sent again is
for `retry` or the committer to say. (A bucket in another region answers without doing anything; the SDK then
signs again for the region that S3 names, at the same endpoint's pattern. It follows no other redirect.)
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

from bucketry.errors import BucketryError, UnavailableError
from bucketry.store.contract import NoSecureConnectionError
from bucketry.store.http.head import EncryptedReplyError, MalformedReplyError
from bucketry.store.s3.account import Account
from bucketry.store.s3.errors import S3Request, error_of_reply, plain_to_secure, unreadable
from bucketry.store.s3.signing import SigningClock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from bucketry.store.s3.errors import S3Reply
    from bucketry.store.s3.settings import S3Settings
    from bucketry.store.s3.target import Target

Operation = Literal[
    "abort_multipart_upload",
    "complete_multipart_upload",
    "create_multipart_upload",
    "delete_object",
    "get_bucket_encryption",
    "get_bucket_lifecycle_configuration",
    "get_bucket_policy",
    "get_bucket_versioning",
    "get_object",
    "get_object_lock_configuration",
    "head_object",
    "list_multipart_uploads",
    "list_objects_v2",
    "list_parts",
    "put_object",
    "upload_part",
    "upload_part_copy",
]

CAUSES_LOOKED_AT = 8
# What OpenSSL says of a server that answers in the clear.
SPOKE_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG")
NOT_TRUSTED = ("CERTIFICATE_VERIFY_FAILED",)
# Once for old credentials and once for a wrong clock; whatever is refused then is refused.
MOST_CURES = 2
CLOCK_IS_WRONG = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
CREDENTIALS_ARE_OLD = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenExpired", "TokenRefreshRequired", "InvalidToken"}
)


class S3Connection:
    """Who asks for one bucket, and the SDK's way to ask; safe for many threads at once."""

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self.clock = SigningClock()
        self.server_product = ""
        self._settings = settings
        self._lock = threading.Lock()
        with translated(f"s3://{bucket}"):
            self._account = Account(bucket, settings, self.clock)
        self._common: dict[str, str] = {"Bucket": bucket}
        if settings.requester_pays:
            self._common["RequestPayer"] = "requester"

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, without the bucket."""
        return self._account.endpoint

    @property
    def account(self) -> Account:
        """Who is asking now. A refusal of credentials names the account that was refused, see `cure`."""
        return self._account

    def send(
        self, operation: Operation, where: str, *, conditional_write: bool = False, **parameters: object
    ) -> dict[str, Any]:
        """Send one request, once, and return the SDK's form of the reply; raise our form of any failure.

        A request that was refused for old credentials or a wrong clock is sent once more if that could be put
        right. Such a refusal is definite, so this breaks no promise.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - see `account`: most never come here

        from bucketry.store.s3.sdk.errors import reply_of  # noqa: PLC0415 - the same

        request = S3Request(where, self.bucket, conditional_write=conditional_write)
        for attempt in range(MOST_CURES + 1):
            account = self._account
            try:
                with translated(where):
                    reply: dict[str, Any] = getattr(account.client, operation)(**self._common, **parameters)
            except ClientError as error:
                self._note_product(error.response)
                refusal = reply_of(error)
                date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
                if attempt == MOST_CURES or not self.cure(account, refusal, date):
                    raise error_of_reply(request, refusal) from error
            else:
                self._note_product(reply)
                return reply
        raise AssertionError(MOST_CURES)  # the last attempt returns or raises

    def cure(self, account: Account, refusal: S3Reply, date: str) -> bool:
        """Put right what a refusal was for, if it was the age of the credentials or our clock; return whether.

        A reply to a HEAD names no reason; Amazon then says 400 for a token that has expired.
        """
        if refusal.code in CLOCK_IS_WRONG or (refusal.code == "403" and refusal.status == 403):
            return self.clock.correct(date)
        if refusal.code in CREDENTIALS_ARE_OLD or (refusal.code == "400" and refusal.status == 400):
            return self._renew(account)
        return False

    def find_target(self, *, ask_client: bool) -> Target | None:
        """Return where and how the SDK sends requests; None if only it can. See `Account.find_target`."""
        return self._account.find_target(self._common, ask_client=ask_client)

    def note_server(self, headers: Mapping[str, str]) -> None:
        """Remember what the server calls itself, if a reply says it."""
        self.server_product = str(headers.get("server", self.server_product))

    def close(self) -> None:
        """Release the connections."""
        self._account.close()

    def _renew(self, refused: Account) -> bool:
        """Look for credentials from the start; return whether there are others than those that were refused."""
        with self._lock:
            if self._account is not refused:
                return True
            try:
                with translated(f"s3://{self.bucket}"):
                    fresh = Account(self.bucket, self._settings, self.clock)
                    is_new = fresh.credentials() != refused.credentials()
            except BucketryError:
                # There are none any more: that those of before are too old says more.
                return False
            unused = refused if is_new else fresh
            if is_new:
                self._account = fresh
            # Requests under way through it go on; this only gives up connections that nobody uses.
            unused.close()
            return is_new

    def _note_product(self, reply: Any) -> None:  # noqa: ANN401 - a success and a failure differ in type
        self.note_server(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def translated(where: str) -> AbstractContextManager[None]:
    """Turn what the SDK and the connections raise, where no reply came or none that can be read, into our errors."""
    return _ErrorTranslation(where)


class _ErrorTranslation:
    """Not a generator, which costs five times as much: several of these surround each request."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            translation = _error_of(self._where, error)
            if translation is not None:
                raise translation from error


def _error_of(where: str, error: BaseException) -> BucketryError | None:  # noqa: PLR0911 - one for each kind
    """Return what a failure is to our callers; None for what is none of the network."""
    if _is_one_of(error, "botocore.exceptions", "BotoCoreError"):
        from bucketry.store.s3.sdk.errors import error_of_failure  # noqa: PLC0415 - only the SDK's errors need it

        found = error_of_failure(where, error)  # type: ignore[arg-type] # who calls has looked
        if found is not None:
            return found
        is_insecure = _is_one_of(error, "botocore.exceptions", "SSLError")
        return _insecure(where, error) if is_insecure else _unanswered(where, error)
    if isinstance(error, EncryptedReplyError):
        return plain_to_secure(where)
    if isinstance(error, MalformedReplyError):
        return unreadable(where, str(error))
    if _is_one_of(error, "ssl", "SSLError"):
        return _insecure(where, error)
    if isinstance(error, TimeoutError | ConnectionRefusedError | socket.gaierror):
        return _unanswered(where, error)
    if isinstance(error, OSError):
        return UnavailableError(
            f"{where}: the connection broke ({_root_of(error)})",
            advice="try again later; if it stays so, check the endpoint, and whether it is one of http or https",
        )
    return None


def _is_one_of(error: BaseException, module: str, name: str) -> bool:
    """Whether it is an error of a module that may never have been loaded: then it has raised nothing."""
    return isinstance(error, getattr(sys.modules.get(module), name, ()))


def _insecure(where: str, error: BaseException) -> UnavailableError:
    if any(reason in str(error) for reason in SPOKE_PLAIN):
        return NoSecureConnectionError(
            f"{where}: the server at the endpoint speaks http, and was spoken to by https",
            advice="write http:// in the URL of the endpoint if the network is trusted, or check its port",
        )
    if not any(reason in str(error) for reason in NOT_TRUSTED):
        return UnavailableError(
            f"{where}: no secure connection ({_root_of(error)})",
            advice="try again later; if it stays so, check the endpoint and what lies before it",
        )
    return NoSecureConnectionError(
        f"{where}: no secure connection ({_root_of(error)})",
        advice="if the server has a private certificate, name its authority in AWS_CA_BUNDLE",
    )


def _unanswered(where: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"{where}: the store did not answer ({_root_of(error)})",
        advice="check the endpoint and the network, then try again",
    )


def _root_of(error: BaseException) -> str:
    """Return the kind of the failure, and the operating system's word for it if there is one, or our own."""
    if isinstance(error, TimeoutError) and error.errno is None and error.args:
        return str(error)
    current: BaseException | None = error
    for _ in range(CAUSES_LOOKED_AT):
        if current is None:
            break
        if isinstance(current, OSError) and current.strerror and current.errno is not None:
            return f"{type(error).__name__}: {current.strerror}"
        current = current.__cause__ or current.__context__
    return type(error).__name__
