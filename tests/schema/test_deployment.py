"""Is a receipt read exactly as it was written, and nothing else taken for one?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bucketry.errors import CorruptError, UnsupportedError, UsageError
from bucketry.schema.documents.deployment import (
    LARGEST_DEPLOYMENT_BYTES,
    Deployment,
    Place,
    decode_deployment,
    encode_deployment,
    instance_of_host,
    parse_place_part,
    place_of_key,
)
from bucketry.schema.names import AliasName, Digest, ModelName

DEPLOYMENT = Deployment(
    registry="0b0c",
    model=ModelName("acme", "chat"),
    version=7,
    manifest=Digest("ab" * 32),
    place=Place("prod-eu", "node-1"),
    actor="node-1@example.org",
    at="2026-03-03T12:00:00.000Z",
    verified="trust",
    files=3,
    size_bytes=1_000,
    complete=True,
    client="bucketry/0.1.0",
    alias=AliasName("production"),
    generation=4,
    pulled_at="2026-03-03T11:00:00.000Z",
)
KEY = "deployments/acme/chat/prod-eu/node-1.json"


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(encode_deployment(DEPLOYMENT)) | fields).encode()


def test_a_receipt_is_read_as_it_was_written() -> None:
    assert DEPLOYMENT.key == KEY
    assert decode_deployment(encode_deployment(DEPLOYMENT), key=KEY) == DEPLOYMENT
    pinned = replace(DEPLOYMENT, alias=None, generation=None, pulled_at=None)
    assert decode_deployment(encode_deployment(pinned), key=KEY) == pinned


def test_fields_of_a_newer_program_survive() -> None:
    read = decode_deployment(changed(gpu="H100"), key=KEY)
    assert json.loads(encode_deployment(read))["gpu"] == "H100"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"version": 0}, "version"),
        ({"version": True}, "version"),
        ({"manifest": "AB" * 32}, "manifest"),
        ({"model": "acme/other"}, "another instance"),
        ({"environment": "prod-us"}, "another instance"),
        ({"instance": "../node-1"}, "another instance"),
        ({"actor": "\x1b[31mroot"}, "identity"),
        ({"at": "yesterday"}, "time"),
        ({"at": "2026-02-30T12:00:00Z"}, "time"),
        ({"verified": "trust me"}, "verified"),
        ({"alias": "latest"}, "alias"),
        ({"generation": None}, "go together"),
        ({"alias": None}, "go together"),
        ({"files": -1}, "files"),
        ({"client": "x" * 65}, "client"),
        ({"complete": "yes"}, "complete"),
        ({"notes": "x" * LARGEST_DEPLOYMENT_BYTES}, "limit"),
    ],
)
def test_what_is_no_receipt_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CorruptError, match=words):
        decode_deployment(changed(**fields), key=KEY)


def test_a_receipt_in_a_newer_format_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError):
        decode_deployment(changed(format=2), key=KEY)


@pytest.mark.parametrize("text", ["", "Prod", "prod eu", "-prod", "prod-", "a/b", "a..b", "x" * 97, "é", "prod\n"])
def test_a_place_outside_the_grammar_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="environment"):
        parse_place_part(text, what="environment")


@pytest.mark.parametrize(
    ("hostname", "instance"),
    [
        ("node-1", "node-1"),
        ("Chat-7f9c.Example.ORG", "chat-7f9c.example.org"),
        ("büro pc!", "b-ro-pc"),
        ("a..b", "a-b"),
        ("-x-", "x"),
        ("n" * 95 + "--" + "m" * 40, "n" * 95),
    ],
)
def test_the_name_of_any_host_becomes_the_name_of_an_instance(hostname: str, instance: str) -> None:
    assert instance_of_host(hostname) == instance


def test_a_host_without_a_name_is_asked_for_one() -> None:
    with pytest.raises(UsageError, match="no name"):
        instance_of_host("...")


def test_a_key_says_whose_receipt_it_is() -> None:
    assert place_of_key(KEY) == (ModelName("acme", "chat"), Place("prod-eu", "node-1"))


@pytest.mark.parametrize(
    "key",
    [
        "deployments/acme/chat/prod-eu/node-1",
        "deployments/acme/chat/node-1.json",
        "deployments/acme/chat/a/b/c.json",
        "deployments/acme/chat/prod-eu/\x1b[2J.json",
        "deployments/acme/chat/prod-eu/.json",
        "deployments/ACME/chat/prod-eu/node-1.json",
        "heads/acme/chat/prod-eu/node-1.json",
    ],
)
def test_a_key_of_nobody_is_refused(key: str) -> None:
    with pytest.raises(UsageError):
        place_of_key(key)
