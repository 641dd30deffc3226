from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.clock import Backoff
from bucketry.transfer.disk import hashing
from bucketry.transfer.plan import TransferOptions
from faults.scene import CHUNK_BYTES, DEADLINE_SECONDS, Scene, make_registry
from servers.fault_proxy import run_fault_proxy
from servers.static_bucket import run_static_bucket
from transfer.helpers import transfer_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    # A transfer goes on for two minutes against a store that does not serve; here it is to give up soon.
    monkeypatch.setattr(
        TransferOptions,
        "new_backoff",
        lambda self, on_retry: Backoff(self.clock, deadline_seconds=DEADLINE_SECONDS, on_retry=on_retry),
    )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    memory = make_registry(tmp_path / "out")
    (tmp_path / "served").mkdir()
    with run_static_bucket(memory) as server, run_fault_proxy(server) as proxy:
        yield Scene(memory, proxy, tmp_path / "served" / "model")
    assert transfer_threads() == []
