"""What do the screens of the tests have in common? Nobody's transfers, and a cursor that rests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.tui.screens import reading, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _nobodys_transfers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("BUCKETRY_STATE", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def _rests_at_once() -> Iterator[None]:
    """What is read once the cursor rests is read before the screens count as settled, however slow the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "PANEL_PAUSE_SECONDS", 0.001)
        patch.setattr(reading, "DETAIL_PAUSE_SECONDS", 0.001)
        yield
