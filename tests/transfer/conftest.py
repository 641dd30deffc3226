from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from transfer.helpers import transfer_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.store.contract import Store


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    root = tmp_path / "bucket"
    root.mkdir()
    return FolderStore(root, durable=False)


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    yield
    assert transfer_threads() == []
