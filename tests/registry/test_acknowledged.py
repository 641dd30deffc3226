"""Is what was acknowledged readable, whatever a program hands over? Refused with nothing changed, or read by all."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucketry.errors import BucketryError, UsageError
from bucketry.registry.review.policies import set_policy
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.documents.manifest import Lineage, Training
from bucketry.schema.documents.policy import Policy
from bucketry.schema.documents.reviews import Review
from bucketry.schema.names import parse_model_name
from examples import of_hundred
from registry.in_memory import CHAT, check_all_readers, check_still_changes, content, copy_of, open_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.client import Registry

NAME = parse_model_name(CHAT)
LONG = "x" * 65_537
HOSTILE: list[Any] = [
    None, True, 0, -1, 3, 1.5, 2**53, 2**63, 10**400, float("nan"), float("inf"), -0.0, "", " ", "3", "1h", "high",
    "\x00", "\x1b[2J", "a\nb", "a\u2028b", "a\u2029", "\u202e", "\ud800", "\udcff", "\ue000", "x" * 129,
    "x" * 300, "x" * 8_193,
    LONG, "é" * 2_000, '"' * 64, "../x", "\\", b"bytes", [], {}, [1], (1, 2), {"a": 1}, {"a": "b"}, {1: 2},
    {"a": {"b": {1}}},
    {"\ud800": "x"}, {"x" * 9: LONG}, {"format": 2}, {"manifest": "x"}, object(), print, 1j, {1}, np.float32(0.5),
    np.float64("nan"), np.int64(3), np.bool_(True), np.str_("x"), np.array([1, 2]), np.array(0.25), np.uint64(2**60),
    Evidence("automated", ()), Metric("auc", 0.5), Training(), Lineage(), json.loads("[" * 40 + "]" * 40),
]  # fmt: skip
anything = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=20)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what has the right shape, and now and then anything else."""
    return st.sampled_from([usual, usual, usual, usual, anything]).flatmap(lambda chosen: chosen)


