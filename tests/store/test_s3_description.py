"""Is a bucket described as it was set up, by our own requests and by the SDK's alike?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from bucketry.store.description import LifecycleRule, NotKnown
from servers.misbehaving import Answer, refusal, run_misbehaving
from store.s3_stores import leave_to_the_sdk, open_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.store.description import Right
    from bucketry.store.s3.store import S3Store
    from servers.process import S3Server

RULES = [
    {
        "ID": "uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": "prod/"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
    },
    {
        "ID": "cold",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 30},
        "Transitions": [{"Days": 3, "StorageClass": "GLACIER"}, {"Days": 9, "StorageClass": "DEEP_ARCHIVE"}],
    },
    {
        "ID": "sized",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "prod/b", "ObjectSizeGreaterThan": 5}},
        "Expiration": {"Date": "2027-01-01T00:00:00Z"},
    },
    {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}},
    {
        "ID": "tagged",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": "a", "Value": "b"}},
        "Expiration": {"Days": 1},
    },
    {
        "ID": "tagged as well",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}},
        "Expiration": {"Days": 1},
    },
]
FOUND = (
    LifecycleRule("uploads", "prod/", expires_older_days=9, aborts_uploads_days=7),
    LifecycleRule("cold", "", expires_days=30, moves_to=("GLACIER", "DEEP_ARCHIVE")),
    LifecycleRule("sized", "prod/b", expires_days=0),
)
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::described/*"}
    ],
}


@pytest.fixture(params=["wire", "sdk"])
def leave_to(request: pytest.FixtureRequest) -> Callable[[S3Store], None]:
    return leave_to_the_sdk if request.param == "sdk" else lambda _: None


@pytest.fixture(scope="module")
def client(moto: S3Server) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=moto.access_key,
        aws_secret_access_key=moto.secret_key,
    )
    yield client
    client.close()


def test_everything_that_was_set_up_is_told(moto: S3Server, client: Any, leave_to: Callable[[S3Store], None]) -> None:
    client.create_bucket(Bucket="described", ObjectLockEnabledForBucket=True)
    client.put_bucket_lifecycle_configuration(Bucket="described", LifecycleConfiguration={"Rules": RULES})
    client.put_object_lock_configuration(
        Bucket="described",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}},
        },
    )
    client.put_bucket_encryption(
        Bucket="described",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]
        },
    )
    client.put_bucket_policy(Bucket="described", Policy=json.dumps(POLICY))
    with open_s3(moto, "prod", bucket="described") as store:
        leave_to(store)
        found = store.describe_bucket()
    assert (found.bucket, found.prefix) == ("described", "prod/")
    assert found.versioning == "enabled"
    assert found.lifecycle == FOUND
    assert found.object_lock == "compliance for 30 days"
    assert found.encryption == "aws:kms"
    assert isinstance(found.policy, str)
    assert json.loads(found.policy) == POLICY


def test_a_bucket_without_any_settings_has_none(moto: S3Server, leave_to: Callable[[S3Store], None]) -> None:
    with open_s3(moto) as store:
        leave_to(store)
        found = store.describe_bucket()
    assert (found.versioning, found.lifecycle, found.object_lock, found.policy) == ("off", (), "", "")


def test_seaweedfs_describes_its_bucket_as_far_as_it_can(weed: S3Server, leave_to: Callable[[S3Store], None]) -> None:
    with open_s3(weed) as store:
        leave_to(store)
        found = store.describe_bucket()
    assert found.versioning == "off"
    assert found.lifecycle == ()
    assert found.policy == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal(403, "AccessDenied"), "not known: this caller may not ask"),
        (refusal(501, "NotImplemented"), "not known here: this store does not understand the question"),
        (refusal(405, "MethodNotAllowed"), "not known here: this store does not understand the question"),
        (Answer(200, {}, b"<Nonsense><Rule>no rule</Rule></Nonsense>"), None),
    ],
)
def test_what_is_refused_or_not_understood_is_not_known(answer: Answer, reason: str | None) -> None:
    with run_misbehaving(lambda _: answer) as server, open_s3(server.server) as store:
        found = store.describe_bucket()
    if reason is None:
        assert isinstance(found.lifecycle, NotKnown)
        assert isinstance(found.object_lock, NotKnown)
        return
    for setting in (found.versioning, found.lifecycle, found.object_lock, found.encryption, found.policy):
        assert setting == NotKnown(reason)


@pytest.mark.parametrize("right", ["list", "read", "write", "delete"])
def test_a_right_is_tried_by_what_is_refused_without_it(weed: S3Server, right: Right) -> None:
    with open_s3(weed, "asked") as store:
        assert store.may(right, "heads/") is True
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []
    with run_misbehaving(lambda _: refusal(403, "AccessDenied")) as server, open_s3(server.server) as store:
        if right == "read":  # it may be for want of the right to list
            assert isinstance(store.may(right, "heads/"), NotKnown)
        else:
            assert store.may(right, "heads/") is False


def test_a_store_that_completes_what_was_never_begun_is_not_believed() -> None:
    with run_misbehaving(lambda _: Answer(200, {"ETag": '"x"'}, b"<Done/>")) as server, open_s3(server.server) as store:
        assert isinstance(store.may("write", "heads/"), NotKnown)
        assert isinstance(store.may("delete", "registry.json"), NotKnown)
        assert not [asked for asked in server.asked if asked.method == "DELETE" and "uploadId" not in asked.path]
