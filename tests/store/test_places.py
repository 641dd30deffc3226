"""Do several places read as one, from the first that answers, while nothing is ever written but to the first?"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bucketry.clock import Clock
from bucketry.errors import NotFoundError, UnavailableError
from bucketry.store.contract import (
    Entry,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    NotSentError,
    ObjectNotFoundError,
    Store,
    Unconditional,
)
from bucketry.store.late import LateStore
from bucketry.store.memory import MemoryStore
from bucketry.store.places import LEFT_OUT_SECONDS, PlacesStore, is_of_copy, served_by
from store.contract import FreshETagContract, StoreContract


class TestPlacesStore(StoreContract, FreshETagContract):
    """Several places promise what one does, whatever lies in the others."""

    part_size_bytes = 64 * 1024

    @pytest.fixture
    def store(self) -> Store:
        return PlacesStore([MemoryStore(), MemoryStore()])


class Place(MemoryStore):
    """A place with a name that can be away."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.is_away = False
        self.asked = 0

    def __getattribute__(self, name: str) -> object:
        if name in {"get", "stat", "list", "open_range", "put"}:
            self.asked += 1
            if self.is_away:
                raise UnavailableError(f"{self.name} does not answer")
        return super().__getattribute__(name)


@dataclass
class Scene:
    """Two places with an object that is newer in the first, and a clock that the test moves."""

    first: Place = field(default_factory=lambda: Place("s3://first"))
    second: Place = field(default_factory=lambda: Place("s3://second"))
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.first.put("key", b"newer", Unconditional())
        self.second.put("key", b"older", Unconditional())
        self.second.put("only here", b"kept", Unconditional())
        self.store = PlacesStore(
            [self.first, self.second], clock=Clock(monotonic_seconds=lambda: self.seconds, sleep=lambda _: None)
        )


def test_the_first_place_that_answers_is_read_and_named() -> None:
    scene = Scene()
    assert scene.store.get("key").body == b"newer"
    assert served_by(scene.store) == "s3://first"
    scene.first.is_away = True
    assert scene.store.get("key").body == b"older"
    assert served_by(scene.store) == "s3://second"
    assert [entry.key for entry in scene.store.list("") if isinstance(entry, Entry)] == ["key", "only here"]
    assert scene.store.name == "s3://first"


def test_a_place_that_did_not_answer_is_asked_last_for_a_while() -> None:
    scene = Scene()
    scene.first.is_away = True
    scene.store.get("key")
    asked = scene.first.asked
    scene.store.get("key")
    assert scene.first.asked == asked
    scene.first.is_away = False
    scene.seconds = LEFT_OUT_SECONDS + 1
    assert scene.store.get("key").body == b"newer"


def test_what_one_place_does_not_have_the_next_is_asked_for() -> None:
    scene = Scene()
    assert scene.store.get("only here").body == b"kept"
    with pytest.raises(ObjectNotFoundError):
        scene.store.get("nowhere")
    scene.first.is_away = True
    with pytest.raises(UnavailableError, match="s3://first"):  # it may have what the copy lacks
        scene.store.get("nowhere")


def test_an_unchanged_object_is_known_by_the_etag_of_its_own_place_alone() -> None:
    scene = Scene()
    at_first = scene.store.get("key").etag
    with pytest.raises(NotModifiedError):
        scene.store.get("key", unless=at_first)
    scene.first.is_away = True
    at_second = scene.store.get("key", unless=at_first).etag
    assert is_of_copy(at_second)
    with pytest.raises(NotModifiedError):
        scene.store.get("key", unless=at_second)


def test_nothing_that_was_read_from_a_copy_is_written_to_the_first_place() -> None:
    scene = Scene()
    scene.first.is_away = True
    read = scene.store.get("key")
    scene.first.is_away = False
    with pytest.raises(NotSentError):
        scene.store.put("key", b"decided on what is old", IfMatch(read.etag))
    assert scene.first.get("key").body == b"newer"
    scene.store.put("new", b"1", IfAbsent())
    assert scene.first.get("new").body == b"1"
    with pytest.raises(ObjectNotFoundError):
        scene.second.get("new")


def test_a_place_that_cannot_even_be_opened_keeps_no_other_from_answering() -> None:
    scene = Scene()

    def missing() -> Store:
        raise NotFoundError("there is no registry at file:///gone")

    late = LateStore("file:///gone", missing)
    store = PlacesStore([late, scene.second])
    assert store.get("key").body == b"older"
    assert store.unretried.get("key").body == b"older"
    with pytest.raises(UnavailableError):
        PlacesStore([late, late]).get("key")