names = mostly(st.sampled_from(["epoch", "team", "auc", "ü", "a b", "a\x1b", "x" * 129, ""])).filter(
    lambda name: isinstance(name, str)
)
labels = st.dictionaries(
    st.sampled_from(["epoch", "epoch", "team", "team", "a b", "x" * 64]), anything, min_size=1, max_size=2
)
values = st.dictionaries(names, mostly(st.floats()), min_size=1, max_size=3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return some of the arguments: mostly one or two are not what they ought to be."""
    return st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )


def made(kind: Callable[..., Any], valid: dict[str, Any], *names: str) -> st.SearchStrategy[Any]:
    return some(**dict.fromkeys(names, anything)).map(lambda fields: kind(**{**valid, **fields}))


metrics = made(
    Metric,
    {"name": "auc", "value": 0.5},
    "name",
    "value",
    "unit",
    "direction",
    "slice",
    "confidence",
    "samples",
    "standard_error",
    "deviation",
    "extra",
) | made(
    lambda **x: Metric("auc", 0.5, confidence=Confidence(**x)),
    {"low": 0, "high": 1, "level": 0.9},
    "low",
    "high",
    "level",
)
evaluations = made(
    Evidence, {"kind": "human", "metrics": ()}, "kind", "metrics", "at", "by", "harness", "dataset", "notes", "extra"
) | metrics.map(lambda metric: Evidence("automated", (metric,)))
trainings = made(
    Training, {}, "hyperparameters", "datasets", "started_at", "duration_seconds", "command", "environment",
    "framework", "hardware", "seed", "cost", "extra",
)  # fmt: skip
lineages = made(Lineage, {}, "experiment", "run", "code", "pipeline", "parents", "extra")
policies = made(
    Policy, {}, "approvals_required", "separate_duties", "protected_aliases", "signatures", "headline_metrics",
    "reviewers", "approval_expires_days", "gates", "extra",
)  # fmt: skip
publishes = some(
    model=anything, sources=anything, metrics=mostly(values), evidence=mostly(evaluations.map(lambda e: [e])),
    parameters=mostly(st.dictionaries(names, anything, min_size=1, max_size=2)),
    datasets=mostly(st.lists(st.dictionaries(names, anything, min_size=1, max_size=2), max_size=2)),
    training=mostly(trainings), lineage=mostly(lineages), base=anything, relation=anything, card=anything,
    labels=mostly(labels), notes=anything, idempotency_key=anything, sign=anything.filter(lambda x: not callable(x)),
)  # fmt: skip


@dataclass(frozen=True)
class Begun:
    """The content of a registry, and files to publish."""

    objects: dict[str, bytes] = field(repr=False)
    files: Path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    files = tmp_path_factory.mktemp("files")
    (files / "weights.bin").write_bytes(b"weights")
    (files / "README.md").write_text("# A card\n")
    with pytest.MonkeyPatch.context() as patch:
        yield Begun(content(open_in_memory(files, patch)), files)


def check(begun: Begun, act: Callable[[Registry], object]) -> None:
    """Act on a registry: a usage error changes nothing, and what is acknowledged is read, and worked with."""
    registry = copy_of(begun.objects)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what cannot be compared, and is left out
            act(registry)
    except UsageError:
        assert content(registry) == begun.objects
        return
    except BucketryError:  # a rule refused it, perhaps on the way
        check_all_readers(registry)
        return
    check_all_readers(registry)
    versions = [summary.version for summary in registry.versions(CHAT)]
    check_still_changes(registry, versions[0])
    check_all_readers(registry)


@settings(max_examples=of_hundred(150))
@given(arguments=publishes)
def test_a_publish_is_refused_or_readable(begun: Begun, arguments: dict[str, Any]) -> None:
    check(begun, lambda registry: registry.publish(**{"model": CHAT, "sources": [begun.files], **arguments}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": {"epoch": 3}}, 'labels: "epoch" is 3, not a text'),
        ({"notes": LONG}, "notes has 65,537 characters; the limit is 65,536"),
        ({"notes": 5}, "notes is 5, not a text"),
        ({"training": Training(seed=1.5)}, "seed is 1.5, not a whole number"),  # type: ignore[arg-type]
        ({"training": Training(extra={"seed": "x"})}, "seed"),
        ({"lineage": Lineage(extra={"run": 5})}, "run"),
        ({"evidence": [Evidence("human", (), notes=5)]}, "notes is 5, not a text"),  # type: ignore[arg-type]
        ({"evidence": [Evidence("human", (Metric("auc", 1, extra={"unit": 3}),))]}, "unit"),
        ({"parameters": {"list": ["x" * 60_000] * 150}}, "over the limit of 8,388,608"),
        ({"base": f"{CHAT}:1", "relation": "finetune", "labels": {"a": "é" * 115, "b": "x"}}, None),
    ],
)
def test_nothing_is_uploaded_for_a_version_that_nobody_could_read(
    begun: Begun, tmp_path: Path, arguments: dict[str, Any], words: str | None
) -> None:
    (tmp_path / "new.bin").write_bytes(b"bytes that are not there yet")
    registry = copy_of(begun.objects)
    if words is None:
        registry.publish(CHAT, tmp_path / "new.bin", **arguments)
        check_all_readers(registry)
        return
    with pytest.raises(UsageError, match=words):
        registry.publish(CHAT, tmp_path / "new.bin", **arguments)
    assert content(registry) == begun.objects


def test_a_function_that_signs_something_else_is_refused(begun: Begun) -> None:
    registry = copy_of(begun.objects)
    other = Review(b"{}")
    for sign in (lambda _: None, lambda _: other, print):
        with pytest.raises(UsageError, match="not a Review of the statement"):
            registry.review(f"{CHAT}:1", "approve", sign=sign)  # type: ignore[arg-type]
        assert content(registry) == begun.objects
        with pytest.raises(UsageError, match="not a Review of the statement"):
            registry.publish(CHAT, begun.files, sign=sign)  # type: ignore[arg-type]
        assert not any(key.startswith("manifests/") and key not in begun.objects for key in content(registry))


def test_what_is_evaluated_is_refused_before_it_is_written(begun: Begun) -> None:
    registry = copy_of(begun.objects)
    for extra in ({"notes": 5}, {"format": 2}, {"harness": 5}):
        with pytest.raises(UsageError):
            registry.evaluate(f"{CHAT}:1", evidence=[Evidence("human", (Metric("f1", 1),), extra=extra)])
        assert content(registry) == begun.objects


@settings(max_examples=of_hundred(80))
@given(arguments=some(reference=anything, metrics=mostly(values), evidence=mostly(evaluations.map(lambda e: [e]))))
def test_an_evaluation_is_refused_or_readable(begun: Begun, arguments: dict[str, Any]) -> None:
    check(begun, lambda registry: registry.evaluate(**{"reference": f"{CHAT}:1", **arguments}))


ACTS: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
    "promote": (lambda r, **x: r.promote(**x), {"reference": f"{CHAT}:1", "alias": "canary", "reason": ""}),
    "unset": (lambda r, **x: r.unset(**x), {"model": CHAT, "alias": "production", "reason": ""}),
    "roll back": (lambda r, **x: r.roll_back(**x), {"model": CHAT, "alias": "production", "to": 1, "reason": ""}),
    "undo": (lambda r, **x: r.undo(**x), {"model": CHAT, "alias": "production", "generation": 1, "reason": ""}),
    "retire": (lambda r, **x: r.retire(**x), {"reference": f"{CHAT}:1", "reason": ""}),
    "unretire": (lambda r, **x: r.unretire(**x), {"reference": f"{CHAT}:1", "reason": ""}),
    "delete": (lambda r, **x: r.delete(**x), {"reference": f"{CHAT}:1", "reason": ""}),
    "request": (lambda r, **x: r.review(**x), {"reference": f"{CHAT}:1", "action": "request", "comment": ""}),
    "comment": (lambda r, **x: r.review(**x), {"reference": f"{CHAT}:1", "action": "comment", "comment": "well"}),
    "approve": (lambda r, **x: r.review(**x), {"reference": f"{CHAT}:1", "action": "approve", "comment": ""}),
    "report": (
        lambda r, **x: r.report(**x),
        {"reference": f"{CHAT}:1", "environment": "eu", "instance": "a", "path": "/x"},
    ),
    "describe": (lambda r, **x: edit_model(r.session, NAME, **x), {"description": "what it does"}),
    "note": (lambda r, **x: edit_version(r.session, NAME, 1, **x), {"notes": "well"}),
    "label": (lambda r, put: edit_version(r.session, NAME, 1, labels=LabelEdit(put)), {"put": {"a": "b"}}),
    "label a model": (lambda r, put: edit_model(r.session, NAME, labels=LabelEdit(put)), {"put": {"a": "b"}}),
}


@settings(max_examples=of_hundred(150))
@given(data=st.data(), name=st.sampled_from(sorted(ACTS)))
def test_whatever_else_is_written_is_refused_or_readable(begun: Begun, data: st.DataObject, name: str) -> None:
    act, valid = ACTS[name]
    given_ = data.draw(some(**{key: mostly(labels) if key == "put" else anything for key in valid}))
    check(begun, lambda registry: act(registry, **{**valid, **given_}))


@settings(max_examples=of_hundred(60))
@given(policy=policies, own=st.booleans())
def test_a_policy_is_refused_or_readable(begun: Begun, policy: Policy, *, own: bool) -> None:
    registry = copy_of(begun.objects)
    try:
        set_policy(registry.session, NAME if own else None, policy)
    except BucketryError:
        assert content(registry) == begun.objects
    check_all_readers(registry)


@settings(max_examples=of_hundred(40))
@given(identity=anything, name=st.sampled_from(sorted(ACTS)))
def test_whoever_acts_is_refused_or_named_in_what_can_be_read(begun: Begun, identity: Any, name: str) -> None:
    act, valid = ACTS[name]
    check(begun, lambda registry: act(replace(registry, session=replace(registry.session, actor=identity)), **valid))
