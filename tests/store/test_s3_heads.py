"""Is a head that was cut from a pattern the one that is made for its request alone?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bucketry.errors import UsageError
from bucketry.store.http.connection import Origin
from bucketry.store.s3.heads import SHA256_OF_NOTHING, RangeHeads, spell_head
from bucketry.store.s3.signing import Keys, RequestSigner, SigningClock, SigningScope, Unsigned
from bucketry.store.s3.target import Target

KEYS = Keys("AKIA", "secret", None)
START = datetime(2026, 1, 31, 23, 59, 58, 500_000, tzinfo=UTC)


def target_with(headers: dict[str, str]) -> Target:
    scope = SigningScope("eu-west-1", "s3")
    origin = Origin("bucket.example.org", 9000, None)
    return Target("http://bucket.example.org:9000/b/", "bucket.example.org:9000", origin, scope, headers)


def made_alone(target: Target, clock: SigningClock, keys: Keys, path: str, range_: str) -> bytes:
    headers = {**target.headers, "Host": target.host, "Range": range_}
    signed = RequestSigner(target.scope, clock).sign(Unsigned("GET", path, "", headers, SHA256_OF_NOTHING), keys)
    return spell_head("GET", path, signed, where="here").encode("latin-1")


@pytest.mark.parametrize("token", [None, "a-token/with+signs="])
@pytest.mark.parametrize(
    "headers", [{}, {"User-Agent": "a b/1"}, {"x-amz-request-payer": "requester", "Accept": "*/*", "User-Agent": "x"}]
)
def test_it_is_the_same_for_every_object_and_range(headers: dict[str, str], token: str | None) -> None:
    target, clock, keys = target_with(headers), SigningClock(lambda: START), Keys("AKIA", "secret", token)
    heads = RangeHeads(target, RequestSigner(target.scope, clock))
    for path, range_ in (("/b/k", "bytes=0-0"), ("/b/a%20b/%C3%A9~", "bytes=5-20004"), ("/b/k", "bytes=1-2")):
        assert heads.head(path, range_, keys) == made_alone(target, clock, keys, path, range_)


def test_it_is_the_same_in_the_next_second_on_the_next_day_and_with_other_keys() -> None:
    now = [START]
    target, clock = target_with({"User-Agent": "x"}), SigningClock(lambda: now[0])
    heads = RangeHeads(target, RequestSigner(target.scope, clock))
    seen = set()
    for step in (0.0, 0.4, 0.2, 1.0, 1.0):
        now[0] += timedelta(seconds=step)
        for keys in (KEYS, Keys("AKIA", "another", None), Keys("AKIB", "secret", "token")):
            head = heads.head("/b/k", "bytes=0-9", keys)
            assert head == made_alone(target, clock, keys, "/b/k", "bytes=0-9")
            seen.add(head)
    assert len(seen) == 4 * 3


def test_a_clock_that_is_put_right_counts_at_once() -> None:
    target, clock = target_with({}), SigningClock(lambda: START)
    heads = RangeHeads(target, RequestSigner(target.scope, clock))
    before = heads.head("/b/k", "bytes=0-9", KEYS)
    assert clock.correct("Sun, 01 Feb 2026 01:00:00 GMT")
    after = heads.head("/b/k", "bytes=0-9", KEYS)
    assert after != before
    assert after == made_alone(target, clock, KEYS, "/b/k", "bytes=0-9")


def test_what_is_kept_shows_no_secret() -> None:
    target, clock = target_with({}), SigningClock(lambda: START)
    signer = RequestSigner(target.scope, clock)
    heads = RangeHeads(target, signer)
    heads.head("/b/k", "bytes=0-9", Keys("AKIA", "the-secret", "the-token"))
    kept = repr(vars(heads)["_kept"])
    assert "AKIA" in kept
    assert "the-secret" not in kept
    assert "the-token" not in kept


def test_a_header_that_would_break_the_head_is_refused() -> None:
    target = target_with({"User-Agent": "x\r\nRange: bytes=0-1"})
    with pytest.raises(UsageError, match="User-Agent"):
        RangeHeads(target, RequestSigner(target.scope, SigningClock())).head("/b/k", "bytes=0-9", KEYS)
