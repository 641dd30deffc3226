"""The SDK reads its models of S3 once, not for each client: that is half of what a client of a test costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore import loaders, session

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def _models_are_read_once() -> Iterator[None]:
    create, shared = loaders.create_loader, loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", lambda path=None: create(path) if path else shared)
        yield
