from __future__ import annotations

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import (
    load_policy,
    load_policy_history,
    load_policy_in_force,
    set_policy,
)
from bucketry.registry.serving.aliases import promote
from bucketry.registry.serving.auditing import load_audit
from bucketry.schema import keys
from bucketry.schema.codec import decode, digest_of, encode
from bucketry.schema.documents.policy import DEFAULT_POLICY, Policy, encode_policy, parse_policy_toml
from bucketry.schema.names import ModelName
from bucketry.store.contract import IfMatch
from simulation.actors import CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import FEW, begin, founder
from simulation.world import Bucket, SeededScript, World


def policy(text: str) -> Policy:
    return parse_policy_toml(text, what="p")


TWO = policy("approvals_required = 2\nseparate_duties = true")
THREE = policy("approvals_required = 3\n[[gate]]\nmetric = 'auc'\nat_least = 0.9")


@pytest.fixture
def session() -> Session:
    world = World(SeededScript(0))
    begin(world, FEW)
    return founder(world.bucket)


def anew(session: Session) -> Session:
    """Return a session that has read nothing yet."""
    assert isinstance(session.store, Bucket)
    return founder(session.store)


def held(session: Session, model: ModelName = CHAT) -> Policy:
    return load_policy(session, load_existing_head(session, model))


def test_nothing_is_required_where_nobody_has_set_a_policy(session: Session) -> None:
    assert held(session) == DEFAULT_POLICY
    assert load_policy_history(session, CHAT) == []
    assert load_policy_history(session, None) == []


def test_a_model_has_its_own_policy_over_the_default(session: Session) -> None:
    set_policy(session, None, TWO)
    assert (held(session).approvals_required, held(session).separate_duties) == (2, True)
    set_policy(session, CHAT, THREE)
    both = held(anew(session))
    assert (both.approvals_required, both.separate_duties, len(both.gates)) == (3, True, 1)
    other = held(session, ModelName("acme", "base"))
    assert (other.approvals_required, other.gates) == (2, ())


def test_a_default_counts_at_once_in_the_session_that_sets_it(session: Session) -> None:
    assert held(session).approvals_required == 0
    set_policy(session, None, TWO)
    assert held(session).approvals_required == 2


def test_a_policy_is_an_object_that_the_head_names(session: Session) -> None:
    done = set_policy(session, CHAT, TWO)
    assert done.policy == digest_of(encode_policy(TWO))
    assert session.store.get(keys.policy(done.policy)).body == encode_policy(TWO)
    assert load_existing_head(session, CHAT).policy == done.policy


def test_setting_the_same_policy_again_changes_nothing(session: Session) -> None:
    for model in (CHAT, None):
        first = set_policy(session, model, TWO)
        again = set_policy(session, model, TWO)
        assert (first.changed, again.changed) == (True, False)
        assert again.generation == first.generation
        assert again.changes == ()
        assert len(load_policy_history(session, model)) == 1


@pytest.mark.parametrize("model", [CHAT, None])
def test_a_policy_has_a_history(session: Session, model: ModelName | None) -> None:
    for one in (TWO, THREE, TWO):
        set_policy(session, model, one)
    newest, middle, first = load_policy_history(anew(session), model)
    assert newest.policy == first.policy == digest_of(encode_policy(TWO))
    assert newest.generation > middle.generation > first.generation
    assert newest.actor == "founder@example.org"
    assert {change.text for change in first.changes} == {"approvals_required set to 2", "separate_duties set to yes"}
    assert {change.text for change in middle.changes} == {
        "approvals_required changed from 2 to 3",
        "separate_duties no longer set, was yes",
        "gate added: auc >= 0.9",
    }


def test_a_history_reaches_beyond_the_records_in_the_head(session: Session) -> None:
    for number in range(70):
        set_policy(session, CHAT, policy(f"approvals_required = {number}"))
    events = load_policy_history(session, CHAT)
    assert [event.changes[0].after for event in events] == [str(number) for number in reversed(range(70))]
    assert load_audit(session, CHAT).verified


def test_where_each_rule_comes_from_is_known(session: Session) -> None:
    set_policy(session, None, TWO)
    set_policy(session, CHAT, THREE)
    found = load_policy_in_force(session, CHAT)
    assert found.own == THREE
    assert found.default == TWO
    assert found.effective == held(session)
    assert load_policy_in_force(session, None).own is None


def test_a_model_that_does_not_exist_has_no_policy(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        set_policy(session, ModelName("acme", "nothing"), TWO)


def test_nobody_sets_a_policy_in_a_registry_that_is_read_only(session: Session) -> None:
    with pytest.raises(RejectedError, match="read-only"):
        set_policy(Session(session.store, session.actor, session.clock, read_only=True), CHAT, TWO)
    assert held(session) == DEFAULT_POLICY


def test_a_policy_that_was_replaced_in_the_bucket_is_not_believed(session: Session) -> None:
    done = set_policy(session, CHAT, TWO)
    assert isinstance(session.store, Bucket)
    session.store.delete(keys.policy(done.policy))
    with pytest.raises(CorruptError, match="missing"):
        held(anew(session))
    with pytest.raises(CorruptError):
        promote(anew(session), CHAT, 1, PRODUCTION)


def test_the_policy_chooses_the_headline_metrics_of_a_publish(session: Session) -> None:
    measured = {f"m{number}": 0.5 for number in range(9)} | {"auc": 0.9, "f1": 0.8}

    def shown() -> dict[str, float]:
        manifest = make_manifest(CHAT, (CONTENTS[4],), notes=str(load_existing_head(session, CHAT).next_version))
        register_version(session, PreparedVersion(manifest, headline=measured), Uploader(session, CHAT))
        return dict(load_existing_head(session, CHAT).rows[-1].metrics)

    assert set(shown()) == {f"m{number}" for number in range(8)}
    set_policy(session, CHAT, policy('headline_metrics = ["f1", "missing", "auc"]'))
    assert shown() == {"f1": 0.8, "auc": 0.9}
    set_policy(session, CHAT, policy("headline_metrics = []"))
    assert len(shown()) == 8


def test_a_default_that_names_no_digest_is_corrupt(session: Session) -> None:
    found = session.store.get(keys.REGISTRY)
    document = decode(found.body, what="registry")
    document["settings"] = {"default_policy": "strict"}
    session.store.put(keys.REGISTRY, encode(document), IfMatch(found.etag))
    with pytest.raises(CorruptError, match="default_policy"):
        held(anew(session))
