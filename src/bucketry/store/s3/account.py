"""Knows who asks and with which keys, and loads the SDK only where it alone can say that.

Where the environment says everything, the SDK is not even loaded, which would take longer than all the rest of a small
command. It is as soon as something needs it: a proxy, a redirect to another region, a request that only it can make.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from bucketry.store.s3.environment import find_environment
from bucketry.store.s3.plain import find_plain_endpoint
from bucketry.store.s3.settings import check_endpoint
from bucketry.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

    from bucketry.store.s3.plain import PlainEndpoint
    from bucketry.store.s3.sdk.account import SdkAccount
    from bucketry.store.s3.settings import S3Settings
    from bucketry.store.s3.signing import Keys, SigningClock
    from bucketry.store.s3.target import Target

USER_AGENT = f"Bucketry/{__version__} Python/{'.'.join(map(str, sys.version_info[:3]))} {sys.platform}"


class Account:
    """Who asks for a bucket, and of whom: by the environment alone, or by the SDK. Safe for threads."""

    def __init__(self, bucket: str, settings: S3Settings, clock: SigningClock) -> None:
        if settings.endpoint_url is not None:
            check_endpoint(settings.endpoint_url, allow_http=settings.allow_http)
        self._bucket = bucket
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._sdk: SdkAccount | None = None
        self._plain: PlainEndpoint | None = None
        self._environment = find_environment(settings)
        if self._environment is not None:
            asked = self._environment.endpoint_url, self._environment.region
            self._plain = find_plain_endpoint(bucket, settings, *asked)
        self.endpoint = self._plain.url if self._plain is not None else self._load_sdk().endpoint
        check_endpoint(self.endpoint, allow_http=settings.allow_http)

    @property
    def client(self) -> S3Client:
        """The SDK's client, made when it is first asked for."""
        return self._load_sdk().client

    @property
    def has_client(self) -> bool:
        """Whether something needed the client."""
        return self._sdk is not None and self._sdk.has_client

    @property
    def has_sdk(self) -> bool:
        """Whether something needed the SDK."""
        return self._sdk is not None

    def credentials(self) -> Keys:
        """Return the keys of this moment; those of the environment are those of the beginning."""
        if self._environment is not None:
            return self._environment.keys
        return self._load_sdk().credentials()

    def find_target(self, common: Mapping[str, str], *, ask_client: bool) -> Target | None:
        """Return where and how the SDK would send requests; None if only it can.

        With `ask_client` its client says so: it alone knows where a redirect led.
        """
        if self._environment is not None and self._plain is not None and not ask_client:
            return self._plain.target(USER_AGENT, self._environment.authorities)
        return self._load_sdk().find_target(common, ask_client=ask_client)

    def close(self) -> None:
        """Release the client's connections."""
        with self._lock:
            if self._sdk is not None:
                self._sdk.close()

    def _load_sdk(self) -> SdkAccount:
        with self._lock:
            if self._sdk is None:
                from bucketry.store.s3.sdk.account import SdkAccount  # noqa: PLC0415 - a tenth of a second

                keys = None if self._environment is None else self._environment.keys
                self._sdk = SdkAccount(self._bucket, self._settings, self._clock, keys)
            return self._sdk
