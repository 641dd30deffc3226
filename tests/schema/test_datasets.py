"""Is data told from other data by all that names it, and can the rows of a table be told apart?"""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.documents.datasets import IDENTITY, Dataset, dataset_labels, dataset_of, field_text


def test_all_that_names_data_is_its_identity_and_comes_back() -> None:
    stated = {name: name for name in IDENTITY}
    assert dataset_of(stated | {"rows": 5}).to_document() == stated
    assert dataset_of({"name": "x", "version": "", "args": {}, "split": None}) == Dataset("x")


def test_arguments_are_compared_whatever_their_order_and_form() -> None:
    assert field_text({"shots": 5, "seed": "1"}) == field_text({"seed": 1, "shots": "5"}) == "seed=1, shots=5"
    assert field_text(["a", {"b": 1}]) == '["a", {"b": 1}]'
    assert field_text(no := "no") == no
    assert field_text(value=True) == "true"


def test_a_label_begins_with_what_differs_and_names_a_task_only_then() -> None:
    first = Dataset("owner/flores", args="aaa bbb devtest", task="translation")
    assert dataset_labels([first]) == {first: "flores aaa bbb devtest"}
    second = Dataset("owner/flores", args="bbb aaa devtest", task="translation")
    assert list(dataset_labels([first, second]).values()) == ["aaa bbb devtest flores", "bbb aaa devtest flores"]
    tasks = [Dataset("beans", "2", task="ner"), Dataset("beans", "2", task="qa")]
    assert list(dataset_labels(tasks).values()) == ["ner beans", "qa beans"]
    shots = [Dataset("arc", args=f"num_few_shot={count}", split="test") for count in (5, 25)]
    assert list(dataset_labels(shots).values()) == ["..5 arc test", "..25 arc test"]
    twice = [Dataset("x", result="1"), Dataset("x", result="2")]
    assert list(dataset_labels(twice).values()) == ["#1 x", "#2 x"]


def test_data_that_differ_in_version_or_split_alone_are_named_first() -> None:
    found = [Dataset("messages", version="2026-10", split="test"), Dataset("messages", version="2026-11", split="test")]
    assert list(dataset_labels(found).values()) == ["messages 2026-10 test", "messages 2026-11 test"]
    assert dataset_labels([Dataset("a/x"), Dataset("b/x")]) == {Dataset("a/x"): "a/x", Dataset("b/x"): "b/x"}
    assert dataset_labels([Dataset()]) == {Dataset(): ""}


WORDS = st.none() | st.sampled_from(["a", "b", "num_few_shot=5", "num_few_shot=25", "default"])


@given(st.lists(st.builds(Dataset, st.just("x"), *itertools.repeat(WORDS, len(IDENTITY) - 1)), unique=True, max_size=4))
def test_no_two_data_sets_of_one_name_have_the_same_label(found: list[Dataset]) -> None:
    labels = dataset_labels(found)
    assert list(labels) == found
    assert len(set(labels.values())) == len(found)
    assert all("x" in label.split() for label in labels.values())
