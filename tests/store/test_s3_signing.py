"""Do our signatures equal the SDK's, whatever the request is?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.awsrequest import AWSRequest

from bucketry.store.s3.sdk.account import sign
from bucketry.store.s3.signing import Keys, RequestSigner, SigningClock, SigningScope, Unsigned

ORIGIN = "https://bucket.example.org:9000"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BASE = {"User-Agent": "a b/1", "Host": "bucket.example.org:9000"}
REQUESTS = [
    Unsigned("GET", "/registry/blobs/a%20b/%C3%A9~_-.", "", BASE | {"Range": "bytes=0-9", "If-Match": '"e"'}, EMPTY),
    Unsigned("PUT", "/b/k", "partNumber=12&uploadId=a%2Fb", BASE | {"x-amz-checksum-sha256": "x="}, "ab" * 32),
    Unsigned("GET", "/b/", "a=z&a-b=2&delimiter=%2F&uploads=", BASE, EMPTY),
    Unsigned("POST", "/b/k", "uploads", BASE | {"Content-Type": "text/x;  a=b", "Expect": "100-continue"}, EMPTY),
]


def clock_at(day: int) -> SigningClock:
    return SigningClock(lambda: datetime(2026, 1, day, 3, 4, 5, tzinfo=UTC))


@pytest.mark.parametrize("token", [None, "a-token"])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: f"{one.method}-{one.query}")
def test_a_signature_is_the_one_that_the_sdk_makes(request_: Unsigned, token: str | None) -> None:
    credentials, scope = Keys("AKIA", "secret", token), SigningScope("eu-west-1", "s3")
    url = f"{ORIGIN}{request_.path}" + (f"?{request_.query}" if request_.query else "")
    theirs = AWSRequest(request_.method, url, headers=dict(request_.headers))
    sign(theirs, credentials, scope, clock_at(1), request_.sha256)
    ours = RequestSigner(scope, clock_at(1)).sign(request_, credentials)
    assert {name.lower(): value for name, value in ours.items()} == {
        name.lower(): value for name, value in theirs.headers.items()
    }


def test_a_key_that_was_kept_serves_one_day_and_one_secret_only() -> None:
    days = [1]
    clock = SigningClock(lambda: datetime(2026, 1, days[0], tzinfo=UTC))
    signer, scope = RequestSigner(SigningScope("r", "s3"), clock), SigningScope("r", "s3")
    for day, secret in ((1, "one"), (1, "two"), (2, "two"), (2, "one")):
        days[0] = day
        credentials = Keys("AKIA", secret, None)
        fresh = RequestSigner(scope, SigningClock(lambda: datetime(2026, 1, days[0], tzinfo=UTC)))
        assert signer.sign(REQUESTS[0], credentials) == fresh.sign(REQUESTS[0], credentials)
