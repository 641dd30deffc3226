"""Does the probe pass the stores that keep their promises, and say in plain words what the others break?"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from bucketry.clock import Clock
from bucketry.errors import DeniedError, NotFoundError, UnavailableError
from bucketry.store.contract import (
    Entry,
    ETag,
    HeldBack,
    IfAbsent,
    IfMatch,
    NotModifiedError,
    Object,
    ObjectNotFoundError,
    PreconditionFailedError,
    Unconditional,
)
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.store.probe import races
from bucketry.store.probe.checks import BrokenPromiseError, Scratch, Subject
from bucketry.store.probe.probe import ProbeReport, judge_product, probe
from bucketry.store.probe.races import MEET_SECONDS, WRITERS, race_to_create, race_to_replace
from servers.hasty import run_hasty
from store.noting import NotingStore
from store.s3_stores import open_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bucketry.store.contract import Body, Condition, Folder, Part, Store
    from bucketry.store.probe.checks import Promise
    from servers.process import S3Server


FIRST_WRITES = ("race-create", "register", "0-", "%20\u6a21\u578b#b?c&d=e", "artifact")
MOST_REQUESTS = 87
"""Of a probe; `init` has three more: registry.json is read, found to be new by a listing, and written."""


def now() -> datetime:
    return datetime.now(UTC)


def run(store: Store) -> ProbeReport:
    return probe(store, clock=Clock(), scratch_prefix=f"probe/{uuid4()}/")


def broken_by(store: Store) -> dict[str, str]:
    found = run(store)
    assert not found.passed
    return {check.name: check.detail for check in found.failures}


def test_the_reference_store_passes_and_nothing_is_left() -> None:
    store = MemoryStore()
    found = run(store)
    assert [check for check in found.checks if not check.passed] == []
    assert found.passed
    assert found.failures == ()
    assert found.endpoint == store.endpoint
    assert list(store.list("")) == []
    assert list(store.list_uploads("")) == []


def test_a_folder_passes_and_nothing_is_left(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, durable=False)
    assert run(store).failures == ()
    assert list(store.list("")) == []


def test_seaweedfs_passes_and_nothing_is_left(weed: S3Server) -> None:
    with open_s3(weed, "probed") as store:
        found = run(store)
        assert found.failures == ()
        assert found.server_product.startswith("SeaweedFS")
        assert found.endpoint == weed.endpoint_url
        assert found.clock_skew_seconds is not None
        assert abs(found.clock_skew_seconds) < 5
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []


def test_rclone_is_refused_with_a_sentence(rclone: S3Server) -> None:
    with open_s3(rclone, "probed") as store:
        broken = broken_by(store)
        assert broken["create once"] == (
            "the store accepted a second create-only write: concurrent publishers would overwrite each other"
        )
        assert "concurrent commits would be lost" in broken["stale write"]
        assert "a deleted one would come back" in broken["replace nothing"]
        assert "were told that they had won" in broken["race to create"]


def test_everything_happens_below_one_scratch_folder() -> None:
    class Watching(MemoryStore):
        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            keys.add(key)
            return super().put(key, body, condition)

    keys: set[str] = set()
    probe(Watching(), clock=Clock(), scratch_prefix="probe/7/")
    assert keys
    assert all(key.startswith("probe/7/") for key in keys)


class Overtaken:
    """Lets one of those who write at once come last, if at all; what is written before they do is left alone."""

    def __init__(self, store: Store) -> None:
        self.calls_before = 0
        self._store = store
        self._lock = Lock()
        self._is_one_late = False

    def be_late(self) -> None:
        raise NotImplementedError

    def get(self, key: str) -> Object:
        return self._store.get(key)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        if not isinstance(body, HeldBack):
            self.calls_before += 1
            return self._store.put(key, body, condition)
        with self._lock:
            is_late, self._is_one_late = not self._is_one_late, True
        if is_late:
            self.be_late()
        return self._store.put(key, body, condition)


def until(is_so: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_so()


class Forgetful(MemoryStore):
    """Accepts If-Match and ignores it."""

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        return super().put(key, body, Unconditional() if isinstance(condition, IfMatch) else condition)


class Careless(MemoryStore):
    """Refuses a second create-only write, and carries it out."""

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        try:
            return super().put(key, body, condition)
        except PreconditionFailedError:
            super().put(key, body, Unconditional())
            raise


class Mixing(MemoryStore):
    """Serves ranges of whatever object is there now."""

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[Any]:
        del etag
        with super().open_range(key, start, stop, etag=self.stat(key).etag) as stream:
            yield stream


class Replacing(MemoryStore):
    """Lets a multipart upload replace an object."""

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        self.delete(key)
        super().complete_upload(key, upload, parts)


class Chatty(MemoryStore):
    """Never says "not modified"."""

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        del unless
        return super().get(key)


class Sleepy(MemoryStore):
    """Says "not modified" whatever happened."""

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        if unless is not None:
            raise NotModifiedError(key)
        return super().get(key)


class Blind(MemoryStore):
    """Lists nothing that is new."""

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        del prefix, delimiter
        yield from ()


class Spelling(MemoryStore):
    """Treats a plus sign as a space."""

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        return super().put(key.replace("+", " "), body, condition)

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        return super().get(key.replace("+", " "), unless=unless)


class Losing(MemoryStore):
    """Acknowledges replacements that it does not keep."""

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        if isinstance(condition, IfMatch) and self.get(key).etag == condition.etag:
            return ETag("another")
        return super().put(key, body, condition)


class Undead(MemoryStore):
    """Deletes nothing."""

    def delete(self, key: str) -> None:
        del key


class Surprising(MemoryStore):
    """Has a bug of its own."""

    def stat(self, key: str) -> Entry:
        raise ZeroDivisionError(key)


@pytest.mark.parametrize(
    ("store", "check", "words"),
    [
        (Forgetful(), "stale write", "concurrent commits would be lost"),
        (Forgetful(), "replace nothing", "a deleted one would come back"),
        (Forgetful(), "race to replace", "acknowledged commits would be lost"),
        (Careless(), "create once", "but carried it out"),
        (Careless(), "stale write", "but carried it out"),
        (Careless(), "replace nothing", "but created the object"),
        (Mixing(), "ranges", "a download would mix two objects"),
        (Replacing(), "upload", "its bytes could change"),
        (Chatty(), "poll", "every poll would cost a download"),
        (Sleepy(), "poll", "servers would miss it"),
        (Blind(), "list after write", "not complete"),
        (Spelling(), "odd keys", "does not fit"),
        (Losing(), "read after write", "shows an older state"),
        (Undead(), "read after write", "can still be read"),
        (Surprising(), "etags", "ZeroDivisionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_broken_promise_is_named(store: Store, check: str, words: str) -> None:
    assert words in broken_by(store)[check]


@pytest.mark.parametrize("error", [DeniedError("no"), UnavailableError("down"), NotFoundError("There is no bucket")])
def test_what_says_nothing_about_the_store_is_raised(error: Exception) -> None:
    class Failing(MemoryStore):
        def stat(self, key: str) -> Entry:
            del key
            raise error

    store = Failing()
    with pytest.raises(type(error)):
        run(store)
    assert list(store.list("")) == []


def test_an_object_that_is_not_there_is_a_broken_promise_and_not_a_missing_bucket() -> None:
    class Losing404(MemoryStore):
        def stat(self, key: str) -> Entry:
            raise ObjectNotFoundError(key)

    assert "does not fit" in broken_by(Losing404())["etags"]


def test_a_lost_reply_in_a_race_is_not_held_against_the_store() -> None:
    class Flaky(MemoryStore):
        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            etag = super().put(key, body, condition)
            if "race-create" in key:
                raise UnavailableError("the reply was lost")
            return etag

    with pytest.raises(UnavailableError, match="the reply was lost"):
        run(Flaky())


def test_a_store_that_may_not_delete_passes_with_a_warning() -> None:
    class Writer(MemoryStore):
        deletes = 0

        def delete(self, key: str) -> None:
            if key.endswith(("register", "2-xx")):
                super().delete(key)
                return
            raise DeniedError("deleting is not allowed")

    found = run(Writer())
    assert found.passed
    (check,) = [check for check in found.checks if check.name == "clean-up"]
    assert check.detail.startswith("warning:")


@pytest.mark.parametrize(("hours", "words"), [(-2, "7200 s ahead of"), (2, "7200 s behind")])
def test_a_wrong_clock_is_a_warning_with_its_seconds(hours: int, words: str) -> None:
    found = probe(
        MemoryStore(), clock=Clock(now=lambda: now() + timedelta(hours=hours)), scratch_prefix=f"probe/{uuid4()}/"
    )
    assert found.passed
    (check,) = [check for check in found.checks if check.name == "clock"]
    assert words in check.detail
    assert found.clock_skew_seconds == pytest.approx(-hours * 3600, abs=5)


@pytest.mark.parametrize(
    ("product", "safe"),
    [
        ("SeaweedFS 30GB 4.16", False),
        ("SeaweedFS 30GB 3.97", False),
        ("SeaweedFS 8000GB 4.48", True),
        ("SeaweedFS 30GB 4.18", True),
        ("SeaweedFS 30GB 10.1 abc", True),
        ("SeaweedFS", True),
        ("AmazonS3", True),
        ("", True),
    ],
)
def test_versions_known_to_be_unsafe_are_refused_whatever_a_race_shows(product: str, *, safe: bool) -> None:
    check = judge_product(product)
    assert check.passed is safe
    if not safe:
        assert "all win" in check.detail

    class Named(MemoryStore):
        server_product = product

    assert run(Named()).passed is safe


@pytest.mark.parametrize(
    ("store", "broken"),
    [
        (Forgetful(), {"stale write", "replace nothing", "race to replace"}),
        (Careless(), {"create once", "stale write", "replace nothing", "race to create", "race to replace"}),
        (Mixing(), {"ranges"}),
        (Replacing(), {"upload"}),
        (Chatty(), {"poll"}),
        (Spelling(), {"odd keys"}),
        (Undead(), {"read after write", "list after write"}),
        (Surprising(), {"etags"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_promise_that_is_broken_makes_no_other_look_broken(store: Store, broken: set[str]) -> None:
    assert set(broken_by(store)) == broken
    assert list(store.list("")) == [] or isinstance(store, Undead)


def test_a_probe_is_a_bounded_number_of_requests() -> None:
    noting = NotingStore(MemoryStore())
    assert run(cast("Store", noting)).passed
    assert len(noting.requests) <= MOST_REQUESTS
    assert noting.requests.count("put probe") >= 2 * WRITERS


@pytest.mark.parametrize("race", [race_to_create, race_to_replace], ids=lambda race: race.name)
def test_no_writer_of_a_race_is_complete_before_the_last_one_is_there(
    monkeypatch: pytest.MonkeyPatch, race: Promise
) -> None:
    monkeypatch.setattr(races, "MEET_SECONDS", 60.0)
    complete: list[int] = []
    with run_hasty(window_seconds=0.0) as hasty, open_s3(hasty.server) as store:

        class OneLate(Overtaken):
            def be_late(self) -> None:
                others = self.calls_before + WRITERS - 1
                assert until(lambda: hasty.begun == others)
                complete.append(hasty.whole - self.calls_before)

        subject = Subject(Scratch(cast("Store", OneLate(store)), "probe/", now), "raced")
        with suppress(BrokenPromiseError):  # which it breaks, but that is chance
            race.check(subject)
    assert complete == [0]


def test_a_writer_of_a_race_who_cannot_connect_is_not_waited_for() -> None:
    with run_hasty(window_seconds=0.0) as hasty, open_s3(hasty.server) as store:

        class OneLost(Overtaken):
            def be_late(self) -> None:
                assert until(lambda: hasty.begun == WRITERS - 1)
                raise UnavailableError("no route")

        began = time.monotonic()
        with pytest.raises((UnavailableError, BrokenPromiseError)):
            race_to_create.check(Subject(Scratch(cast("Store", OneLost(store)), "probe/", now), "raced"))
        assert time.monotonic() - began < MEET_SECONDS


def test_a_key_is_created_only_once_in_the_whole_probe() -> None:
    """Those who share an object know what is there; an object on which a promise was broken is left alone."""

    class Counting(MemoryStore):
        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            etag = super().put(key, body, condition)
            if isinstance(condition, IfAbsent):
                created.append(key)
            return etag

    created: list[str] = []
    assert run(Counting()).passed
    assert len(created) == len(set(created))


@pytest.mark.parametrize("method", ["put", "put_blob", "get", "stat", "start_upload", "complete_upload", "delete"])
def test_a_store_that_was_away_for_a_moment_is_asked_again_and_not_condemned(method: str) -> None:
    class Stumbling(MemoryStore):
        calls = 0

    def stumble(self: Stumbling, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise UnavailableError("503, slow down")
        return getattr(MemoryStore, method)(self, *arguments, **named)

    setattr(Stumbling, method, stumble)
    slept: list[float] = []
    store = Stumbling()
    found = probe(store, scratch_prefix="probe/7/", clock=Clock(sleep=slept.append))
    assert found.passed
    assert 0 < sum(slept) < 5


def test_a_store_that_stays_away_is_away_and_not_condemned() -> None:
    class Away(MemoryStore):
        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            raise UnavailableError(f"503, slow down: {key}, {len(body)}, {condition}")

    with pytest.raises(UnavailableError, match="503"):
        probe(Away(), scratch_prefix="probe/7/", clock=Clock(sleep=lambda _: None))


def test_the_promises_are_tried_at_once_and_told_as_they_are_found() -> None:
    told: list[tuple[int, int]] = []
    found = probe(MemoryStore(), clock=Clock(), scratch_prefix="probe/7/", on_check=lambda *step: told.append(step))
    total = len(found.checks)
    assert told == [*((done, total) for done in range(1, total - 2)), (total, total)]
    assert [check.name for check in found.checks][:2] == ["create once", "create an artifact once"]
    together, begun = Barrier(len(FIRST_WRITES)), set[str]()

    def meet(key: str) -> None:
        if key.endswith(FIRST_WRITES) and key not in begun:
            begun.add(key)
            together.wait(10)  # one after the other, they would never meet

    class Slow(MemoryStore):
        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            meet(key)
            return super().put(key, body, condition)

        def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
            meet(key)
            return super().put_blob(key, body, sha256=sha256)

        def start_upload(self, key: str) -> str:
            meet(key)
            return super().start_upload(key)

    assert run(Slow()).passed
