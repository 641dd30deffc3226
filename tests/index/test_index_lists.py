"""Are the lists of the screens in the order that is asked for, and found without reading whole rows?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from bucketry.index import review_queue
from bucketry.index.search import has_model
from bucketry.index.store import Index
from bucketry.index.views import list_models_by, list_versions_by, load_model_lines, load_version_lines
from bucketry.registry.core.opening import open_session
from bucketry.registry.review.reviewing import ask_for_review
from bucketry.schema.names import ModelName, parse_model_name
from bucketry.store.s3.settings import S3Settings
from bucketry.store.s3.store import S3Store
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.registry.core.session import Session

RISK, OTHER, LONELY = (ModelName("default", name) for name in ("risk", "other", "lonely"))
STATES = ("registered", "in_review", "approved", "deleted")
VALUES = (0.5, 0.5, 0.25, -0.75, 0.0, 1e-9, 2e-9, 1, 3, -1e300, 1e300, 9.3e12, None)
AUTHORS = ("ada", "bob", "ci-1")


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """Return an index as a refresh would leave it, with metrics of every size and versions without any."""
    rng = random.Random(7)
    with Index(None) as opened:
        with opened.writing() as connection:
            for model_id, model in enumerate((RISK, OTHER, LONELY), 1):
                connection.execute(
                    "INSERT INTO models (id, name, etag, generation, versions, updated_at, description, labels)"
                    " VALUES (?, ?, 'e', 1, 9, '', '', '{}')",
                    (model_id, str(model)),
                )
                numbers = list(range(1, 151)) if model != LONELY else [1]
                rng.shuffle(numbers)  # ids are not in the order of the versions
                for version in numbers:
                    _insert(connection, model_id, version, rng)
        yield opened


def _insert(connection: sqlite3.Connection, model_id: int, version: int, rng: random.Random) -> None:
    state, author, value = rng.choice(STATES), rng.choice(AUTHORS), rng.choice(VALUES)
    if model_id == 3:
        state, author, value = "registered", "ci-1", 0.5
    version_id = connection.execute(
        "INSERT INTO versions (model_id, version, manifest, state, created_at, created_by, size_bytes, labels, metrics,"
        " created_us, author, words, pending) VALUES (?, ?, ?, ?, '', ?, ?, '{}', '{}', ?, ?, ?, 0)",
        (
            model_id,
            version,
            "ab" * 32,
            state,
            author,
            rng.randrange(5),
            rng.randrange(5),
            author,
            f"{author}\nv{version}",
        ),
    ).lastrowid
    if value is not None:
        connection.execute(
            "INSERT INTO metrics (version_id, name, slice, value, model_id, version) VALUES (?, 'auc', '', ?, ?, ?)",
            (version_id, value, model_id, version),
        )


def rows(index: Index) -> dict[int, tuple[int, str, int, int, str, float | None]]:
    """Return version, state, size, time, author and auc of the model's versions, by their ids."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT v.id, v.version, v.state, v.size_bytes, v.created_us, v.author, o.value FROM versions v"
            " LEFT JOIN metrics o ON o.version_id = v.id WHERE v.model_id = 1"
        ).fetchall()
    return {row[0]: row[1:] for row in found}


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(
    ("order", "place"), [("version", 0), ("state", 1), ("size", 2), ("created", 3), ("author", 4), ("metric:auc", 5)]
)
def test_a_list_is_in_its_order_and_among_equals_the_newest_is_first(
    index: Index, order: str, place: int, *, descending: bool
) -> None:
    known = {key: row for key, row in rows(index).items() if row[1] != "deleted"}
    newest_first = sorted(known, key=lambda key: -known[key][0])
    present = [key for key in newest_first if known[key][place] is not None]
    expected = sorted(present, key=lambda key: known[key][place], reverse=descending)  # type: ignore[arg-type, return-value]
    expected += [key for key in newest_first if known[key][place] is None]
    listed = list_versions_by(index, RISK, order=order, descending=descending)
    assert list(listed.ids) == expected
    assert listed.total == len(known) == len(listed.ids)


