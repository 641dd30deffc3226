"""How does a test reach a server as one of its users, without touching the environment of the tests?"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from bucketry.store.s3.store import S3Settings, S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.process import S3Server


@contextmanager
def credentials(access_key: str | None, secret_key: str | None, token: str | None = None) -> Iterator[None]:
    """Let the AWS environment hold these credentials and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    given = {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_SESSION_TOKEN": token,
        # No test asks the machine that it runs on, or the home of the one who runs it.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with mock.patch.dict(os.environ, {**kept, **{name: value for name, value in given.items() if value}}, clear=True):
        yield


def leave_to_the_sdk(store: S3Store) -> None:
    """Let the SDK make every request of this store, as it does where a proxy is in the way."""
    store._bytes = store._bytes._sdk  # type: ignore[attr-defined] # noqa: SLF001 - no setting does this
    store._requests = store._connection  # noqa: SLF001


@contextmanager
def open_s3(
    server: S3Server, prefix: str = "", *, bucket: str | None = None, settings: S3Settings | None = None
) -> Iterator[S3Store]:
    """Open a store on the server, as its user."""
    with credentials(server.access_key, server.secret_key):
        store = S3Store(bucket or server.bucket, prefix, settings or S3Settings(endpoint_url=server.endpoint_url))
    try:
        yield store
    finally:
        store.close()
