"""Does a pull end with the same bytes, or with one clear line and nothing half there, whatever the network does?

Each fault comes once, or a few times, and is survived; then it comes always, and is told. The next pull converges.
"""

from __future__ import annotations

import gzip
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.scene import (
    CHUNK_BYTES,
    CONTENTS,
    SIZE_BYTES,
    STALL_SECONDS,
    is_of_blobs,
    is_of_config,
    is_of_weights,
    range_of,
)
from servers.fault_proxy import Changed, Ended, Refused, Reset, Stalled, Trickled, always, times
from servers.misbehaving import Answer, Asked, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.scene import Scene
    from servers.fault_proxy import Fault


def flipped(answer: Answer) -> Answer:
    """Damage one byte on the way."""
    middle = len(answer.body) // 2
    damaged = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1 :]
    return replace(answer, body=damaged)


def gzipped(answer: Answer) -> Answer:
    """Compress a reply, as a proxy does that means well."""
    body = gzip.compress(answer.body)
    return replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"}, body=body, announced_bytes=len(body))


def shifted(answer: Answer) -> Answer:
    """Say, and send, another range than the one that was asked for."""
    size_bytes = len(answer.body)
    said = {**answer.headers, "Content-Range": f"bytes 1-{size_bytes}/{len(CONTENTS['sub/weights.bin'])}"}
    return replace(answer, headers=said)


def whole(answer: Answer) -> Answer:
    """Ignore that a range was asked for."""
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Range"}
    body = CONTENTS["sub/weights.bin"]
    return Answer(200, headers, body)


INTERNAL = Refused(refusal(500, "InternalError"))
SLOW_DOWN = Refused(refusal(503, "SlowDown", Retry_After="1"))
TOO_MANY = Refused(refusal(429, "TooManyRequests"))

EACH_FAULT = [
    pytest.param(INTERNAL, 6, "500 InternalError", id="500"),
    pytest.param(SLOW_DOWN, 6, "fewer requests", id="503"),
    pytest.param(TOO_MANY, 6, "fewer requests", id="429"),
    pytest.param(Reset(0), 6, "connection broke", id="reset-before-the-body"),
    pytest.param(Ended(0), 6, "then the end", id="no-body"),
    pytest.param(Stalled(0), 6, "did not answer", id="stall-before-the-body"),
    pytest.param(Changed(flipped), 8, "does not have the digest that its version names", id="wrong-bytes"),
    pytest.param(Changed(whole), 6, "whole object", id="200-with-the-whole-body"),
    pytest.param(Changed(shifted), 6, "instead of bytes", id="wrong-content-range"),
    pytest.param(Changed(gzipped), 6, "gzip", id="gzip"),
]


@pytest.mark.parametrize(("fault", "exit_code", "words"), EACH_FAULT)
def test_a_fault_that_passes_is_survived(scene: Scene, fault: Fault, exit_code: int, words: str) -> None:
    del exit_code, words
    scene.breaks(times(1, is_of_weights, fault))
    assert scene.succeeds(read_timeout_seconds=STALL_SECONDS).fetched_bytes == SIZE_BYTES


@pytest.mark.parametrize(("fault", "exit_code", "words"), EACH_FAULT)
def test_a_fault_that_stays_is_one_clear_line(scene: Scene, fault: Fault, exit_code: int, words: str) -> None:
    scene.breaks(always(is_of_weights, fault))
    assert re.search(words, scene.fails(exit_code, read_timeout_seconds=STALL_SECONDS).message)
    scene.converges()


@pytest.mark.parametrize(
    "fault",
    [INTERNAL, Reset(3), Ended(3), Changed(flipped), Changed(gzipped)],
    ids=["500", "reset", "ended", "flipped", "gzipped"],
)
def test_a_fault_in_a_small_file_is_survived_too(scene: Scene, fault: Fault) -> None:
    scene.breaks(times(1, is_of_config, fault))
    scene.succeeds()


@pytest.mark.parametrize("kind", [Reset, Ended, Stalled])
@pytest.mark.parametrize("after_bytes", [1, 1_000, CHUNK_BYTES - 1])
def test_a_body_that_breaks_off_is_continued_where_it_broke(
    scene: Scene, kind: Callable[[int], Fault], after_bytes: int
) -> None:
    scene.breaks(times(3, is_of_weights, kind(after_bytes)))
    assert scene.succeeds(read_timeout_seconds=STALL_SECONDS).fetched_bytes == SIZE_BYTES
    starts = [found[0] for asked in scene.proxy.asked if is_of_weights(asked) and (found := range_of(asked))]
    assert sum(start % CHUNK_BYTES > 0 for start in starts) >= 1


def test_a_body_that_breaks_off_always_but_brings_something_is_read_to_its_end(scene: Scene) -> None:
    scene.breaks(always(is_of_weights, Ended(20_000)))
    scene.succeeds()


def test_the_time_to_wait_that_the_store_names_is_kept(scene: Scene) -> None:
    moments: list[float] = []

    def script(asked: Asked) -> Fault | None:
        if not is_of_config(asked):
            return None
        moments.append(time.monotonic())
        return SLOW_DOWN if len(moments) == 1 else None

    scene.breaks(script)
    scene.succeeds()
    assert moments[1] - moments[0] >= 1.0


def test_one_byte_in_a_while_is_slow_but_it_is_an_answer(scene: Scene) -> None:
    scene.breaks(always(is_of_config, Trickled(20)))
    started_at = time.monotonic()
    scene.succeeds()
    assert time.monotonic() - started_at > 0.5


def test_one_byte_per_second_is_asked_for_again_where_patience_is_shorter(scene: Scene) -> None:
    scene.breaks(times(2, is_of_weights, Trickled(1)))
    assert scene.succeeds(read_timeout_seconds=STALL_SECONDS).fetched_bytes == SIZE_BYTES


def test_wrong_bytes_are_read_once_more_and_never_put_in_place(scene: Scene) -> None:
    scene.breaks(always(is_of_blobs, Changed(lambda answer: flipped(answer) if answer.body else answer)))
    scene.fails(8)
    asked = [range_of(asked) for asked in scene.proxy.asked if is_of_blobs(asked)]
    assert max(asked.count(one) for one in asked) == 2
    scene.converges()


def test_the_chunks_before_a_failure_are_not_fetched_again(scene: Scene) -> None:
    last_start = len(CONTENTS["sub/weights.bin"]) // CHUNK_BYTES * CHUNK_BYTES
    scene.breaks(always(lambda asked: (range_of(asked) or (0, 0))[0] >= last_start, INTERNAL))
    scene.fails(6)
    assert scene.converges().fetched_bytes < CHUNK_BYTES
