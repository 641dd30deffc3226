"""Do the transfers' keys ask the worker for what they say, and does every screen tell what moves?"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import RejectedError, UnavailableError
from bucketry.jobs import client as jobs
from bucketry.jobs.client import Job, JobId, JobState
from bucketry.schema.text import displayable
from bucketry.show.transfers import block_lines
from bucketry.tui.screens.transfers import parse_limit
from tui.carrying import busy_jobs, job, order, progress, publish_order, published, result, sent, stand_in, upload_jobs
from tui.desk import HOSTILE, XTERM, Registry, Wire, check_snapshot, filled_registry, open_desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bucketry.store.contract import Store
    from bucketry.transfer.plan import TransferOptions
    from tui.carrying import Worker
    from tui.desk import Desk

NARROW, WIDE = (80, 24), (140, 40)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return filled_registry()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Worker:
    for name in ("TMUX", "DISPLAY", "WAYLAND_DISPLAY", "PAGER"):
        monkeypatch.delenv(name, raising=False)
    return stand_in(monkeypatch, tmp_path)


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


def options(worker: Worker, number: int = 1) -> TransferOptions:
    return next(job.order.options for job in worker.jobs if job.id == number)


def test_every_screen_says_how_much_moves_and_how_fast(registry: Registry, worker: Worker) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        assert "2 transfers 812 MB/s" in desk.top
        await desk.press("G", "enter")
        assert "2 transfers 812 MB/s" in desk.top
        await desk.press("t")
        assert "2 active  1 queued  worker pid 4121" in desk.top
        assert "2 transfers 812" not in desk.top  # the screen itself says more
        await desk.press("t", "h")
        assert "credit-risk > versio" in desk.top

    on(registry, act)


def test_a_transfer_is_paused_and_goes_on_by_the_same_key(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)

    async def act(desk: Desk) -> None:
        await desk.press("t", "p")
        assert "credit-risk:486 is paused" in desk.notice
        assert "paused   p lets it go on" in desk.text
        await desk.press("p")
        assert "credit-risk:486 goes on" in desk.notice
        await desk.press("at")
        assert "transfers pause 1" in desk.text

    on(registry, act)
    assert worker.asked == [("pause", 1), ("resume", 1)]


def test_a_transfer_is_cancelled_only_with_a_second_key(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)

    async def act(desk: Desk) -> None:
        await desk.press("t", "c", "j")
        assert worker.asked == []
        await desk.press("c", "n")
        assert worker.asked == []
        await desk.press("c")
        assert "remove what it fetched" in desk.notice
        await desk.press("y")
        assert "is cancelled" in desk.notice

    on(registry, act)
    assert worker.asked == [("cancel", 1)]


def test_requests_are_doubled_and_halved_and_stay_in_bounds(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.RUNNING, order(connections=16), progress=progress()),)

    async def act(desk: Desk) -> None:
        await desk.press("t", "plus")
        assert options(worker).connections == 32
        await desk.press("plus", "plus")
        assert "64 requests at once is as far as it goes" in desk.notice
        await desk.press(*["minus"] * 7)
        assert "1 request at once is as far as it goes" in desk.notice

    on(registry, act)
    assert [asked[2] for asked in worker.asked] == [32, 64, 32, 16, 8, 4, 2, 1]


def test_a_limit_is_asked_for_in_megabytes_and_taken_away_by_none(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)

    async def act(desk: Desk) -> None:
        await desk.press("t", "L")
        await desk.type("fast")
        assert "a number above 0, or none" in desk.notice
        await desk.press("enter", "ctrl+u")
        assert worker.asked == []
        await desk.type("12.5")
        await desk.press("enter")
        assert options(worker).limit_bytes_per_second == 12_500_000
        assert "limit 12.5 MB/s" in desk.text
        await desk.press("L", "ctrl+u")
        await desk.type("none")
        await desk.press("enter")

    on(registry, act)
    assert options(worker).limit_bytes_per_second is None


def test_what_failed_is_tried_again_and_what_arrived_is_verified_again(registry: Registry, worker: Worker) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        await desk.press("t", "r")
        assert "not now, this transfer is running" in desk.notice
        await desk.press("V")
        assert "not now, this transfer is running" in desk.notice
        await desk.press("G", "k", "k", "r")
        await desk.wait(0.1)
        assert ("retry", 2) in worker.asked
        await desk.press("G", "k", "V")
        assert ("verify_again", 1) in worker.asked
        assert "is hashed again" in desk.notice
        await desk.press("p")

    on(registry, act)


def test_while_the_worker_has_not_answered_no_other_key_reaches_the_transfer(
    registry: Registry, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)
    answers = threading.Event()

    def pause(job_id: JobId) -> Job:
        answers.wait(10)
        return worker.turn("pause", job_id, JobState.PAUSED)

    async def act(desk: Desk) -> None:
        await desk.press("t")
        monkeypatch.setattr(jobs, "pause", pause)
        await desk.press_only("p", "p")
        assert "has not yet answered" in desk.notice
        answers.set()
        await desk.settle()

    on(registry, act)
    assert worker.asked == [("pause", 1)]


def test_a_refusal_of_the_worker_is_told(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.PAUSED, progress=progress()),)

    async def act(desk: Desk) -> None:
        await desk.press("t")
        worker.fault = RejectedError("transfer 9 to the same folder has not ended", advice="wait for it")
        await desk.press("p")
        assert "transfer 9 to the same folder has not ended; wait for it" in desk.notice
        worker.fault = None
        await desk.press("p")
        assert "goes on" in desk.notice

    on(registry, act)


def test_the_path_is_copied(registry: Registry, worker: Worker) -> None:
    cached = replace(order(), dest=None)
    worker.jobs = (
        job(1, JobState.DONE, ended_at="2026-11-22T14:00:00Z", result=result()),
        job(2, JobState.RUNNING, cached),
    )

    async def act(desk: Desk) -> None:
        await desk.press("t", "y")
        assert "it goes to the cache" in desk.notice
        await desk.press("G", "y")
        assert "/data/models/credit-risk/v484" in desk.notice

    on(registry, act)


def test_a_download_is_ordered_with_the_folder_that_was_used_last(registry: Registry, worker: Worker) -> None:
    async def act(desk: Desk) -> None:
        desk.app.transfers.last_folder = "/data"
        await desk.press("G", "enter", "d")
        assert "get credit-risk:12 to: /data/credit-risk/v12" in desk.notice
        await desk.press("ctrl+u")
        await desk.type("/srv/models/credit-risk/v12")
        await desk.press("enter")
        assert "transfer 1: credit-risk:12 to /srv/models/credit-risk/v12; t shows how far it is" in desk.notice
        assert "1 transfer 812 MB/s" in desk.top
        await desk.press("enter", "d")
        assert "/srv/models/credit-risk/v12" in desk.notice
        await desk.press("ctrl+u", "enter")

    on(registry, act, read_only=True)  # nothing of it writes to the registry
    where = Path("/srv/models/credit-risk/v12")
    assert worker.asked == [("submit", None, "credit-risk:12", where), ("submit", None, "credit-risk:12", None)]


def test_of_a_rejected_version_the_panel_and_the_order_say_so(registry: Registry, worker: Worker) -> None:
    worker.refused = "credit-risk version 10, which rev1@example.org rejected: slow"

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "j", "j", "d")
        assert "version 10 is REJECTED; by its number it comes all the same" in desk.text
        await desk.press("enter")
        assert "this is credit-risk version 10, which rev1@example.org rejected: slow" in desk.notice

    on(registry, act)


def test_a_folder_is_completed_and_what_is_in_the_way_is_told(
    registry: Registry, worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "mode").touch()

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "d", "ctrl+u")
        await desk.type(f"{tmp_path}/mo")
        await desk.press("tab")
        assert desk.notice.endswith("/models/")
        worker.fault = RejectedError("it holds other files", advice="choose another")
        await desk.press("enter")
        assert "it holds other files; choose another" in desk.notice

    on(registry, act)


def test_the_end_of_a_transfer_is_told_on_any_screen(registry: Registry, worker: Worker) -> None:
    worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)

    async def act(desk: Desk) -> None:
        worker.jobs = (job(1, JobState.DONE, ended_at="2026-11-22T14:00:00Z", result=result()),)
        await desk.wait_for("credit-risk:484 has arrived at /data/models/credit-risk/v484")
        assert "MB/s" not in desk.top

    on(registry, act)


def test_a_worker_with_nothing_to_do_is_left_alone_so_that_it_can_end(
    registry: Registry, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.jobs = (job(1, JobState.PAUSED, progress=progress()),)
    asked: list[int] = []
    looks: list[int] = []
    log_path = jobs.log_path

    def list_jobs() -> tuple[Job, ...]:
        asked.append(1)
        return worker.jobs

    def log_path_of_a_look() -> Path:
        looks.append(1)
        return log_path()

    monkeypatch.setattr(jobs, "list_jobs", list_jobs)
    monkeypatch.setattr(jobs, "log_path", log_path_of_a_look)

    async def act(desk: Desk) -> None:
        await desk.wait_until(lambda: len(looks) > 2)
        assert len(asked) == 1
        (jobs.log_path().parent / "job-1.json").touch()  # somebody else had it resumed
        worker.jobs = (job(1, JobState.RUNNING, progress=progress()),)
        await desk.wait_for("1 transfer")
        seen = len(asked)
        await desk.wait_until(lambda: len(asked) > seen)

    on(registry, act)


def test_the_last_transfers_stay_when_the_worker_cannot_be_asked(registry: Registry, worker: Worker) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        await desk.press("t")
        worker.fault = UnavailableError("the transfer worker does not answer")
        await desk.wait_for("the transfer worker does not answer")
        await desk.settle()
        check_snapshot("transfers-failing-80x24", desk.text)

    on(registry, act)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("transfers", ()),
        ("transfers-open", ("enter",)),
        ("transfers-end", ("G", "k", "k", "enter")),
        ("transfers-cancel", ("c",)),
        ("transfers-limit", ("L",)),
    ],
)
def test_the_transfers_look_as_they_did(
    registry: Registry, worker: Worker, name: str, keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        await desk.press("t", *keys)
        check_snapshot(f"{name}-{size[0]}x{size[1]}", desk.text)

    on(registry, act, size=size)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(("name", "keys"), [("uploads", ()), ("uploads-open", ("j", "enter"))])
def test_uploads_look_as_they_did(
    registry: Registry, worker: Worker, name: str, keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    worker.jobs = upload_jobs()

    async def act(desk: Desk) -> None:
        await desk.press("t", *keys)
        check_snapshot(f"transfers-{name}-{size[0]}x{size[1]}", desk.text)

    on(registry, act, size=size)


def test_an_upload_is_cancelled_with_what_it_sent_kept_and_never_hashed_again(
    registry: Registry, worker: Worker
) -> None:
    worker.jobs = (
        job(1, JobState.RUNNING, publish_order(), progress=sent()),
        job(2, JobState.DONE, publish_order(), ended_at="2026-11-22T14:02:00.000Z", result=published()),
    )

    async def act(desk: Desk) -> None:
        await desk.press("t", "c")
        assert "cancel a new version of vision-ocr and keep what it sent for a week" in desk.notice
        await desk.press("y")
        assert "what it had sent is kept for a week" in desk.text
        await desk.press("g", "V")
        assert "not now, what a publish sent was verified as it was sent" in desk.notice

    on(registry, act)
    assert worker.asked == [("cancel", 1)]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_download_looks_as_it_did(registry: Registry, worker: Worker, size: tuple[int, int]) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        desk.app.transfers.last_folder = "/data"
        await desk.press("G", "enter", "d")
        check_snapshot(f"download-{size[0]}x{size[1]}", desk.text)

    on(registry, act, size=size)


def test_no_transfers_is_said_with_the_next_key(registry: Registry, worker: Worker) -> None:
    worker.pid = None

    async def act(desk: Desk) -> None:
        await desk.press("t")
        check_snapshot("transfers-empty-80x24", desk.text)
        await desk.press("p")
        assert "not now, there is no transfer" in desk.notice
        await desk.press("o")
        assert "No worker has done anything here yet." in desk.text

    on(registry, act)


def test_transfers_that_take_their_time_are_being_looked_at(
    registry: Registry, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(jobs, "list_jobs", lambda: (answers.wait(10), ())[1])

    async def act(desk: Desk) -> None:
        await desk.press_only("t")
        await desk.wait(0.8)
        check_snapshot("transfers-loading-80x24", desk.text)
        answers.set()

    on(registry, act, rests=False)
    assert worker.asked == []


def test_the_transfers_stand_where_the_bucket_cannot_be_reached_and_nothing_may_be_written(worker: Worker) -> None:
    worker.jobs = busy_jobs()
    registry = filled_registry()
    wire = registry.store = cast("Store", Wire(registry.store))
    wire.fault = UnavailableError("the bucket does not answer")  # type: ignore[attr-defined]

    async def act(desk: Desk) -> None:
        await desk.press("t")
        check_snapshot("transfers-offline-80x24", desk.text)
        await desk.press("p")
        assert "is paused" in desk.notice

    on(registry, act, read_only=True)


@pytest.mark.parametrize("keys", [("G", "enter", "d"), *(("t", key) for key in ("p", "c", "L", "V", "r", "+", "-"))])
def test_read_only_screens_in_a_browser_begin_and_steer_nothing_on_the_machine_that_serves_them(
    registry: Registry, worker: Worker, keys: tuple[str, ...]
) -> None:
    worker.jobs = busy_jobs()

    async def act(desk: Desk) -> None:
        await desk.press(*keys)
        assert "a browser begins and steers no transfer" in desk.notice

    on(registry, act, read_only=True, terminal=replace(XTERM, is_browser=True))
    assert worker.asked == []


def test_foreign_text_does_nothing(registry: Registry, worker: Worker) -> None:
    hostile = order(dest="/data/" + HOSTILE)
    known = [replace(given, order=replace(hostile, token="t")) for given in busy_jobs(HOSTILE)]
    active = progress()
    active = replace(active, active=tuple(replace(file, label=HOSTILE) for file in active.active))
    worker.jobs = tuple(replace(given, progress=active) if given.progress else given for given in known)
    jobs.log_path().write_bytes(HOSTILE.encode() + b"\xff\n")

    async def act(desk: Desk) -> None:
        for keys in (("t", "enter"), ("j", "enter", "j", "enter"), ("G", "enter", "k", "enter"), ("o",)):
            await desk.press(*keys)
            assert displayable(desk.text, newlines=True) == desk.text
            assert desk.app.is_running

    on(registry, act, size=WIDE)


def test_the_workers_log_is_shown_from_its_end(registry: Registry, worker: Worker) -> None:
    assert worker.pid
    jobs.log_path().write_text("".join(f"2026-11-22T14:00:00Z 4121 line {number}\n" for number in range(3_000)))

    async def act(desk: Desk) -> None:
        await desk.press("t", "o")
        assert "line 2999" in desk.text
        assert "line 100\n" not in desk.text
        await desk.press("g")
        assert "line 2999" not in desk.text

    on(registry, act)


@pytest.mark.parametrize(
    ("text", "meant"), [("200", 200_000_000), (" none ", None), ("", None), ("0", 0), ("-1", 0), ("inf", 0), ("nan", 0)]
)
def test_a_limit_is_a_number_above_zero_or_none(text: str, meant: int | None) -> None:
    assert parse_limit(text) == meant


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_no_line_of_a_transfer_is_wider_than_the_screen_and_paths_keep_their_end(width: int) -> None:
    given = job(1, JobState.RUNNING, order(dest="/data/" + "deep/" * 60 + "v486"), progress=progress())
    lines = block_lines(given, width, ahead=0, is_open=False, zone="utc")
    texts = ["".join(span.text for span in line) for line in lines]
    assert max(map(len, texts)) <= width
    assert "deep/v486" in texts[0]
