"""Does strict mode let an adapter's base in by the approved manifest alone, and never one that was refused?"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader, open_registry
from bucketry.errors import RejectedError
from bucketry.registry.reading import pull_bases
from bucketry.registry.reading.pull import PullOptions, pull_resolved
from bucketry.registry.review.reviewing import record_decision
from bucketry.schema import keys
from bucketry.schema.documents.head import decode_head, encode_head
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State
from bucketry.schema.names import ModelName
from bucketry.trust.judge import UntrustedError
from trust.people import ANNA, AUTHOR, BERT, EVERYBODY, rule

if TYPE_CHECKING:
    from pathlib import Path

    from trust.world import World

BASE = ModelName("risk", "base")
ADAPTER = "risk/chat@production"


@pytest.fixture
def adapted(world: World) -> World:
    """Return the world with an approved adapter in production, whose base nobody ever reviewed."""
    source = world.folder / "weights.bin"
    with open_registry(world.url, identity=AUTHOR.principal) as registry:
        source.write_text("base")
        registry.publish("risk/base", [source])
        source.write_text("adapter")
        registry.publish("risk/chat", [source], base="risk/base:1", relation="adapter")
    world.decide(ANNA, Action.APPROVE, 1)
    world.decide(BERT, Action.APPROVE, 1)
    world.promote(1)
    return world


def pull(world: World, *, trust: Path | None = None, options: PullOptions | None = None) -> set[str]:
    with open_reader(world.url, trust=trust or world.trust()) as reader:
        reader.pull_with_bases(ADAPTER, world.folder / "serve" / "chat", options=options)
    return there(world)


def there(world: World) -> set[str]:
    return {path.name for path in (world.folder / "serve").glob("*")}


def refuse_base(world: World) -> None:
    review = BERT.sign(world.prepare(BERT, Action.REJECT, 1, BASE))
    with open_registry(world.url, identity=BERT.principal) as registry:
        record_decision(registry.session, review)


def test_an_approved_manifest_stands_for_approvals_of_its_base(adapted: World) -> None:
    with pytest.raises(UntrustedError), open_reader(adapted.url, trust=adapted.trust()) as reader:
        reader.pull("risk/base:1", adapted.folder / "alone")
    assert pull(adapted) == {"chat", "chat-base"}
    assert (adapted.folder / "serve" / "chat-base" / "weights.bin").read_text() == "base"


def test_a_base_that_a_trusted_reviewer_refused_is_not_served(adapted: World) -> None:
    refuse_base(adapted)
    with pytest.raises(UntrustedError, match=r"risk/base:1 is rejected"):
        pull(adapted)
    assert there(adapted) == set()


def test_a_bucket_that_calls_a_refused_base_good_again_is_not_believed(adapted: World) -> None:
    refuse_base(adapted)
    key = keys.head(BASE)
    head = decode_head(adapted.store.get(key).body, what=key)
    adapted.overwrite(key, encode_head(replace(head, rows=(replace(head.rows[0], state=State.REGISTERED),))))
    with pytest.raises(UntrustedError, match=rf"refused by {BERT.principal}"):
        pull(adapted)
    assert there(adapted) == set()


def test_a_base_that_the_trust_file_denies_is_not_served(adapted: World) -> None:
    key = keys.head(BASE)
    manifest = decode_head(adapted.store.get(key).body, what=key).rows[0].manifest
    trust = adapted.trust(*EVERYBODY, rule(), top=f'denied_manifests = ["{manifest}"]')
    with pytest.raises(UntrustedError, match="is denied"):
        pull(adapted, trust=trust)
    assert there(adapted) == set()


def test_a_base_with_too_many_decisions_to_look_at_is_not_served(
    adapted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = ANNA.sign(adapted.prepare(ANNA, Action.COMMENT, 1, BASE))
    with open_registry(adapted.url, identity=ANNA.principal) as registry:
        record_decision(registry.session, review)
    monkeypatch.setattr("bucketry.registry.review.strict.MOST_DECISIONS", 0)
    with pytest.raises(UntrustedError, match="carries 1 decisions"):
        pull(adapted)


def test_what_is_loaded_is_reported_though_it_would_not_be_loaded_now(adapted: World) -> None:
    pull(adapted)
    adapted.decide(BERT, Action.REVOKE, 1)
    with open_reader(adapted.url, trust=adapted.trust()) as reader:
        with pytest.raises(UntrustedError):
            reader.resolve(ADAPTER)
        served = adapted.folder / "serve" / "chat"
        done = reader.report(ADAPTER, environment="prod", instance="node-1", path=served)
        assert (done.version, done.verified) == (1, "trust")
        [shown] = reader.deployments().observed
    assert shown.standing == "refused"


def test_a_base_is_verified_by_sha256_and_hashed_again(adapted: World) -> None:
    with pytest.raises(RejectedError, match="SHA-256"):
        pull(adapted, options=PullOptions(verify="fast"))
    pull(adapted)
    file = adapted.folder / "serve" / "chat-base" / "weights.bin"
    times = file.stat()
    file.chmod(0o644)
    file.write_text("evil")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    pull(adapted)
    assert file.read_text() == "base"


def test_a_base_refused_while_its_bytes_came_keeps_the_adapter_away(
    adapted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring = pull_resolved

    def bring_and_refuse(*arguments: object) -> object:
        brought = bring(*arguments)  # type: ignore[arg-type]
        refuse_base(adapted)
        return brought

    monkeypatch.setattr(pull_bases, "pull_resolved", bring_and_refuse)
    with pytest.raises(UntrustedError):
        pull(adapted)
    assert there(adapted) == {"chat-base"}
