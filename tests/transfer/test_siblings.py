"""Do pulls of the same files to the same target share their work, and succeed whatever happens to the other?"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.target import prepare_target, publish_target
from bucketry.transfer.down import siblings as siblings_module
from bucketry.transfer.down.download import FetchOutcome, LocalSources
from bucketry.transfer.down.journal import Journal
from bucketry.transfer.down.remote import plan_of
from bucketry.transfer.down.siblings import Siblings
from transfer.helpers import CHUNK_BYTES, fetch, hooked, read_tree, stock
from transfer.pulls import pull_and_count, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNKS = 60
LARGE = {"large.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(CHUNKS))}


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings_module, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "chat"


def slow_store(seconds: float = 0.01) -> Any:
    store = hooked(MemoryStore())

    @contextmanager
    def slow(method: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
        time.sleep(seconds)
        with method(*arguments, **named) as stream:
            yield stream

    store.hooks["open_range"] = slow
    return store


def test_two_pulls_at_once_fetch_little_more_than_one(tmp_path: Path, destination: Path) -> None:
    store = slow_store()
    files = stock(store, tmp_path / "out", LARGE)

    def pull_one(_: int) -> tuple[str, FetchOutcome]:
        return pull_and_count(store, files, destination, connections=2)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pull_one, 1)
        time.sleep(0.05)
        second = pool.submit(pull_one, 2)
        results = [first.result(), second.result()]
    assert sorted(published for published, _ in results) == ["already_there", "appeared"]
    assert read_tree(destination) == LARGE
    assert [entry.name for entry in destination.parent.iterdir()] == ["chat"]
    fetched = [one.fetched_bytes // CHUNK_BYTES for _, one in results]
    assert sum(fetched) <= CHUNKS + 4  # one chunk for each connection may be under way on both sides
    assert min(fetched) >= CHUNKS // 4


def test_a_chunk_that_a_sibling_spoils_is_fetched(tmp_path: Path, destination: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", LARGE)
    plan = plan_of(destination.name, "m1", files)
    with prepare_target(destination, plan) as spoiled:
        (spoiled.directory / "large.bin").write_bytes(b"?" * len(LARGE["large.bin"]))
        journal = Journal(spoiled.outer)
        for index in range(CHUNKS):
            journal.add((0, index))
        journal.close()
        _, fetched = pull_and_count(store, files, destination)
    assert fetched.reused_bytes == 0
    assert read_tree(destination) == LARGE


def test_when_the_sibling_has_finished_the_rest_comes_from_the_target(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    plan = plan_of(destination.name, "m1", files)
    opened = threading.Event()
    published = threading.Event()

    @contextmanager
    def wait_once(method: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
        opened.set()
        assert published.wait(10)
        with method(*arguments, **named) as stream:
            yield stream

    with prepare_target(destination, plan) as other, ThreadPoolExecutor(1) as pool:
        store.hooks["open_range"] = wait_once
        pulling = pool.submit(pull_and_count, store, files, destination, connections=1)
        assert opened.wait(10)
        fetch(store.inner, files, other.directory, nearby=LocalSources(other, plan))
        record(other.directory, files)
        assert publish_target(other) == "appeared"
        published.set()
        publication, fetched = pulling.result(10)
    assert publication == "already_there"
    assert fetched.fetched_bytes == CHUNK_BYTES


def test_whoever_comes_second_starts_at_the_other_end(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    starts: list[int] = []

    def note(method: Callable[..., Any], key: str, start: int, *rest: Any, **named: Any) -> Any:
        starts.append(start)
        return method(key, start, *rest, **named)

    store.hooks["open_range"] = note
    with prepare_target(destination, plan_of(destination.name, "m1", files)):
        pull_and_count(store, files, destination, connections=1)
    assert starts == sorted(starts, reverse=True)


def test_folders_of_other_plans_are_no_siblings(tmp_path: Path, destination: Path) -> None:
    files = stock(MemoryStore(), tmp_path / "out", LARGE)
    mine, other = (plan_of(destination.name, manifest, files) for manifest in ("m1", "m2"))
    with prepare_target(destination, other), prepare_target(destination, mine) as staging:
        assert not Siblings(staging, mine).has_any_alive()
        with prepare_target(destination, mine):
            assert Siblings(staging, mine).has_any_alive()
