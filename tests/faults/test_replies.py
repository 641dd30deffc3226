"""Are the answers that need more than another try understood: who may, where, when, and which object it is?"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.core.resolve import resolve
from bucketry.schema.names import parse_reference
from bucketry.store.contract import IfAbsent
from faults.scene import CHUNK_BYTES, CONTENTS, REFERENCE, SIZE_BYTES, is_of_blobs, is_of_weights, range_of
from servers.fault_proxy import Changed, Refused, Reset, always, times
from servers.misbehaving import Answer, Asked, refusal, run_misbehaving

if TYPE_CHECKING:
    from faults.scene import Scene
    from servers.fault_proxy import Fault

EXPIRED = Refused(refusal(403, "ExpiredToken", "The provided token has expired."))
WEIGHTS_CHUNKS = -(-len(CONTENTS["sub/weights.bin"]) // CHUNK_BYTES)


def key_of_weights(scene: Scene) -> str:
    """Return where the bytes of the large file lie."""
    with scene.opened() as session:
        return resolve(session, parse_reference(REFERENCE)).blob_keys()["sub/weights.bin"]


def test_a_token_that_expires_in_the_middle_is_renewed_and_every_chunk_fetched_once(scene: Scene) -> None:
    renewals: list[str] = []
    served = 0

    def script(asked: Asked) -> Fault | None:
        nonlocal served
        if not is_of_weights(asked):
            return None
        if asked.headers.get("x-amz-security-token") == "the-first-token":
            if served >= 3:
                os.environ["AWS_SESSION_TOKEN"] = "the-second-token"  # as the scene's own, it is taken back
                renewals.append("refused")
                return EXPIRED
            served += 1
        return None

    scene.breaks(script)
    pulled = scene.succeeds(token="the-first-token")
    assert 1 <= len(renewals) <= scene.options.connections
    assert pulled.fetched_bytes == SIZE_BYTES
    ranges = [range_of(asked) for asked in scene.proxy.asked if is_of_weights(asked)]
    assert len(ranges) == WEIGHTS_CHUNKS + len(renewals)


def test_a_token_that_nobody_renews_is_denied_and_the_chunks_are_kept(scene: Scene) -> None:
    served = 0

    def script(asked: Asked) -> Fault | None:
        nonlocal served
        if is_of_weights(asked):
            served += 1
        return EXPIRED if served > 4 and is_of_weights(asked) else None

    scene.breaks(script)
    error = scene.fails(7, token="the-first-token")
    assert "ExpiredToken" in error.message
    assert "the-first-token" not in f"{error.message} {error.advice}"
    assert served <= 4 + 2 * scene.options.connections
    assert scene.converges().fetched_bytes < SIZE_BYTES


def test_a_denial_in_the_middle_is_told_at_once(scene: Scene) -> None:
    scene.breaks(always(is_of_weights, Refused(refusal(403, "AccessDenied"))))
    scene.fails(7)
    assert sum(map(is_of_weights, scene.proxy.asked)) <= 2 * scene.options.connections
    scene.converges()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_refused(scene: Scene, status: int) -> None:
    with run_misbehaving(lambda _: Answer(200, {"ETag": '"e"'}, b"not the same")) as other:
        elsewhere = refusal(status, "TemporaryRedirect", Location=f"{other.server.endpoint_url}/registry/x")
        scene.breaks(always(is_of_blobs, Refused(elsewhere)))
        error = scene.fails(2)
        assert other.asked == []
    assert "another endpoint" in error.message
    scene.converges()


def test_an_object_that_is_replaced_between_two_ranges_is_never_mixed_with_the_first(scene: Scene) -> None:
    key = key_of_weights(scene)
    other = bytes(reversed(CONTENTS["sub/weights.bin"]))
    served = 0

    def script(asked: Asked) -> Fault | None:
        nonlocal served
        if is_of_weights(asked):
            served += 1
            if served == 3:
                scene.memory.delete(key)
                scene.memory.put(key, other, IfAbsent())
        return None

    scene.breaks(script)
    assert "was replaced in the store" in scene.fails(8).message
    scene.memory.delete(key)
    scene.memory.put(key, CONTENTS["sub/weights.bin"], IfAbsent())
    scene.converges()


def test_an_object_that_is_replaced_by_itself_ends_the_pull_and_loses_nothing(scene: Scene) -> None:
    # The ETag changes and the bytes do not: nobody can know that before they are read again.
    key = key_of_weights(scene)

    def replace_it(answer: Answer) -> Answer:
        scene.memory.delete(key)
        scene.memory.put(key, CONTENTS["sub/weights.bin"], IfAbsent())
        return answer

    scene.breaks(times(1, is_of_weights, Changed(replace_it)))
    scene.fails(8)
    scene.converges()


def test_an_object_that_is_gone_is_corrupt_and_says_so(scene: Scene) -> None:
    key = key_of_weights(scene)
    body = scene.memory.get(key).body
    scene.memory.delete(key)
    assert "missing" in scene.fails(8).message
    scene.memory.put(key, body, IfAbsent())
    scene.converges()


@pytest.mark.parametrize("hours", [-26, -1, 1, 26])
def test_a_clock_that_is_wrong_is_corrected_by_the_server_s(scene: Scene, hours: int) -> None:
    def script(asked: Asked) -> Fault | None:
        servers_now = datetime.now(UTC) + timedelta(hours=hours)
        signed_at = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(signed_at - servers_now) < timedelta(minutes=15):
            return None
        said = refusal(403, "RequestTimeTooSkewed", Date=format_datetime(servers_now, usegmt=True))
        return Refused(said)

    scene.breaks(script)
    scene.succeeds()
    assert len(scene.proxy.asked) < 40


def test_a_clock_that_nothing_corrects_is_denied(scene: Scene) -> None:
    scene.breaks(always(lambda _: True, Refused(refusal(403, "RequestTimeTooSkewed"))))
    assert "clock" in (error := scene.fails(7)).message + error.advice
    scene.converges()


def test_a_range_that_is_read_alone_goes_on_behind_a_break_and_never_mixes(scene: Scene) -> None:
    key = key_of_weights(scene)
    with scene.opened() as session:
        resolved = resolve(session, parse_reference(REFERENCE))
        with open_artifact(session, resolved, "sub/weights.bin") as file:
            scene.breaks(times(5, is_of_weights, Reset(10_000)))
            assert file.read_range(5, 200_000) == CONTENTS["sub/weights.bin"][5:200_000]
            body = scene.memory.get(key).body
            scene.memory.delete(key)
            scene.memory.put(key, body[::-1], IfAbsent())
            with pytest.raises(CorruptError, match="was replaced"):
                file.read_range(5, 200_000)
