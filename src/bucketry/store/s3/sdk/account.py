"""Asks the SDK who asks, and with which credentials, and makes its client where that is needed.

The SDK knows better than anyone where credentials come from and when they expire: that is its session, and it is
always asked. Its client, which loads descriptions of all of S3, costs more than a small command otherwise takes; it
is made when something needs it, which is decided here, in `plain` and in `wire`.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from botocore import exceptions as sdk
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.credentials import ReadOnlyCredentials
from botocore.session import Session

from bucketry.errors import UsageError
from bucketry.store.s3.plain import PlainEndpoint, find_plain_endpoint
from bucketry.store.s3.sdk.credentials import asking_for_credentials, prepare_credentials
from bucketry.store.s3.sdk.sample import catch_sample, find_target
from bucketry.store.s3.settings import check_endpoint, is_amazon
from bucketry.store.s3.signing import TIMESTAMP, Keys, find_scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.awsrequest import AWSRequest
    from mypy_boto3_s3 import S3Client

    from bucketry.store.s3.settings import Addressing, S3Settings
    from bucketry.store.s3.signing import SigningClock, SigningScope
    from bucketry.store.s3.target import Target

# What would change the host, the signature or the headers. Of most, the value that changes nothing is "not set".
SETTINGS_OF_THE_SDK = (
    "s3",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "sigv4a_signing_region_set",
    "auth_scheme_preference",
    "user_agent_appid",
    "api_versions",
    "data_path",
    "csm_enabled",
)
PLUGINS_VARIABLE = "BOTOCORE_EXPERIMENTAL__PLUGINS"


class SdkAccount:
    """A session of the SDK, which the credentials come from, and its client, if one was needed. Safe for threads."""

    def __init__(self, bucket: str, settings: S3Settings, clock: SigningClock, keys: Keys | None) -> None:
        """Ask the SDK. With `keys` it need not look for any."""
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._client: S3Client | None = None
        self._session = open_session(settings)
        if keys is not None:
            self._session.set_credentials(keys.access_key, keys.secret_key, keys.token)
        self._plain = find_plain_by_session(self._session, bucket, settings)
        # Whatever is unusual about the endpoint, the client says it at once.
        self.endpoint = self._plain.url if self._plain else self.client.meta.endpoint_url.rstrip("/")
        check_endpoint(self.endpoint, allow_http=settings.allow_http)
        # Those of now, not of the first request; what is wrong with them is said at once too.
        prepare_credentials(self._session)
        with asking_for_credentials(self._session):
            self._session.get_credentials()
        _drop_debug_records_of_the_sdk()

    @property
    def client(self) -> S3Client:
        """The client, made when it is first asked for; if the endpoint is not Amazon's, it speaks path style."""
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
                _drop_debug_records_of_the_sdk()
            return self._client

    @property
    def has_client(self) -> bool:
        """Whether something needed the client."""
        return self._client is not None

    def credentials(self) -> Keys:
        """Return the credentials of this moment; the session gets new ones when they are about to expire."""
        with asking_for_credentials(self._session):
            found = self._session.get_credentials()
            if found is None:
                raise sdk.NoCredentialsError
            frozen = found.get_frozen_credentials()
        return Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    def find_target(self, common: Mapping[str, str], *, ask_client: bool) -> Target | None:
        """Return where and how the SDK would send requests; None if only it can.

        With `ask_client` the client says so: it alone knows where a redirect led.
        """
        if self._plain is not None and not ask_client:
            return self._plain.target(self._session.user_agent(), self._session.get_config_variable("ca_bundle"))
        return find_target(self.client, self._session, common)

    def close(self) -> None:
        """Release the client's connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _make_client(self) -> S3Client:
        settings = self._settings
        client = _make_client(self._session, settings, settings.addressing)
        check_endpoint(client.meta.endpoint_url, allow_http=settings.allow_http)
        if settings.addressing == "auto" and not is_amazon(client.meta.endpoint_url):
            client.close()
            client = _make_client(self._session, settings, "path")
        # Join in where the SDK asks whether somebody wants to. The stubs do not know that a handler may answer.
        events: Any = client.meta.events
        events.register("before-call.s3.HeadBucket", _answer_head_bucket)
        events.register("before-send.s3.GetObject", catch_sample)

        def sign_again(request: AWSRequest, **_: object) -> None:
            scope = find_scope(str(request.headers.get("Authorization", "")))
            if self._clock.is_corrected and scope is not None and scope.service == "s3":
                sha256 = str(request.headers["X-Amz-Content-SHA256"])
                sign(request, self.credentials(), scope, self._clock, sha256)

        # After the SDK's own signature, which bears the wrong time.
        events.register_last("request-created.s3", sign_again)
        return client


def open_session(settings: S3Settings) -> Session:
    """Return a session that knows what the settings say, and asks the environment and the profile for the rest."""
    session = Session(profile=settings.profile)
    if settings.region is not None:
        session.set_config_variable("region", settings.region)
    return session


def find_plain_by_session(session: Session, bucket: str, settings: S3Settings) -> PlainEndpoint | None:
    """Return the endpoint if it is plain; raise what the SDK raises where its configuration cannot be read."""
    url = settings.endpoint_url or _configured_endpoint(session)
    region = session.get_config_variable("region")
    if (
        session.get_config_variable("defaults_mode") != "legacy"
        or PLUGINS_VARIABLE in os.environ
        or any(session.get_config_variable(name) for name in SETTINGS_OF_THE_SDK)
    ):
        return None
    return find_plain_endpoint(bucket, settings, url, region)


def _configured_endpoint(session: Session) -> str | None:
    """Return the endpoint that the environment or the profile names for S3."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    )
    found: str | None = provider.provide()
    return found


def _make_client(session: Session, settings: S3Settings, addressing: Addressing) -> S3Client:
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
        client: S3Client = session.create_client("s3", endpoint_url=settings.endpoint_url, config=config)  # type: ignore[assignment] # the stubs of the session know no service
    except ValueError:
        # The cause would repeat the URL, and with it whatever is in it.
        raise UsageError(
            "the S3 endpoint in the AWS environment is not a URL", advice="write it as https://host:port"
        ) from None
    return client


def sign(request: AWSRequest, keys: Keys, scope: SigningScope, clock: SigningClock, sha256: str) -> None:
    """Put the signature, the time, the token and `sha256`, that of the body, into the request's headers.

    By the SDK's own signer, of which two things differ: the time can be corrected where the clock of this machine is
    wrong, and the digest of a body is taken from whoever has computed it.
    """
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
