"""Says which of our errors a reply or a failure of S3 means.

The one place where status codes and error codes are read. It knows no SDK, only what was said: so every
store's way to say a thing can be written down, and tested, as a value. What a server says is shown only where
it helps and cannot hold a secret, and never with control characters in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bucketry.errors import (
    CorruptError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.frozen import frozen
from bucketry.store.contract import (
    NoSecureConnectionError,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    SlowDownError,
)
from bucketry.store.s3.text import unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_CHARACTERS = 200
LONGEST_RETRY_AFTER_SECONDS = 3600.0

DENIED: Mapping[str, tuple[str, str]] = {
    "InvalidAccessKeyId": ("does not know this access key", "check the access key and the profile"),
    "SignatureDoesNotMatch": (
        "does not accept the signature, so the secret key is wrong",
        "check the secret key and the profile",
    ),
    "ExpiredToken": (
        "says that the session has expired",
        "log in again, or refresh the session's credentials",
    ),
    "InvalidToken": (
        "does not accept the session token",
        "log in again, or refresh the session's credentials",
    ),
    "TokenRefreshRequired": ("wants a new session token", "log in again, or refresh the credentials"),
    "RequestTimeTooSkewed": (
        "refuses the request because this machine's clock is wrong",
        "set the clock of this machine (NTP), then try again",
    ),
    "AccountProblem": ("has blocked the account", "ask the owner of the account"),
    "NotSignedUp": ("has no S3 for this account", "ask the owner of the account"),
}
# One code is spelled in several ways by different stores.
DENIED_ALIASES: Mapping[str, str] = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenExpired": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "InvalidSecurity": "InvalidAccessKeyId",
}
SLOW = frozenset({"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"})
# The bytes were damaged, or too slow, on their way: nothing was stored, and sending them again may help.
DAMAGED_ON_THE_WAY = frozenset(
    {
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "XAmzContentChecksumMismatch",
        "IncompleteBody",
        "RequestTimeout",
    }
)
MALFORMED = frozenset({"InvalidBucketName", "KeyTooLongError", "KeyTooLong", "InvalidURI", "InvalidObjectName"})
WRONG_REGION = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"})

# Two elements of a small document, read without a parser that could be made to expand or to fetch something.
_SAID_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9._-]{1,100})\s*</Code>")
_SAID_MESSAGE = re.compile(rb"<Message>([^<]{1,2000})</Message>")

# How servers in front of a store say that they were spoken to without encryption.
_SAID_HTTPS = re.compile(rb"(?i)http request (?:to an|was sent to) https")
WANTS_HTTPS = "WantsHttps"


@frozen
class S3Request:
    """What was asked, of which object, and whether it was a write with a condition."""

    where: str
    bucket: str
    conditional_write: bool = False


@frozen
class S3Reply:
    """What a store answered instead of doing it."""

    status: int
    code: str
    message: str
    retry_after_seconds: float | None = None


def error_of_reply(request: S3Request, reply: S3Reply) -> Exception:  # noqa: PLR0911 - one return for each kind
    """Return the error to raise. A refusal of credentials comes first: it says nothing about the object."""
    denied = _denied(request, reply)
    if denied is not None:
        return denied
    missing = _missing(request, reply)
    if missing is not None:
        return missing
    where, status = request.where, reply.status
    if reply.code == WANTS_HTTPS:
        return plain_to_secure(where)
    if status == 304:
        return NotModifiedError(f"{where} is unchanged")
    if status == 412 or (request.conditional_write and status == 409):
        return PreconditionFailedError(
            f"{where}: the condition does not hold ({_said(reply)})",
            advice="read it again, then decide again",
        )
    if status in {429, 503} or reply.code in SLOW:
        return SlowDownError(
            f"{where}: the store asks for fewer requests ({_said(reply)})",
            advice="try again in a while",
            retry_after_seconds=reply.retry_after_seconds,
        )
    if status == 501 or reply.code == "NotImplemented":
        return UnsupportedError(
            f"{where}: the store cannot do what is needed ({_said(reply)})",
            advice="run `bucketry doctor` to see what this store can do",
        )
    if status >= 500 or status in {408, 409} or reply.code in DAMAGED_ON_THE_WAY:
        return UnavailableError(f"{where}: the store did not do it ({_said(reply)})", advice="try again later")
    return _refused(request, reply)


def parse_refusal(status: int, headers: Mapping[str, str], body: bytes) -> S3Reply:
    """Return what a reply says that is no success; its body may be S3's XML, or anything."""
    if status == 400 and _SAID_HTTPS.search(body):
        return S3Reply(status, WANTS_HTTPS, "")
    code, message = _SAID_CODE.search(body), _SAID_MESSAGE.search(body)
    return S3Reply(
        status=status,
        code=code[1].decode("ascii") if code else str(status),
        message=unescape(message[1].decode("utf-8", "replace")) if message else "",
        retry_after_seconds=parse_retry_after(headers.get("retry-after", "")),
    )


