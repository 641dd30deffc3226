"""Does a plain folder keep the promises of a bucket?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder import FolderStore
from store.contract import FreshETagContract, StoreContract

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.store.interface import Store


class TestFolderStore(StoreContract, FreshETagContract):
    part_size_bytes = 64 * 1024

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FolderStore(tmp_path, durable=False)
