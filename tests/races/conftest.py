"""Two registries that other processes can open too: in a folder, and in a bucket of a real S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.opening import create_registry
from store.s3_stores import credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.process import S3Server

PROFILE = """
[registries.races]
url = "s3://{bucket}/{prefix}"
endpoint_url = "{endpoint_url}"
"""


@pytest.fixture(params=["folder", "weed"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return what to open: a path, or the name of a profile. Everything that is configured lies below `tmp_path`."""
    config = tmp_path / "config.toml"
    config.touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(config))
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    if request.param == "folder":
        yield create_registry(str(tmp_path / "registry"), identity="owner@races").url
        return
    server: S3Server = request.getfixturevalue("weed")
    config.write_text(
        PROFILE.format(bucket=server.bucket, prefix=f"races/{tmp_path.name}", endpoint_url=server.endpoint_url)
    )
    with credentials(server.access_key, server.secret_key):
        create_registry("races", identity="owner@races")
        yield "races"