def parse_retry_after(header: str) -> float | None:
    """Return the figure in seconds; for a date, which is rare, the caller's own pause serves as well."""
    if not (header.isascii() and header.isdigit()):
        return None
    return min(float(header), LONGEST_RETRY_AFTER_SECONDS)


def is_elsewhere(reply: S3Reply) -> bool:
    """Whether the store says that the bucket is at another endpoint or in another region."""
    return reply.code in WRONG_REGION or (300 <= reply.status < 400 and reply.status != 304)


def unreadable(where: str, found: str) -> UnavailableError:
    """Return the error for a reply that is not an answer to the request."""
    return UnavailableError(
        f"{where}: the store's reply is not what was asked for: {found}",
        advice="try again; if it stays so, look for a proxy between here and the store",
    )


def plain_to_secure(where: str) -> NoSecureConnectionError:
    """Return the error for http that was spoken to a server of https."""
    return NoSecureConnectionError(
        f"{where}: the server at the endpoint speaks https, and was spoken to by http",
        advice="write https:// in the URL of the endpoint, or check its port",
    )


def oversized(where: str, limit_bytes: int) -> CorruptError:
    """Return the error for an object that is far too large to be a document."""
    return CorruptError(
        f"{where} is larger than {limit_bytes} bytes, so it is not one of the registry's documents",
        advice="run `bucketry fsck`, and find out who wrote it",
    )


def _denied(request: S3Request, reply: S3Reply) -> Exception | None:
    known = DENIED.get(DENIED_ALIASES.get(reply.code, reply.code))
    if known is not None:
        what, advice = known
        return DeniedError(f"{request.where}: the store {what} ({reply.code})", advice=advice)
    if reply.status in {401, 403} or reply.code.startswith("KMS"):
        return DeniedError(
            f"{request.where}: the store does not allow this with these credentials ({_said(reply)})",
            advice="check which credentials are in use and what they may do; without the right "
            "to list it, a missing object looks the same",
        )
    return None


def _missing(request: S3Request, reply: S3Reply) -> Exception | None:
    if reply.code == "NoSuchBucket":
        return NotFoundError(
            f"there is no bucket {request.bucket} at this endpoint",
            advice="check the bucket's name, the endpoint and the region, or create the bucket",
        )
    if reply.code == "NoSuchUpload":
        return ObjectNotFoundError(
            f"{request.where}: the store does not know this upload; it was completed, given up or removed",
            advice="look whether the object is there; otherwise send it again",
        )
    if reply.status != 404:
        return None
    if request.conditional_write:
        return PreconditionFailedError(
            f"{request.where}: nothing is there to replace ({_said(reply)})",
            advice="read it again, then decide again",
        )
    return ObjectNotFoundError(f"Nothing is at {request.where}")


def _refused(request: S3Request, reply: S3Reply) -> Exception:
    if is_elsewhere(reply):
        return UsageError(
            f"{request.where}: the bucket is at another endpoint or in another region ({_said(reply)})",
            advice="set the region, or the endpoint, of the bucket",
        )
    if reply.code in MALFORMED:
        return UsageError(f"{request.where}: the store does not accept this name ({_said(reply)})")
    if reply.status == 416:
        return UsageError(f"{request.where}: the object is shorter than the range that was asked for")
    return UnsupportedError(
        f"{request.where}: the store does not accept the request ({_said(reply)})",
        advice="run `bucketry doctor` to see what this store can do",
    )


def _said(reply: S3Reply) -> str:
    """Return the server's own words, as far as they are printable and short."""
    words = f"{reply.status} {reply.code}" if reply.code != str(reply.status) else f"{reply.status}"
    message = "".join(character if character.isprintable() else " " for character in reply.message).strip()
    if message and message != reply.code:
        words += f": {message[:MESSAGE_CHARACTERS]}"
    return "".join(character if character.isprintable() else " " for character in words).rstrip(".")
