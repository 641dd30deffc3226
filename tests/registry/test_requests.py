"""How many requests does each thing that people do make of the bucket, read and written, from a process that begins?

Every call of the store counts, `registry.json` included; so does each thing that was read twice. What may not be
spared is in `docs/format.md`: an alias is read again after a decision, and a head after the alias that is replaced.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from bucketry.client import Registry
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.session import Session
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.watch import watch
from bucketry.schema import keys
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import parse_alias, parse_model_name, parse_reference
from registry.in_memory import ADA, CHAT, open_in_memory
from store.noting import NotingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.store.contract import Store


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "README.md").write_text("# A model\n")
    (folder / "weights.bin").write_bytes(b"first")
    return folder


@pytest.fixture
def registry(files: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return open_in_memory(files, monkeypatch)


def requests_of(registry: Registry, act: Callable[[Registry], object], *, actor: str = ADA) -> list[str]:
    """Return what is asked of the store by somebody who has read nothing yet."""
    noting = NotingStore(registry.session.store)
    act(Registry(Session(cast("Store", noting), actor)))
    return noting.requests


def publish(registry: Registry, files: Path, body: bytes, *, auc: float = 0.9, **said: Any) -> list[str]:
    (files / "weights.bin").write_bytes(body)
    return requests_of(registry, lambda one: one.publish(CHAT, files, metrics={"auc": auc}, **said))


def test_a_publish_reads_the_head_once_and_replaces_what_it_read(registry: Registry, files: Path) -> None:
    second, third = publish(registry, files, b"second"), publish(registry, files, b"third")
    assert second == [
        "get registry.json",
        "get heads",
        "get manifests",  # what the model has already is not sent
        "put_blob blobs",
        "stat blobs",
        "put manifests",
        "put heads",
    ]
    assert third == [*second[:3], "get manifests", *second[3:]]


def test_a_first_publish_looks_for_what_a_lost_head_would_have_left(files: Path, registry: Registry) -> None:
    found = requests_of(registry, lambda one: one.publish("acme/other", files, metrics={"auc": 0.5}))
    assert found == [
        "get registry.json",
        "get heads",
        "list aliases",
        "list history",
        "list evidence",
        "list blobs",
        "put heads",
        "put_blob blobs",
        "put_blob blobs",
        "put manifests",
        "put heads",
    ]


def test_a_publish_that_takes_long_reads_the_head_again(registry: Registry, files: Path) -> None:
    (files / "weights.bin").write_bytes(b"slow")
    seconds = iter(range(1_000_000))
    noting = NotingStore(registry.session.store)
    session = Session(cast("Store", noting), ADA)
    slow = replace(session.clock, monotonic_seconds=lambda: float(next(seconds)))
    Registry(replace(session, clock=slow)).publish(CHAT, files, metrics={"auc": 0.9})
    assert noting.requests.count("get heads") == 2


def _same(moment: datetime) -> datetime:
    return moment


def test_a_publish_that_meets_others_reads_the_head_again(registry: Registry, files: Path) -> None:
    publish(registry, files, b"second")
    head = load_existing_head(registry.session, parse_model_name(CHAT))
    (files / "weights.bin").write_bytes(b"third")
    counts = []
    for actor, seconds in (("eve@example.org", 0.5), ("eve@example.org", 5), (ADA, 0.5)):
        noting = NotingStore(registry.session.store)
        at = datetime.fromisoformat(head.trail.records[-1].at) + timedelta(seconds=seconds)
        clock = replace(registry.session.clock, now=partial(_same, at))
        Registry(Session(cast("Store", noting), actor, clock)).publish(CHAT, files, metrics={"auc": 0.9})
        counts.append(noting.requests.count("get heads"))
        head = load_existing_head(registry.session, parse_model_name(CHAT))
    assert counts == [2, 1, 2]  # the last publish was Eve's, half a second before


POLICY = """
approvals_required = 1
protected_aliases = ["production"]
[[gate]]
metric = "auc"
at_least = 0.5
"""


@pytest.fixture
def governed(registry: Registry, files: Path) -> Registry:
    """Return the registry with a policy, a second version that nobody decided about, and a third."""
    set_policy(registry.session, parse_model_name(CHAT), parse_policy_toml(POLICY, what="p"))
    publish(registry, files, b"second")
    publish(registry, files, b"third")
    return registry


def requests_to(registry: Registry, name: str, *arguments: Any, **said: Any) -> list[str]:
    """Return what a method of the client asks for, by one who has read nothing yet."""
    return requests_of(registry, lambda one: getattr(one, name)(*arguments, **said), actor="rev@example.org")


def approve(registry: Registry, version: int = 2) -> list[str]:
    return requests_to(registry, "review", f"{CHAT}:{version}", "approve", comment="looked at it")


def promote(registry: Registry, version: int, alias: str = "production") -> list[str]:
    return requests_to(registry, "promote", f"{CHAT}:{version}", alias)


DECISION = ["put reviews", "put pages", "put heads"]


def test_an_approval_is_decided_signed_and_committed_on_one_reading_of_the_head(governed: Registry) -> None:
    read = ["get registry.json", "get heads", "get policies", "get manifests"]
    assert approve(governed) == [*read, *DECISION, "get aliases"]


def test_an_approval_of_what_an_alias_names_reads_the_head_after_the_alias(governed: Registry) -> None:
    approve(governed)
    promote(governed, 2)
    read = ["get registry.json", "get heads", "get policies", "get pages", "get reviews", "get manifests"]
    assert approve(governed) == [*read, *DECISION, "get aliases", "get heads", "put aliases"]


def test_a_refusal_depends_on_no_manifest_and_touches_each_alias(governed: Registry) -> None:
    found = requests_to(governed, "review", f"{CHAT}:3", "reject", comment="worse")
    assert found == [
        "get registry.json",
        "get heads",
        "get policies",
        *DECISION,
        "list serve",
        "get aliases",
        "put aliases",
    ]


READ_ON_THE_WAY = ["get heads", "get manifests", "get policies", "get pages", "get reviews"]


def test_a_promotion_reads_the_head_once_and_after_the_alias(governed: Registry) -> None:
    approve(governed)
    assert promote(governed, 2) == ["get registry.json", "get aliases", *READ_ON_THE_WAY, "put aliases"]
    again = promote(governed, 2)
    assert not [request for request in again if request.startswith("put")]


def test_a_first_promotion_names_the_alias_in_the_head(governed: Registry) -> None:
    approve(governed)
    found = promote(governed, 2, "canary")
    assert found == ["get registry.json", "get aliases", *READ_ON_THE_WAY, "put heads", "put aliases"]


def test_a_promotion_to_a_name_without_a_register_looks_for_a_lost_one(governed: Registry) -> None:
    approve(governed)
    promote(governed, 2, "canary")
    governed.session.store.delete(keys.alias(parse_model_name(CHAT), parse_alias("canary")))
    twice = ["get aliases", "get heads", "get aliases", "list history"]
    found = promote(governed, 2, "canary")
    assert found == ["get registry.json", *twice, *READ_ON_THE_WAY, "put aliases"]


def test_a_rollback_and_an_undo_read_the_head_once(governed: Registry) -> None:
    approve(governed, 1)
    approve(governed, 2)
    promote(governed, 2)
    read = [request for request in READ_ON_THE_WAY if request != "get manifests"]
    expected = ["get registry.json", "get aliases", *read, "put aliases"]
    assert requests_to(governed, "roll_back", CHAT, "production") == expected
    assert requests_to(governed, "undo", CHAT, "production") == expected


def test_a_gate_that_compares_with_an_alias_is_asked_once(governed: Registry) -> None:
    text = POLICY.replace("at_least = 0.5", 'no_worse_than = "production"\ndirection = "higher"')
    set_policy(governed.session, parse_model_name(CHAT), parse_policy_toml(text, what="p"))
    read = ["get registry.json", "get heads", "get policies", "get manifests"]
    # The alias and the manifest that it names: nothing else says what the gate compares with.
    assert approve(governed) == [*read, "get aliases", "get manifests", *DECISION, "get aliases"]
    # A promotion to the very alias compares with the state of it that is replaced.
    found = promote(governed, 2)
    assert found == ["get registry.json", "get aliases", *READ_ON_THE_WAY, "get manifests", "put aliases"]


def test_a_version_is_looked_up_by_two_reads_and_pulled_by_two_more(governed: Registry, tmp_path: Path) -> None:
    by_alias = requests_to(governed, "resolve", f"{CHAT}@production")
    assert by_alias == ["get aliases", "get manifests"]
    pulled = requests_to(governed, "pull", f"{CHAT}@production", tmp_path / "there")
    assert [request for request in pulled if "blobs" not in request] == [*by_alias, "get registry.json", "get aliases"]


def test_each_poll_is_one_read_whether_the_alias_moved_or_not(governed: Registry) -> None:
    noting = NotingStore(governed.session.store)
    moves_in_this_pause = iter([False, False, True])

    def sleep(_: float) -> None:
        if next(moves_in_this_pause):
            governed.promote(f"{CHAT}:1", "staging")

    clock = replace(governed.session.clock, sleep=sleep)
    governed.promote(f"{CHAT}:2", "staging")
    moves = watch(Session(cast("Store", noting), ADA, clock), parse_reference(f"{CHAT}@staging"))
    assert [next(moves).version, next(moves).version] == [2, 1]
    assert noting.requests == ["get aliases", "get registry.json", *["get aliases"] * 3]
