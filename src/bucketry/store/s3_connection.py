"""How is one request sent to S3, exactly once, and which error is it when it fails?

boto3 is used here and nowhere else, for what it knows better than anyone: where credentials come from and
when they expire, how requests are signed, proxies, regions. Its retries are off: what may be sent again is
for `retry` or the committer to say. (A bucket in another region answers without doing anything; boto3 then
signs again for the region that S3 names, at the same endpoint's pattern. It follows no other redirect.)
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore import exceptions as sdk
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from bucketry.errors import BucketryError, DeniedError, UnavailableError, UsageError
from bucketry.store.s3_errors import Reply, Request, error_of_reply
from bucketry.store.s3_settings import check_endpoint, is_amazon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from bucketry.store.s3_settings import Addressing, S3Settings

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
]

LONGEST_RETRY_AFTER_SECONDS = 3600.0
CAUSES_LOOKED_AT = 8
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


class S3Connection:
    """A client for one bucket; safe for many threads at once."""

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self._bucket = bucket
        with _translated(f"s3://{bucket}"):
            self._client = _connect(settings)
        _drop_debug_records_of_the_sdk()
        self._common: dict[str, str] = {"Bucket": bucket}
        if settings.requester_pays:
            self._common["RequestPayer"] = "requester"
        self.server_product = ""

    @property
    def endpoint(self) -> str:
        """The URL that requests go to, without the bucket."""
        return self._client.meta.endpoint_url.rstrip("/")

    def send(
        self, operation: Operation, where: str, *, conditional_write: bool = False, **parameters: object
    ) -> dict[str, Any]:
        """Send one request, once, and return the SDK's form of the reply; raise our form of any failure."""
        call = getattr(self._client, operation)
        try:
            with _translated(where):
                reply: dict[str, Any] = call(**self._common, **parameters)
        except sdk.ClientError as error:
            self._note_product(error.response)
            request = Request(where, self._bucket, conditional_write=conditional_write)
            raise error_of_reply(request, _reply(error)) from error
        self._note_product(reply)
        return reply

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _note_product(self, reply: Any) -> None:  # noqa: ANN401 - a success and a failure differ in type
        headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.server_product = str(headers.get("server", self.server_product))


@contextmanager
def translated_reading(where: str) -> Iterator[None]:
    """Turn what breaks while a body is read into `UnavailableError`."""
    with _translated(where):
        yield


def _connect(settings: S3Settings) -> S3Client:
    """Make the client; if its endpoint turns out not to be Amazon's, make it again to speak path style."""
    if settings.endpoint_url is not None:
        check_endpoint(settings.endpoint_url, allow_http=settings.allow_http)
    session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
    client = _make_client(session, settings, settings.addressing)
    check_endpoint(client.meta.endpoint_url, allow_http=settings.allow_http)
    if settings.addressing == "auto" and not is_amazon(client.meta.endpoint_url):
        client.close()
        client = _make_client(session, settings, "path")
    return client


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
    # The stubs do not know that a handler may answer.
    client.meta.events.register("before-call.s3.HeadBucket", _answer_head_bucket)  # type: ignore[arg-type]
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


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except sdk.BotoCoreError as error:
        raise _error_of_failure(where, error) from error
    except OSError as error:
        raise UnavailableError(
            f"{where}: the connection broke ({_root_of(error)})", advice="try again later"
        ) from error


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
    if isinstance(error, sdk.SSLError):
        return UnavailableError(
            f"{where}: no secure connection ({_root_of(error)})",
            advice="if the server has a private certificate, name its authority in AWS_CA_BUNDLE",
        )
    return UnavailableError(
        f"{where}: the store did not answer ({_root_of(error)})",
        advice="check the endpoint and the network, then try again",
    )


def _root_of(error: BaseException) -> str:
    """Return the kind of the failure, and the operating system's word for it if there is one."""
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
        retry_after_seconds=_retry_after(metadata.get("HTTPHeaders", {}).get("retry-after", "")),
    )


def _retry_after(header: str) -> float | None:
    """Return the figure in seconds; for a date, which is rare, the caller's own pause serves as well."""
    if not (header.isascii() and header.isdigit()):
        return None
    return min(float(header), LONGEST_RETRY_AFTER_SECONDS)
