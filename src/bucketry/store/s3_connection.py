"""How is one request sent to S3, exactly once, and which error is it when it fails?

boto3 is used here and nowhere else, for what it knows better than anyone: where credentials come from and
when they expire, how requests are signed, proxies, regions. Its retries are off: what may be sent again is
for `retry` or the committer to say. (A bucket in another region answers without doing anything; boto3 then
signs again for the region that S3 names, at the same endpoint's pattern. It follows no other redirect.)
"""

from __future__ import annotations

import logging
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore import exceptions as sdk
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.session import Session as BotocoreSession

from bucketry.errors import BucketryError, DeniedError, UnavailableError, UsageError
from bucketry.store.http1_head import MalformedReplyError
from bucketry.store.s3_errors import Reply, Request, error_of_reply, parse_retry_after, unreadable
from bucketry.store.s3_settings import check_endpoint, is_amazon
from bucketry.store.s3_signing import SigningClock, find_scope, sign
from bucketry.store.s3_target import catch_sample, find_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

    from bucketry.store.s3_settings import Addressing, S3Settings
    from bucketry.store.s3_target import Target

Operation = Literal[
    "abort_multipart_upload",
    "complete_multipart_upload",
    "create_multipart_upload",
    "delete_object",
    "get_object",
    "head_object",
    "list_multipart_uploads",
    "list_objects_v2",
    "list_parts",
    "put_object",
    "upload_part",
    "upload_part_copy",
]

CAUSES_LOOKED_AT = 8
# Once for old credentials and once for a wrong clock; whatever is refused then is refused.
MOST_CURES = 2
CLOCK_IS_WRONG = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
CREDENTIALS_ARE_OLD = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenExpired", "TokenRefreshRequired", "InvalidToken"}
)
MISCONFIGURED = (
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.ConfigParseError,
    sdk.NoRegionError,
    sdk.ValidationError,
    sdk.ParamValidationError,
    sdk.InvalidConfigError,
    sdk.InvalidDNSNameError,
    sdk.InvalidS3AddressingStyleError,
    sdk.UnsupportedS3ConfigurationError,
)
NOT_LOGGED_IN = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.NoAuthTokenError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
    sdk.RefreshWithMFAUnsupportedError,
    sdk.MetadataRetrievalError,
)


@dataclass(frozen=True, slots=True)
class Account:
    """A client, and the session that its credentials come from."""

    client: S3Client
    session: BotocoreSession

    def credentials(self) -> ReadOnlyCredentials:
        """Return the credentials of this moment; the session gets new ones when they are about to expire."""
        found = self.session.get_credentials()
        if found is None:
            raise sdk.NoCredentialsError
        return found.get_frozen_credentials()


class S3Connection:
    """A client for one bucket; safe for many threads at once."""

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self.clock = SigningClock()
        self.server_product = ""
        self._settings = settings
        self._lock = threading.Lock()
        with translated(f"s3://{bucket}"):
            self._account = _connect(settings, self.clock)
        _drop_debug_records_of_the_sdk()
        self._common: dict[str, str] = {"Bucket": bucket}
        if settings.requester_pays:
            self._common["RequestPayer"] = "requester"

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, without the bucket."""
        return self._account.client.meta.endpoint_url.rstrip("/")

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
        request = Request(where, self.bucket, conditional_write=conditional_write)
        for attempt in range(MOST_CURES + 1):
            account = self._account
            try:
                with translated(where):
                    reply: dict[str, Any] = getattr(account.client, operation)(**self._common, **parameters)
            except sdk.ClientError as error:
                self._note_product(error.response)
                refusal = _reply(error)
                date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
                if attempt == MOST_CURES or not self.cure(account, refusal, date):
                    raise error_of_reply(request, refusal) from error
            else:
                self._note_product(reply)
                return reply
        raise AssertionError(MOST_CURES)  # the last attempt returns or raises

    def cure(self, account: Account, refusal: Reply, date: str) -> bool:
        """Put right what a refusal was for, if it was the age of the credentials or our clock; return whether.

        A reply to a HEAD names no reason; Amazon then says 400 for a token that has expired.
        """
        if refusal.code in CLOCK_IS_WRONG or (refusal.code == "403" and refusal.status == 403):
            return self.clock.correct(date)
        if refusal.code in CREDENTIALS_ARE_OLD or (refusal.code == "400" and refusal.status == 400):
            return self._renew(account)
        return False

    def find_target(self) -> Target | None:
        """Return where and how this client sends its requests; None if only the SDK can."""
        account = self._account
        return find_target(account.client, account.session, self._common)

    def close(self) -> None:
        """Release the connections."""
        self._account.client.close()

    def _renew(self, refused: Account) -> bool:
        """Look for credentials from the start; return whether there are others than those that were refused."""
        with self._lock:
            if self._account is not refused:
                return True
            try:
                with translated(f"s3://{self.bucket}"):
                    fresh = _connect(self._settings, self.clock)
                    is_new = fresh.credentials() != refused.credentials()
            except BucketryError:
                # There are none any more: that those of before are too old says more.
                return False
            unused = refused if is_new else fresh
            if is_new:
                self._account = fresh
            # Requests under way through it go on; this only gives up connections that nobody uses.
            unused.client.close()
            return is_new

    def _note_product(self, reply: Any) -> None:  # noqa: ANN401 - a success and a failure differ in type
        headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.server_product = str(headers.get("server", self.server_product))


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the SDK and the connections raise, where no reply came or none that can be read, into our errors."""
    try:
        yield
    except sdk.BotoCoreError as error:
        raise _error_of_failure(where, error) from error
    except MalformedReplyError as error:
        raise unreadable(where, str(error)) from error
    except ssl.SSLCertVerificationError as error:
        raise _insecure(where, error) from error
    except TimeoutError as error:
        raise _unanswered(where, error) from error
    except OSError as error:
        raise UnavailableError(
            f"{where}: the connection broke ({_root_of(error)})", advice="try again later"
        ) from error


