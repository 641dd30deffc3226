"""Asks the SDK for credentials, and says what is wrong where it gets none.

They come from elsewhere: a program that the profile names, a role that STS gives, a token in a file. Whichever of these
is missing, hangs or answers nonsense is named here, never as a fault of the bucket, and never with its output, which
may hold what is secret.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from getpass import getpass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import exceptions as sdk
from botocore.config import Config
from botocore.credentials import ProcessProvider

from bucketry.errors import BucketryError, DeniedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.session import Session

PROGRAM_SECONDS = 10.0
PROGRAM_SECONDS_WITH_A_PERSON = 60.0
"""How long a `credential_process` may take; where there is a terminal, somebody may have to touch a key."""
# For those who give credentials; the SDK's own are five tries of a minute each.
CLIENT_OF_OTHERS = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})
UNANSWERED = (sdk.ConnectionError, sdk.HTTPClientError)


def prepare_credentials(session: Session) -> None:
    """Let nobody wait for ever: neither for a program that hangs, nor for a person where there is none."""
    session.set_default_client_config(CLIENT_OF_OTHERS)
    resolver: Any = session.get_component("credential_provider")
    for provider in resolver.providers:
        if isinstance(provider, ProcessProvider):
            provider._popen = _BoundedProgram  # type: ignore[attr-defined] # noqa: SLF001 - it has no setting
        if provider.METHOD == "assume-role":
            provider._prompter = _ask  # noqa: SLF001 - the same
            _bound_programs_of(provider._profile_provider_builder, session)  # noqa: SLF001 - the same


@contextmanager
def asking_for_credentials(session: Session) -> Iterator[None]:
    """Turn whatever goes wrong while the SDK looks for credentials into an error that names whose fault it is."""
    try:
        yield
    except BucketryError:
        raise
    except sdk.CredentialRetrievalError as error:
        raise _failed(session, error.kwargs.get("provider")) from None  # its text may be what a program printed
    except sdk.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "")) or "no reason"
        raise DeniedError(
            f"{_profile_of(session)}: the service that gives AWS credentials refuses ({code})",
            advice="check the role that the profile names, and who may assume it; or log in again",
        ) from error
    except UNANSWERED as error:
        asked = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url") or ""))
        name = asked.netloc.rpartition("@")[2] or "the service"
        raise UnavailableError(
            f"{name}, which the AWS credentials are to come from, did not answer (not the bucket, but STS or its like)",
            advice="check the network and the region of the profile, then try again",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeniedError(
            f"{_profile_of(session)}: its credential_process gave no credentials within {error.timeout:.0f} s",
            advice="run that program by hand, and see what it waits for",
        ) from None
    except OSError as error:
        raise _unreadable(session, error) from error
    except (ValueError, AttributeError, TypeError, KeyError):
        raise _failed(session, ProcessProvider.METHOD) from None


def _failed(session: Session, provider: object) -> DeniedError:
    if provider == ProcessProvider.METHOD:
        return DeniedError(
            f"{_profile_of(session)}: its credential_process gave no credentials: it failed, or printed no JSON of "
            "the expected form",
            advice="run that program by hand, and see what it prints",
        )
    return DeniedError(
        f"{_profile_of(session)}: no AWS credentials could be had from {provider}",
        advice="log in again, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def _unreadable(session: Session, error: OSError) -> DeniedError:
    said = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    token = said or str(session.get_scoped_config().get("web_identity_token_file", ""))
    if token and str(error.filename) == token:
        return DeniedError(
            f"the web identity token file {token} cannot be read ({error.strerror})",
            advice="mount the token, or check AWS_WEB_IDENTITY_TOKEN_FILE",
        )
    return DeniedError(
        f"{_profile_of(session)}: {error.filename or 'what gives AWS credentials'} cannot be used ({error.strerror})",
        advice="check credential_process and the files that the profile names",
    )


def _profile_of(session: Session) -> str:
    return f"the AWS profile {session.get_config_variable('profile') or 'default'!a}"


def _ask(prompt: str) -> str:
    if not _has_person():
        raise DeniedError(
            "the AWS profile asks for an MFA code, and there is no terminal to ask on",
            advice="log in where there is one, and give the temporary keys as AWS_ACCESS_KEY_ID and so on",
        )
    return getpass(prompt)


def _has_person() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class _BoundedProgram(subprocess.Popen[bytes]):
    """A program that is ended when it takes too long."""

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:  # noqa: A002
        limit = timeout or (PROGRAM_SECONDS_WITH_A_PERSON if _has_person() else PROGRAM_SECONDS)
        try:
            return super().communicate(input, limit)
        except subprocess.TimeoutExpired:
            self.kill()  # what it started may hold the pipes open: nobody waits for those
            self.wait()
            for pipe in (self.stdout, self.stderr):
                if pipe is not None:
                    pipe.close()
            raise


def _bound_programs_of(builder: Any, session: Session) -> None:  # noqa: ANN401 - it has no public type
    """Bound the program of a profile that another one takes its credentials from, too."""

    def create(profile_name: str) -> ProcessProvider:
        return ProcessProvider(profile_name, lambda: session.full_config, popen=_BoundedProgram)

    builder._create_process_provider = create  # noqa: SLF001 - it has no setting