@pytest.mark.parametrize(
    ("query", "fits", "deleted"),
    [
        ("auc>0.25", lambda auc: auc is not None and auc > 0.25, False),
        ("!auc>0.25", lambda auc: auc is None or auc <= 0.25, False),
        ("auc=0.5", lambda auc: auc == 0.5, False),
        ("auc<=0", lambda auc: auc is not None and auc <= 0, False),
        ("state:deleted auc>0", lambda auc: auc is not None and auc > 0, True),
        ("loss>0", lambda _: False, False),
    ],
)
def test_a_filter_on_a_metric_means_the_versions_of_this_model_alone(
    index: Index, query: str, fits: Callable[[float | None], bool], *, deleted: bool
) -> None:
    known = rows(index)
    expected = {row[0] for row in known.values() if fits(row[5]) and (row[1] == "deleted") is deleted}
    listed = list_versions_by(index, RISK, query=query)
    assert {line.version for line in load_version_lines(index, RISK, listed.ids)} == expected
    assert listed.total == sum(row[1] != "deleted" for row in known.values())


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("risk", lambda _: True),  # the model's name has it
        ("~rk", lambda _: True),
        ("!~rk", lambda _: False),
        ("!risk", lambda _: False),
        ("~c1", lambda words: "ci-1" in words),
        ("~av1", lambda _: False),  # `ada` and `v1` are two lines
        ("v14", lambda words: "v14" in words),
        ("~[", lambda _: False),
        ("~*", lambda _: False),
    ],
)
def test_words_and_letters_mean_the_same_as_one_by_one(index: Index, query: str, fits: Callable[[str], bool]) -> None:
    known = [row for row in rows(index).values() if row[1] != "deleted"]
    expected = {row[0] for row in known if fits(f"{row[4]}\nv{row[0]}")}
    found = load_version_lines(index, RISK, list_versions_by(index, RISK, query=query).ids)
    assert {line.version for line in found} == expected


def test_models_are_meant_by_what_one_of_their_versions_fits(index: Index) -> None:
    def names(query: str) -> list[str]:
        return [str(line.model) for line in load_model_lines(index, list_models_by(index, query=query).ids)]

    assert names("state:approved") == ["other", "risk"]
    assert names("state:registered version=1 auc=0.5 author:ci")[:1] == ["lonely"]
    assert names("auc>1e301") == []


def test_a_list_of_a_large_model_is_found_without_reading_whole_rows(
    index: Index,
) -> None:
    asked: list[str] = []
    with index.reading() as connection:
        connection.set_trace_callback(asked.append)
        for query, order in (
            ("", "version"),
            ("ada !v7", "size"),
            ("state:approved", "author"),
            ("auc>0.1", "metric:auc"),
        ):
            list_versions_by(index, RISK, query=query, order=order)
        connection.set_trace_callback(None)
        plans = [
            " ".join(str(step[3]) for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
            for sql in asked
            if "group_concat" in sql
        ]
    *of_versions, sorted_values, fitting_values = plans
    assert len(of_versions) == 4
    assert all("v USING COVERING INDEX versions_listed" in plan for plan in of_versions)
    for plan in (sorted_values, fitting_values):
        assert "metrics USING COVERING INDEX metrics_by_value" in plan
        assert "TEMP B-TREE" not in plan


def test_the_review_queue_asks_the_index_that_the_caller_has_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry = open_in(tmp_path, monkeypatch)
    publish(registry, tmp_path, CHAT, {"a.bin": b"1"})
    session = registry.session
    ask_for_review(session, parse_model_name(CHAT), 1)

    def refuse(_: Session) -> Index:
        raise AssertionError("another index was opened")

    monkeypatch.setattr(review_queue, "open_index", refuse)
    with Index(None) as mine:
        queue = review_queue.load_review_queue(session, index=mine)
        assert [str(item.model) for item in queue.waiting] == [CHAT]
        assert has_model(mine, CHAT)


@pytest.mark.parametrize("where", ["s3://models", "s3://models/", "s3://models/prod", "s3://models/a/b/"])
def test_a_bucket_that_is_opened_late_has_the_name_that_it_will_have(where: str, tmp_path: Path) -> None:
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    settings = S3Settings(region="us-east-1", endpoint_url="https://127.0.0.1:1")
    assert open_session(where, identity="ada", late=True).store.name == S3Store(bucket, prefix, settings).name
    (tmp_path / "there").mkdir()
    assert open_session(str(tmp_path / "there"), identity="ada", late=True).store.name.startswith("file://")