def _connect(settings: S3Settings, clock: SigningClock) -> Account:
    """Make the client; if its endpoint turns out not to be Amazon's, make it again to speak path style."""
    if settings.endpoint_url is not None:
        check_endpoint(settings.endpoint_url, allow_http=settings.allow_http)
    core = BotocoreSession()
    session = boto3.Session(profile_name=settings.profile, region_name=settings.region, botocore_session=core)
    client = _make_client(session, settings, settings.addressing)
    check_endpoint(client.meta.endpoint_url, allow_http=settings.allow_http)
    if settings.addressing == "auto" and not is_amazon(client.meta.endpoint_url):
        client.close()
        client = _make_client(session, settings, "path")
    account = Account(client, core)
    _listen(account, clock)
    return account


def _listen(account: Account, clock: SigningClock) -> None:
    """Join in where the SDK asks whether somebody wants to. The stubs do not know that a handler may answer."""
    events: Any = account.client.meta.events
    events.register("before-call.s3.HeadBucket", _answer_head_bucket)
    events.register("before-send.s3.GetObject", catch_sample)

    def sign_again(request: AWSRequest, **_: object) -> None:
        scope = find_scope(str(request.headers.get("Authorization", "")))
        if clock.is_corrected and scope is not None and scope.service == "s3":
            sha256 = str(request.headers["X-Amz-Content-SHA256"])
            sign(request, account.credentials(), scope, clock, sha256)

    # After the SDK's own signature, which bears the wrong time.
    events.register_last("request-created.s3", sign_again)


def _make_client(session: boto3.Session, settings: S3Settings, addressing: Addressing) -> S3Client:
    config = Config(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        max_pool_connections=settings.max_connections,
        tcp_keepalive=True,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # Checksums in trailers, the SDK's default over https, are refused by many other servers. The SHA-256
        # of the body in the signature is understood by all of them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": addressing, "payload_signing_enabled": True},
    )
    try:
        client = session.client("s3", endpoint_url=settings.endpoint_url, config=config)
    except ValueError:
        # The cause would repeat the URL, and with it whatever is in it.
        raise UsageError(
            "the S3 endpoint in the AWS environment is not a URL", advice="write it as https://host:port"
        ) from None
    return client


def _answer_head_bucket(**_: object) -> tuple[AWSResponse, dict[str, Any]]:
    """Answer "unknown" to the one request that we never make.

    The SDK makes it when a redirect does not name the bucket's region. S3 always names it, and a server that
    answers everything by a redirect would be asked for ever: the question itself is answered by a redirect.
    """
    return AWSResponse("", 404, HTTPHeaders(), None), {"ResponseMetadata": {"HTTPHeaders": {}}, "Error": {}}


class _WithoutDebug(logging.Filter):
    """Lets everything pass from INFO on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO


_WITHOUT_DEBUG = _WithoutDebug()


def _drop_debug_records_of_the_sdk() -> None:
    """Keep secrets out of every log: at DEBUG the SDK writes signatures, tokens and replies with keys.

    A filter holds whatever level a program sets later; it is set on each logger, since none inherits it.
    """
    for name in tuple(logging.root.manager.loggerDict):
        if name == "botocore" or name.startswith("botocore."):
            logging.getLogger(name).addFilter(_WITHOUT_DEBUG)


def _error_of_failure(where: str, error: sdk.BotoCoreError) -> BucketryError:
    """Return our error for a call that got no reply, or none that could be read.

    The SDK's own text is left out wherever it could repeat what it was given: a URL, a token, an output.
    """
    if isinstance(error, NOT_LOGGED_IN):
        return DeniedError(
            f"{where}: no usable AWS credentials were found ({type(error).__name__})",
            advice="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in again",
        )
    if isinstance(error, MISCONFIGURED):
        return UsageError(
            f"{where}: the bucket's name, or the AWS configuration, is not valid ({type(error).__name__})",
            advice="check the bucket's name, the profile and the region",
        )
    return _insecure(where, error) if isinstance(error, sdk.SSLError) else _unanswered(where, error)


def _insecure(where: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{where}: no secure connection ({_root_of(error)})",
        advice="if the server has a private certificate, name its authority in AWS_CA_BUNDLE",
    )


def _unanswered(where: str, error: Exception) -> UnavailableError:
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


def _reply(error: sdk.ClientError) -> Reply:
    metadata = error.response.get("ResponseMetadata", {})
    said = error.response.get("Error", {})
    return Reply(
        status=int(metadata.get("HTTPStatusCode", 0)),
        code=str(said.get("Code", "")),
        message=str(said.get("Message", "")),
        retry_after_seconds=parse_retry_after(metadata.get("HTTPHeaders", {}).get("retry-after", "")),
    )
