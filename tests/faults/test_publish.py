"""Does a publish to a real server end in one whole version, or in one clear line and a registry that is as it was?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bucketry.transfer.disk import hashing
from faults.publishing import PART_BYTES, PARTS, is_commit, is_completion, is_part, is_small_blob, is_start, publishing
from servers.fault_proxy import Refused, Silent, Unanswered, always, times
from servers.misbehaving import Answer, Asked, refusal, run_misbehaving

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


def test_a_token_that_expires_in_the_middle_is_renewed_and_no_part_sent_twice(moto: S3Server, tmp_path: Path) -> None:
    refused: list[Asked] = []
    served: list[Asked] = []

    def script(asked: Asked) -> Fault | None:
        if not is_part(asked):
            return None
        if served and asked.headers["x-amz-security-token"] == "the-first-token":
            os.environ["AWS_SESSION_TOKEN"] = "the-second-token"  # as the scene's own, it is taken back
            refused.append(asked)
            return Refused(refusal(403, "ExpiredToken"))
        served.append(asked)
        return None

    with publishing(moto, tmp_path) as scene:
        scene.proxy.script = script
        assert scene.publish(token="the-first-token") == 1
        assert refused
        assert len(served) == len({asked.path for asked in served}) == PARTS
        scene.check()


@pytest.mark.parametrize("matches", [is_part, is_small_blob])
def test_a_token_that_nobody_renews_is_denied_and_the_next_publish_goes_on(
    scene: Publishing, matches: Callable[[Asked], bool]
) -> None:
    scene.proxy.script = always(matches, Refused(refusal(403, "ExpiredToken")))
    assert "ExpiredToken" in scene.fails(7).message
    scene.converges()


@pytest.mark.parametrize("matches", [is_part, is_small_blob, is_commit])
def test_a_redirect_to_another_host_is_refused(scene: Publishing, matches: Callable[[Asked], bool]) -> None:
    with run_misbehaving(lambda _: Answer(200, {"ETag": '"e"'})) as other:
        elsewhere = refusal(307, "TemporaryRedirect", Location=f"{other.server.endpoint_url}/registry/x")
        scene.proxy.script = always(matches, Refused(elsewhere))
        scene.fails(2)
        assert other.asked == []
    scene.converges()
