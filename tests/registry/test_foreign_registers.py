"""A register of another registry, model or alias in the place of our own is corrupt for every reader and writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bucketry import client
from bucketry.errors import CorruptError
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.watch import watch
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.names import Digest, parse_reference
from bucketry.store.contract import Unconditional
from maintenance.planting import ALIAS, HEAD, change_row, load_digest, made, rewrite
from simulation.actors import BASE, CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, REGISTRY, founder

if TYPE_CHECKING:
    from simulation.world import Bucket

Act = Callable[[client.Registry], object]
ELSEWHERE = "another-registry"


def publish(registry: client.Registry) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[3]], notes="one more")
    register_version(registry.session, PreparedVersion(manifest), Uploader(registry.session, CHAT))


THROUGH_THE_HEAD: dict[str, Act] = {
    "publish": publish,
    "versions": lambda registry: list(registry.versions("acme/chat")),
    "resolve": lambda registry: registry.resolve("acme/chat:1"),
    "show": lambda registry: registry.show("acme/chat:1"),
    "gates": lambda registry: registry.gates("acme/chat:1"),
    "lineage": lambda registry: registry.lineage("acme/chat:1"),
    "promote": lambda registry: registry.promote("acme/chat:1", "staging"),
    "roll back": lambda registry: registry.roll_back("acme/chat", "production"),
    "retire": lambda registry: registry.retire("acme/chat:1"),
    "review": lambda registry: registry.review("acme/chat:1", "request"),
    "delete": lambda registry: registry.delete("acme/chat:1"),
}
THROUGH_THE_ALIAS: dict[str, Act] = {
    "resolve": lambda registry: (registry.session.registry, registry.resolve("acme/chat@production")),
    "pull": lambda registry: registry.pull("acme/chat@production", "/nonexistent/there"),
    "open": lambda registry: registry.open("acme/chat@production", "weights").__enter__(),
    "lineage": lambda registry: registry.lineage("acme/chat@production"),
    "watch": lambda registry: next(watch(registry.session, parse_reference("acme/chat@production"))),
    "history": lambda registry: registry.history("acme/chat", "production"),
    "show": lambda registry: registry.show("acme/chat@production"),
    "promote": lambda registry: registry.promote("acme/chat:1", "production"),
    "roll back": lambda registry: registry.roll_back("acme/chat", "production"),
    "unset": lambda registry: registry.unset("acme/chat", "production"),
}


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)


@pytest.mark.parametrize("act", THROUGH_THE_HEAD.values(), ids=list(THROUGH_THE_HEAD))
def test_a_head_of_another_registry_is_told_by_key_found_and_expected(bucket: Bucket, act: Act) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(registry=ELSEWHERE))
    before = bucket.get(HEAD).body
    with pytest.raises(CorruptError, match=f"{HEAD} belongs to the registry '{ELSEWHERE}'.*'{REGISTRY}'"):
        act(client.Registry(founder(bucket)))
    assert bucket.get(HEAD).body == before


@pytest.mark.parametrize("act", THROUGH_THE_HEAD.values(), ids=list(THROUGH_THE_HEAD))
def test_a_head_of_another_model_is_told_by_key_found_and_expected(bucket: Bucket, act: Act) -> None:
    bucket.put(HEAD, bucket.get(keys.head(BASE)).body, Unconditional())
    with pytest.raises(CorruptError, match=f"{HEAD} holds the head of acme/base, not of acme/chat"):
        act(client.Registry(founder(bucket)))


@pytest.mark.parametrize("act", THROUGH_THE_ALIAS.values(), ids=list(THROUGH_THE_ALIAS))
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("registry", ELSEWHERE, f"belongs to the registry '{ELSEWHERE}'"),
        ("model", "acme/other", "holds the alias acme/other@production, not acme/chat@production"),
        ("alias", "staging", "holds the alias acme/chat@staging, not acme/chat@production"),
    ],
)
def test_an_alias_of_another_place_is_told(bucket: Bucket, act: Act, field: str, value: str, words: str) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update({field: value}))
    with pytest.raises(CorruptError, match=f"{ALIAS} {words}"):
        act(client.Registry(founder(bucket)))


GOES_ON: dict[str, Act] = {
    "pull": lambda registry: registry.pull("acme/chat@production", "/nonexistent/there"),
    "open": lambda registry: registry.open(registry.resolve("acme/chat@production"), "weights").__enter__(),
    "a list": lambda registry: registry.models(),
    "a change": lambda registry: registry.retire("acme/base:1"),
}


@pytest.mark.parametrize("act", GOES_ON.values(), ids=list(GOES_ON))
def test_a_look_up_believes_an_alias_and_whoever_goes_on_is_told(bucket: Bucket, act: Act) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(registry=ELSEWHERE))
    before = bucket.snapshot()
    registry = client.Registry(founder(bucket))
    assert registry.resolve("acme/chat@production").version
    with pytest.raises(CorruptError, match=f"{ALIAS} belongs to the registry '{ELSEWHERE}'.*'{REGISTRY}'"):
        act(registry)
    assert bucket.snapshot() == before


def test_a_look_up_that_finds_no_manifest_says_whose_the_alias_is(bucket: Bucket) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(manifest="a" * 64))
    with pytest.raises(CorruptError, match=f"{keys.manifest(CHAT, Digest('a' * 64))} is missing"):
        client.Registry(founder(bucket)).resolve("acme/chat@production")
    rewrite(bucket, ALIAS, lambda alias: alias.update(registry=ELSEWHERE))
    with pytest.raises(CorruptError, match=f"{ALIAS} belongs to the registry '{ELSEWHERE}'"):
        client.Registry(founder(bucket)).resolve("acme/chat@production")


def test_lists_name_what_is_foreign_and_go_on(bucket: Bucket) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(registry=ELSEWHERE))
    registry = client.Registry(founder(bucket))
    assert [version.version for version in registry.versions("acme/chat")]
    rewrite(bucket, HEAD, lambda head: head.update(registry=ELSEWHERE))
    damaged = {str(model.model): model.damaged for model in client.Registry(founder(bucket)).models()}
    assert f"belongs to the registry '{ELSEWHERE}'" in str(damaged["acme/chat"])
    assert not damaged["acme/base"]


def test_the_manifest_of_another_model_is_told(bucket: Bucket) -> None:
    session = founder(bucket)
    other = load_digest(session, BASE)
    key = keys.manifest(CHAT, other)
    bucket.put(key, bucket.get(keys.manifest(BASE, other)).body, Unconditional())
    change_row(session, lambda row: row.update(manifest=other, placement=[[1, 1]]))
    with pytest.raises(CorruptError, match=f"{key} is the manifest of acme/base, not of acme/chat"):
        client.Registry(founder(bucket)).resolve("acme/chat:1")
    assert digest_of(bucket.get(key).body) == other


def test_a_session_that_lasts_follows_the_registry_that_is_here_now(bucket: Bucket) -> None:
    registry = client.Registry(founder(bucket))
    assert registry.resolve("acme/chat@production").version
    for key in (keys.REGISTRY, HEAD, ALIAS):
        rewrite(bucket, key, lambda document: document.update(registry=ELSEWHERE))
    assert registry.resolve("acme/chat@production").version


def test_hostile_text_in_a_foreign_id_is_not_passed_on(bucket: Bucket) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(registry="\x1b[31m" + "x" * 1_000))
    with pytest.raises(CorruptError) as raised:
        client.Registry(founder(bucket)).show("acme/chat:1")
    assert "\x1b" not in raised.value.message
    assert len(raised.value.message) < 400
