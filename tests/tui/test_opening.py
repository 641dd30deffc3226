"""Are rows on the screen before the bucket is looked at, wherever the index has any?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.index.refresh import refresh_index
from bucketry.index.store import Index
from bucketry.tui.shell import app
from tui.desk import filled_registry, open_desk

if TYPE_CHECKING:
    from bucketry.store.contract import Store


class Watched:
    """A store that notes what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in {"name", "local_path"}:
            self.asked.append(name)
        return getattr(self._store, name)


@pytest.mark.parametrize(("pause_seconds", "is_asked"), [(3600.0, False), (0.01, True)])
def test_rows_are_there_before_anything_is_asked_of_the_bucket(
    monkeypatch: pytest.MonkeyPatch, pause_seconds: float, *, is_asked: bool
) -> None:
    monkeypatch.setattr(app, "FIRST_LOOK_PAUSE_SECONDS", pause_seconds)
    registry = filled_registry()
    watched = Watched(registry.store)

    async def run() -> None:
        index = Index(None)
        refresh_index(index, registry.session(), details=False)
        session = replace(registry.session(), store=watched)
        async with open_desk(registry, session=session, index=index) as desk:
            assert "credit-risk" in desk.text
            assert "2/2" in desk.top
            assert bool(watched.asked) is is_asked

    asyncio.run(run())


def test_where_the_index_is_empty_the_bucket_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "FIRST_LOOK_PAUSE_SECONDS", 3600.0)

    async def run() -> None:
        async with open_desk(filled_registry()) as desk:
            assert "credit-risk" in desk.text

    asyncio.run(run())
