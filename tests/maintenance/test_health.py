"""Is what is measured of a registry what is so, and is nothing written for it?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bucketry.clock import Clock
from bucketry.errors import NotFoundError
from bucketry.maintenance.health import GETS, measure_health
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.session import Session
from bucketry.store.memory import MemoryStore

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_CACHE", "/no/such/cache")


def opened(*, ahead: timedelta = timedelta()) -> Session:
    session = Session(MemoryStore(clock=lambda: NOW + ahead), "ada", Clock(now=lambda: NOW))
    record_conformance(session, probe_store(session), create=True)
    return session


def test_the_time_of_a_read_is_the_middle_one_of_several() -> None:
    session = opened()
    seconds = itertools.accumulate(itertools.cycle((0.5, 0.010, 0.5, 0.090, 0.5, 0.020)), initial=0.0)
    session = replace(session, clock=replace(session.clock, monotonic_seconds=lambda: next(seconds)))
    health = measure_health(session)
    assert len(health.latencies_seconds) == GETS
    assert [round(each, 3) for each in health.latencies_seconds] == sorted(
        round(each, 3) for each in health.latencies_seconds
    )
    assert health.median_seconds == health.latencies_seconds[GETS // 2]


@pytest.mark.parametrize(("ahead", "is_wrong"), [(-61, True), (-59, False), (0, False), (59, False), (61, True)])
def test_the_clocks_may_differ_by_a_minute(ahead: int, *, is_wrong: bool) -> None:
    health = measure_health(opened(ahead=timedelta(seconds=ahead)))
    assert health.clock_skew_seconds == pytest.approx(ahead, abs=0.5)
    assert health.is_clock_wrong is is_wrong


def test_a_session_that_may_write_has_no_reason_against_it() -> None:
    session = opened()
    assert measure_health(session).write_refusal == ""
    assert "read-only" in measure_health(replace(session, read_only=True)).write_refusal


def test_a_probe_of_another_process_is_seen() -> None:
    session = opened()
    other = Session(session.store, "bob", Clock(now=lambda: NOW + timedelta(hours=1)))
    _ = session.registry
    record_conformance(other, probe_store(other))
    found = measure_health(session).document.find_conformance(session.store.endpoint)
    assert found is not None
    assert found.at.startswith("2026-11-22T15:00")
    assert session.registry.find_conformance(session.store.endpoint) == found


def test_what_is_no_registry_is_said_to_be_none() -> None:
    with pytest.raises(NotFoundError, match="there is no registry at memory:"):
        measure_health(Session(MemoryStore(), "ada"))
