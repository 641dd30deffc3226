"""Does a publish to a real server end in one whole version, or in one clear line and a registry that is as it was?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.transfer import hashing
from faults.publishing import PART_BYTES, is_commit, is_completion, is_part, is_small_blob, is_start, publishing
from servers.fault_proxy import Refused, Silent, Unanswered, always, times
from servers.misbehaving import Asked, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.publishing import Publishing
    from servers.fault_proxy import Fault
    from servers.process import S3Server


@pytest.fixture(autouse=True)
def _small_parts(_own_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", PART_BYTES)


@pytest.fixture
def scene(weed: S3Server, tmp_path: Path) -> Iterator[Publishing]:
    with publishing(weed, tmp_path) as scene:
        yield scene


@pytest.mark.parametrize("matches", [is_part, is_small_blob, is_start, is_completion, is_commit])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Refused(refusal(500, "InternalError")), id="500"),
        pytest.param(Refused(refusal(503, "SlowDown", Retry_After="1")), id="503"),
        pytest.param(Unanswered(), id="reply-lost"),
        pytest.param(Silent(), id="silence"),
    ],
)
def test_a_fault_that_passes_is_survived(scene: Publishing, matches: Callable[[Asked], bool], fault: Fault) -> None:
    scene.proxy.script = times(1, matches, fault)
    assert scene.publish(read_timeout_seconds=1.0) == 1
    assert sum(map(matches, scene.proxy.asked)) >= 1
    scene.check()


@pytest.mark.parametrize("matches", [is_part, is_small_blob, is_start, is_completion])
@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        pytest.param(Refused(refusal(500, "InternalError")), 6, id="500"),
        pytest.param(Refused(refusal(403, "AccessDenied")), 7, id="denied"),
    ],
)
def test_a_fault_that_stays_is_one_clear_line(
    scene: Publishing, matches: Callable[[Asked], bool], fault: Fault, exit_code: int
) -> None:
    scene.proxy.script = always(matches, fault)
    scene.fails(exit_code, read_timeout_seconds=1.0)
    scene.converges()
