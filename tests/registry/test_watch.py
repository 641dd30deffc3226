"""Does a watch see each move once, at the price of one conditional read for each look?"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.errors import CorruptError, NotFoundError, UnavailableError, UsageError
from bucketry.registry.core.opening import create_registry
from bucketry.registry.serving.watch import JITTER, watch
from bucketry.schema.names import parse_reference
from bucketry.store.contract import NotModifiedError
from registry.opened import ADA, CHAT, open_in, plant, publish
from servers.fault_proxy import Changed, run_fault_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.watch import WatchedMove
    from bucketry.store.contract import ETag, Object
    from servers.fault_proxy import Fault
    from servers.misbehaving import Answer, Asked
    from servers.process import S3Server

PRODUCTION = parse_reference(f"{CHAT}@production")
ALIAS = "aliases/acme/chat/production.json"
POLLS = 304


class EnoughError(Exception):
    """The watch has slept as often as the test lets it."""


class Script:
    """What happens during each pause between two looks; after the last, the watch is interrupted."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self.steps:
            raise EnoughError
        self.steps.pop(0)()


def nothing() -> None:
    """Let time pass."""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with open_in(tmp_path, monkeypatch) as opened:
        for number in (1, 2):
            publish(opened, tmp_path, CHAT, {"weights.bin": b"weights %d" % number})
        opened.promote(f"{CHAT}:1", "production")
        yield opened


def watched(
    session: Session, script: Script, *, chance: float = 0.5, interval_seconds: float = 30.0
) -> list[WatchedMove]:
    """Return every move that a watch yields until its script ends."""
    clock = replace(session.clock, sleep=script.sleep, chance=lambda: chance)
    moves = []
    watching = watch(replace(session, clock=clock), PRODUCTION, interval_seconds=interval_seconds)
    try:
        for move in watching:
            moves.append(move)  # noqa: PERF402 - what came before the interruption counts
    except EnoughError:
        return moves
    raise AssertionError("a watch ends only when it is interrupted")


def test_each_move_is_seen_once_and_a_refusal_is_one(registry: Registry) -> None:
    moves = watched(
        registry.session,
        Script(
            nothing,
            lambda: registry.promote(f"{CHAT}:2", "production"),
            nothing,
            lambda: registry.review(f"{CHAT}:2", "reject", comment="leaks"),
            nothing,
            lambda: registry.roll_back(CHAT, "production"),
            lambda: registry.unset(CHAT, "production"),
        ),
    )
    assert [(move.version, move.state) for move in moves] == [
        (1, "registered"),
        (2, "registered"),
        (2, "rejected"),
        (1, "registered"),
        (None, None),
    ]
    generations = [move.generation for move in moves]
    assert generations == sorted(set(generations))


def test_a_commit_that_moves_nothing_is_no_move(registry: Registry) -> None:
    # The refusal of another version touches the alias: its register changes, what it names does not.
    moves = watched(registry.session, Script(lambda: registry.review(f"{CHAT}:2", "reject", comment="worse"), nothing))
    assert [move.version for move in moves] == [1]


def test_polls_are_spread_around_the_interval(registry: Registry) -> None:
    for chance, factor in ((0.0, 1 - JITTER / 2), (0.5, 1.0), (0.999, 1 + JITTER / 2)):
        script = Script(nothing, nothing)
        watched(registry.session, script, chance=chance, interval_seconds=10.0)
        assert script.slept == pytest.approx([10.0 * factor] * 3, abs=0.01)


def test_a_store_that_is_away_is_waited_for(registry: Registry) -> None:
    store = registry.session.store
    away = [False, True, True, False, False]

    class Flaky:
        def get(self, key: str, *, unless: ETag | None = None) -> Object:
            if away.pop(0):
                raise UnavailableError("away")
            return store.get(key, unless=unless)

    script = Script(nothing, nothing, lambda: registry.promote(f"{CHAT}:2", "production"), nothing)
    moves = watched(replace(registry.session, store=Flaky()), script)  # type: ignore[arg-type]
    assert [move.version for move in moves] == [1, 2]


def test_a_generation_that_goes_back_is_corrupt(registry: Registry, tmp_path: Path) -> None:
    before = (tmp_path / "registry" / ALIAS).read_bytes()
    registry.promote(f"{CHAT}:2", "production")
    script = Script(lambda: plant(tmp_path / "registry", ALIAS, before), nothing)
    clock = replace(registry.session.clock, sleep=script.sleep)
    watching = watch(replace(registry.session, clock=clock), PRODUCTION)
    assert next(watching).version == 2
    with pytest.raises(CorruptError, match="went back"):
        next(watching)


def test_only_an_alias_that_is_there_can_be_watched(registry: Registry) -> None:
    with pytest.raises(UsageError, match="not an alias"):
        next(registry.watch(f"{CHAT}:1"))
    with pytest.raises(UsageError, match="above 0"):
        next(registry.watch(f"{CHAT}@production", interval_seconds=0))
    with pytest.raises(NotFoundError, match="not set"):
        next(registry.watch(f"{CHAT}@staging"))


def test_a_poll_of_a_real_server_is_one_conditional_get_answered_304(
    weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    answered: list[tuple[str, str, int]] = []

    def script(asked: Asked) -> Fault:
        def note(answer: Answer) -> Answer:
            answered.append((asked.method, asked.path.partition("?")[0], answer.status))
            return answer

        return Changed(note)

    with run_fault_proxy(weed) as proxy:
        for name, value in (
            ("AWS_ENDPOINT_URL_S3", proxy.server.endpoint_url),
            ("AWS_ACCESS_KEY_ID", weed.access_key),
            ("AWS_SECRET_ACCESS_KEY", weed.secret_key),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            monkeypatch.setenv(name, value)
        url = f"s3://{weed.bucket}/watched"
        create_registry(url, identity=ADA)
        with open_registry(url, identity=ADA) as registry:
            publish(registry, tmp_path, CHAT, {"weights.bin": b"weights"})
            registry.promote(f"{CHAT}:1", "production")
            proxy.script = script
            moves = watched(registry.session, Script(*[nothing] * POLLS))
    assert [move.version for move in moves] == [1]
    alias = f"/{weed.bucket}/watched/{ALIAS}"
    assert answered == [("GET", alias, 200), *[("GET", alias, 304)] * POLLS]


def test_a_reader_watches_through_the_client(registry: Registry) -> None:
    [first] = islice(registry.watch(f"{CHAT}@production"), 1)
    assert (str(first.model), first.alias, first.version) == (CHAT, "production", 1)


def test_an_unchanged_alias_is_not_read_again(registry: Registry) -> None:
    store = registry.session.store
    asked: list[ETag | None] = []

    class Asking:
        def get(self, key: str, *, unless: ETag | None = None) -> Object:
            asked.append(unless)
            return store.get(key, unless=unless)

    watched(replace(registry.session, store=Asking()), Script(nothing, nothing))  # type: ignore[arg-type]
    assert asked[0] is None
    assert len(set(asked[1:])) == 1
    with pytest.raises(NotModifiedError):
        store.get(ALIAS, unless=asked[1])
