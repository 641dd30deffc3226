"""Is each argument taken as a plain value, or refused by its name?"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from bucketry.errors import UsageError
from bucketry.schema.arguments import (
    check_labels_size,
    plain_evidence,
    plain_labels,
    plain_lineage,
    plain_table,
    plain_text,
    plain_training,
    plain_value,
    plain_values,
)
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.documents.manifest import Lineage, Parent, Training
from bucketry.schema.names import Digest, ModelName

LONG = "x" * 65_537


class Optimizer(str, Enum):  # noqa: UP042 - what `vars(args)` holds in many a program
    ADAM = "adam"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.array(0.5), 0.5),
        (np.str_("adam"), "adam"),
        ((1, (2,)), [1, [2]]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (MappingProxyType({"a": None}), {"a": None}),
        (Path("data") / "train", "data/train"),
        (Optimizer.ADAM, "adam"),
        (date(2026, 3, 3), "2026-03-03"),
        (np.datetime64("2026-03-03"), "2026-03-03"),
        (np.longdouble(0.5), 0.5),
    ],
)
def test_what_has_one_obvious_meaning_is_taken_for_it(given: object, plain: object) -> None:
    found = plain_value(given, "x")
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(
    "given",
    [
        float("nan"), np.float32("inf"), 2**53, np.uint64(2**60), {1}, b"x", object(), print, Decimal("0.1"), 1j,
        np.array([1.0, 2.0]), {1: 2}, [[object()]], {"a": {"b": {3}}}, "\ud800", LONG,
    ],
)  # fmt: skip
def test_what_no_reader_would_read_as_it_was_given_is_refused_by_its_place(given: object) -> None:
    with pytest.raises(UsageError, match="params"):
        plain_table({"lr": given}, "params")


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="too deep"):
        plain_value(endless, "x")


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (Training(seed=1.5), "seed is 1.5, not a whole number"),  # type: ignore[arg-type]
        (Training(seed=True), "seed is True, not a whole number"),
        (Training(seed=2**60), r"seed is outside 2\^53"),
        (Training(cost=12.5), "cost is 12.5, not a text"),  # type: ignore[arg-type]
        (Training(duration_seconds="1h"), "duration_seconds is '1h', not a number"),  # type: ignore[arg-type]
        (Training(duration_seconds=-1.0), "duration_seconds is -1.0"),
        (Training(duration_seconds=float("nan")), "duration_seconds is nan"),
        (Training(cost=LONG), "cost has 65,537 characters; the limit is 65,536"),
        (Training(framework=LONG), "framework has 65,537 characters"),
        (Training(hardware=LONG), "hardware has 65,537 characters"),
        (Training(command=LONG), "command has 65,537 characters"),
        (Training(started_at=datetime(2026, 3, 3)), "started_at has no time zone"),  # type: ignore[arg-type]  # noqa: DTZ001
        (Training(datasets={"name": "x"}), "datasets is"),  # type: ignore[arg-type]
        (Training(datasets=("imdb",)), r"datasets\[0\] is 'imdb', not a table"),  # type: ignore[arg-type]
        (Training(datasets=({"name": "a\u2028b"},)), "a line separator, <U[+]2028>"),
        (Training(hyperparameters=5), "hyperparameters is 5, not a table"),  # type: ignore[arg-type]
        ({"seed": 1}, "not a Training"),
    ],
)
def test_a_training_that_no_reader_accepts_is_refused_by_the_name_of_its_field(training: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plain_training(training)


def test_seconds_and_moments_of_python_are_written_as_such() -> None:
    at = datetime(2026, 3, 3, 12, tzinfo=UTC)
    given: Any = Training(started_at=at, duration_seconds=timedelta(hours=1), seed=np.int64(7))  # type: ignore[arg-type]
    plain = plain_training(given)
    assert (plain.started_at, plain.duration_seconds, plain.seed) == ("2026-03-03T12:00:00Z", 3600.0, 7)


@pytest.mark.parametrize("name", ["experiment", "run"])
def test_a_lineage_is_of_texts_within_the_limit(name: str) -> None:
    for value, words in ((LONG, "65,536"), (5, "not a text"), (b"x", "not a text")):
        fields: Any = {name: value}
        with pytest.raises(UsageError, match=f"lineage: {name}.*{words}"):
            plain_lineage(Lineage(**fields))


def one(**fields: Any) -> Evidence:
    return Evidence("automated", (Metric("auc", 0.5),), **fields)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (one(notes=5), r"evidence\[0\]: notes is 5, not a text"),
        (one(notes=LONG), "notes has 65,537 characters"),
        (one(by=5), "by is 5, not a text"),
        (one(at=5), "at is 5, not a text"),
        (one(dataset="fraud"), "dataset is 'fraud', not a table"),
        (one(dataset={"name": "a\x1bb"}), r"dataset: name has a control character, \\x1b"),
        (Evidence("automated", (Metric("auc", 0.5, unit=3),)), r"metrics\[0\]: unit is 3, not a text"),  # type: ignore[arg-type]
        (Evidence("automated", (Metric("auc", 0.5, samples=-1),)), "samples is -1; the least is 0"),
        (Evidence("automated", (Metric("auc", 0.5, samples=1.5),)), "samples is 1.5"),  # type: ignore[arg-type]
        (Evidence("automated", (Metric("auc", "0.5"),)), "value is '0.5', not a number"),  # type: ignore[arg-type]
        (Evidence("automated", (Metric("auc", True),)), "value is True, not a number"),
        (Evidence("automated", (Metric("a\x1b[2Juc", 0.5),)), r"name has a control character, \\x1b"),
        (Evidence("automated", (Metric("auc", 0.5, slice={"age": 18}),)), "slice is 18, not a text"),  # type: ignore[dict-item]
        (Evidence("automated", (Metric("auc", 0.5, confidence=(0, 1)),)), "not a Confidence"),  # type: ignore[arg-type]
        (Evidence("automated", {"auc": 0.5}), "not a list of Metric"),  # type: ignore[arg-type]
        (Evidence("robot", ()), "kind is not one of"),
        ({"auc": 0.5}, "not a list of Evidence"),
        (["x"], r"evidence\[0\] is 'x', not an Evidence"),
    ],
)
def test_evidence_that_no_reader_accepts_is_refused_by_the_name_of_its_field(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plain_evidence([given] if isinstance(given, Evidence) else given)


def test_numbers_of_numpy_are_numbers_in_evidence() -> None:
    confidence = Confidence(np.float32(0.25), np.float64(0.75), 0.95)  # type: ignore[arg-type]
    metric = Metric("auc", np.float32(0.5), samples=np.int32(9), confidence=confidence)  # type: ignore[arg-type]
    (plain,) = plain_evidence(Evidence("automated", (metric,)))
    assert plain.metrics == (Metric("auc", 0.5, samples=9, confidence=Confidence(0.25, 0.75, 0.95)),)
    assert type(plain.metrics[0].value) is float
    assert plain_values({"auc": np.float16(0.5)}, "metrics") == {"auc": 0.5}


def test_a_label_is_a_plain_name_and_a_text_and_never_a_number() -> None:
    labels = MappingProxyType({"team": "fraud é", "k8s.io/app": ""})
    assert plain_labels(labels) == dict(labels)
    for name in ("", "-a", "a b", "é", "a" * 64, "a\n", "\x1b", 5, None):
        with pytest.raises(UsageError, match="not a label's name"):
            plain_labels({name: "x"})
    for value in (3, 3.5, True, None, np.int64(3), b"3", "\ud800"):
        with pytest.raises(UsageError, match='labels: "epoch"'):
            plain_labels({"epoch": value})
    with pytest.raises(UsageError, match="not a table"):
        plain_labels(["a=b"])
    with pytest.raises(UsageError, match="the limit is 100"):
        check_labels_size({"a": "x" * 100}, largest_bytes=100)


def test_a_text_has_a_limit_that_is_named() -> None:
    assert plain_text(np.str_("x" * 10), "notes", longest=10) == "x" * 10
    with pytest.raises(UsageError, match="notes has 11 characters; the limit is 10"):
        plain_text("x" * 11, "notes", longest=10)


def test_no_field_of_a_given_value_is_lost() -> None:
    """A field that is added to one of these must be added to what makes it plain."""
    metric = Metric(
        "auc",
        0.9,
        unit="u",
        direction="higher",
        slice={"age": "18-25"},
        confidence=Confidence(0.8, 1.0, 0.9),
        samples=7,
        standard_error=0.1,
        deviation=0.2,
        extra={"more": 1},
    )
    evidence = Evidence(
        "human", (metric,), "2026-01-01T00:00:00Z", "ada", {"name": "h"}, {"name": "d"}, "notes", {"more": 1}
    )
    training = Training(
        {"lr": 1}, ({"name": "d"},), "2026-01-01T00:00:00Z", 1.5, "c", {"e": 1}, "f", "h", 3, "1", {"m": 1}, {"p": 1}
    )
    parent = Parent(ModelName("acme", "base"), 1, Digest("0" * 64), "finetune")
    lineage = Lineage("e", "r", {"commit": "c"}, {"name": "p"}, (parent,), {"m": 1})
    for whole in (metric, evidence, training, lineage):
        bare = [field.name for field in fields(whole) if getattr(whole, field.name) in (None, "", {}, ())]
        assert not bare, f"give {type(whole).__name__}.{bare[0]} a value here"
    assert plain_evidence([evidence], "evidence") == (evidence,)
    assert plain_training(training) == training
    assert plain_lineage(lineage) == lineage
