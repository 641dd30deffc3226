"""Says which of our errors it is when a call of the SDK fails, and what the store said."""

from __future__ import annotations

import os

from botocore import exceptions as sdk

from bucketry.errors import BucketryError, DeniedError, UsageError
from bucketry.store.s3.errors import S3Reply, parse_retry_after

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


def error_of_failure(where: str, error: sdk.BotoCoreError) -> BucketryError | None:
    """Return our error for a call that got no reply, or none that could be read.

    None if what lies below it tells which. The SDK's own text is left out wherever it could repeat what it was
    given: a URL, a token, an output.
    """
    if isinstance(error, NOT_LOGGED_IN):
        return DeniedError(
            f"{where}: no usable AWS credentials were found ({type(error).__name__})",
            advice="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in again",
        )
    if isinstance(error, sdk.ProfileNotFound):
        return UsageError(
            f"{where}: there is no AWS profile {error.kwargs.get('profile')!a} in {_file('CONFIG', 'config')} "
            f"or {_file('SHARED_CREDENTIALS', 'credentials')}",
            advice="check AWS_PROFILE, or `profile` in our own configuration; `aws configure list-profiles` shows all",
        )
    if isinstance(error, sdk.ConfigParseError):
        path, line = error.kwargs.get("path"), _line_of(error.kwargs.get("error"))
        return UsageError(
            f"{where}: the AWS configuration {path} cannot be parsed{f', line {line}' if line else ''}",
            advice="mend that line, or move the file away",
        )
    if isinstance(error, sdk.InvalidConfigError):  # it names profiles and settings, but no values
        return UsageError(
            f"{where}: the AWS configuration is not valid: {error.kwargs.get('error_msg', '')}",
            advice=f"mend {_file('CONFIG', 'config')}",
        )
    if isinstance(error, MISCONFIGURED):
        return UsageError(
            f"{where}: the bucket's name, or the AWS configuration, is not valid ({type(error).__name__})",
            advice="check the bucket's name, the profile and the region",
        )
    return None


def _file(kind: str, usual: str) -> str:
    return os.environ.get(f"AWS_{kind}_FILE") or f"~/.aws/{usual}"


def _line_of(error: object) -> int | None:
    """Return the line that a parser of configurations stopped at, if it says so."""
    lines = getattr(error, "errors", None) or [(getattr(error, "lineno", None),)]
    return lines[0][0] if isinstance(lines[0][0], int) else None


def reply_of(error: sdk.ClientError) -> S3Reply:
    """Return what the store answered instead of doing it."""
    metadata = error.response.get("ResponseMetadata", {})
    said = error.response.get("Error", {})
    return S3Reply(
        status=int(metadata.get("HTTPStatusCode", 0)),
        code=str(said.get("Code", "")),
        message=str(said.get("Message", "")),
        retry_after_seconds=parse_retry_after(metadata.get("HTTPHeaders", {}).get("retry-after", "")),
    )
