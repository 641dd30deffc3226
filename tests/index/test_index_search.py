"""Does the index answer as a look at each version would, in any order, page by page, whatever the texts are?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import NotFoundError, UsageError
from bucketry.index.listing import ALPHABET, plan_parts
from bucketry.index.refresh import refresh_index
from bucketry.index.search import (
    count_models_found,
    has_model,
    iter_versions_found,
    list_alias_names,
    list_model_names,
    list_models_found,
    parse_order,
)
from bucketry.index.store import Index
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import iter_rows, load_added_evidence, load_dossier
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.lifecycle import LabelEdit, edit_version
from bucketry.registry.versions.listing import iter_versions, list_models
from bucketry.schema import keys
from bucketry.schema.documents.states import State
from bucketry.schema.names import ModelName, parse_model_name, parse_reference
from bucketry.schema.search.details import details_of
from bucketry.schema.search.match import Candidate, fits
from bucketry.schema.search.query import parse_query
from index.indexed import change_at_random, dump
from simulation.actors import CHAT
from simulation.scenes import FEW, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session

QUERIES = """
|chat|ACME|v2|ada|approved|prod|risk|"x' or '1'='1"|100%|a_b|äö|"\\"|*|-chat|!prod
state:registered|state:retired|-state:retired|state:in_review|state:deleted|-state:deleted
author:ADA|author:o'brien|-author:ci|alias:production|-alias:production|alias:canary
model:acme/*|model:*/score|model:pl?in|model:plain|-model:acme/*
label:team|label:team=risk|label:TIER=core|label:team="x' OR '1'='1"|-label:team
base:acme/base|base:acme/base:1|base:acme/base:2|-base:acme/base|data:fraud|data:FRAUD-1|-data:fraud-2
notes:noted|notes:"x' or"|-notes:noted
auc>0.5|auc<=0.5|auc!=0.5|auc=0.5|-auc>0.5|loss<0.3|nothing>0|auc[age=66+]>0.5|auc[age=18-25]<0.5|-auc[age=66+]>0
param.lr<=1e-2|param.lr=0.001|param.lr!=0.001|param.optim.name=adam|param.optim.name!=adam|param.layers>=2
param.layers=2|-param.layers=2|param.nothing=1
created>2026-05-01|created<=2026-03-03|created=2026-03-03|created!=2026-03-03|size>4|size=0|version>2|version!=1
auc>0.3 param.lr<=1e-2 -state:retired model:acme/*|team state:registered size<1GB created>2026-01-01
""".strip("\n")
ALL_QUERIES = [part for line in QUERIES.splitlines() for part in line.split("|")]


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Session, Index]]:
    world = World(SeededScript(0))
    begin(world, FEW)
    session = founder(world.bucket)
    change_at_random(session, random.Random(11), 250)
    with Index(None) as index:
        assert refresh_index(index, session).faults == ()
        yield session, index


def test_the_registry_of_these_tests_has_something_of_everything(filled: tuple[Session, Index]) -> None:
    _, index = filled
    sizes = {table: len(rows) for table, rows in dump(index).items() if table != "pages"}
    assert min(sizes.values()) >= 3, sizes
    assert {found.state for found in iter_versions_found(index, parse_query(""))} >= {State.RETIRED, State.IN_REVIEW}
    assert list(iter_versions_found(index, parse_query("state:deleted")))


@pytest.mark.parametrize("text", ALL_QUERIES)
def test_sql_finds_what_a_look_at_each_version_finds(filled: tuple[Session, Index], text: str) -> None:
    session, index = filled
    query = parse_query(text)
    expected = {
        (candidate.model, candidate.row.version)
        for candidate in candidates(session)
        if fits(query, candidate) and (candidate.row.state is not State.DELETED or query.asks_for_deleted)
    }
    assert {(found.model, found.version) for found in iter_versions_found(index, query)} == expected


@pytest.mark.parametrize(
    "text", ["state:retired", "v1", "chat", "auc>0.3 -state:retired", "base:acme/base", "-data:fraud-1"]
)
def test_versions_of_a_model_are_found_without_the_index_too(filled: tuple[Session, Index], text: str) -> None:
    session, index = filled
    head = load_existing_head(session, CHAT)
    listed = [summary.version for summary in iter_versions(session, head, query=text)]
    indexed = iter_versions_found(index, parse_query(text), order=parse_order("-version"))
    own = [found.version for found in indexed if found.model == CHAT]
    assert listed == (own if text != "chat" else [])  # the name does not count where there is one model


def test_most_queries_tell_versions_apart(filled: tuple[Session, Index]) -> None:
    _, index = filled
    everything = len(list(iter_versions_found(index, parse_query(""))))
    counts = [len(list(iter_versions_found(index, parse_query(text)))) for text in ALL_QUERIES]
    assert sum(0 < count < everything for count in counts) > len(ALL_QUERIES) * 0.7


ORDERS = [
    *("-created", "created", "size", "-size", "model", "author"),
    *("state", "-version", "auc", "-loss", "-auc[age=66+]"),
]


@pytest.mark.parametrize("order", ORDERS)
def test_pages_together_are_the_whole_list_in_its_order(filled: tuple[Session, Index], order: str) -> None:
    _, index = filled
    query, parsed = parse_query(""), parse_order(order)
    whole = list(iter_versions_found(index, query, order=parsed))
    paged, after = [], None
    for _ in range(len(whole)):
        page = list(iter_versions_found(index, query, order=parsed, limit=7, after=after))
        paged += page
        if len(page) < 7:
            break
        after = parse_reference(f"{page[-1].model}:{page[-1].version}")
    assert paged == whole
    assert len(whole) > 20


def test_what_has_no_such_metric_comes_last_either_way(filled: tuple[Session, Index]) -> None:
    _, index = filled
    for order in ("auc", "-auc"):
        found = iter_versions_found(index, parse_query(""), order=parse_order(order), shown_metrics=["auc"])
        values = [version.metrics.get("auc") for version in found]
        known = [value for value in values if value is not None]
        assert values == [*known, *([None] * (len(values) - len(known)))]
        assert known == sorted(known, reverse=order == "-auc")
        assert 0 < len(known) < len(values)


def test_to_continue_after_what_is_not_there_is_an_error(filled: tuple[Session, Index]) -> None:
    _, index = filled
    with pytest.raises(NotFoundError, match="acme/chat:9999"):
        list(iter_versions_found(index, parse_query(""), after=parse_reference("acme/chat:9999")))
    with pytest.raises(UsageError, match="one version"):
        list(iter_versions_found(index, parse_query(""), after=parse_reference("acme/chat@production")))


@pytest.mark.parametrize(
    "attack",
    [
        "x' OR '1'='1",
        "'; DROP TABLE versions; --",
        '" OR ""="',
        "%",
        "_",
        "*",
        "?",
        "[a-z]",
        "\\",
        "\x00",
        "?1",
        ":name",
        "NULL",
    ],
)
def test_no_text_is_ever_sql(filled: tuple[Session, Index], attack: str) -> None:
    _, index = filled
    before = dump(index)
    quoted = attack.replace('"', "")
    for text in (f'"{quoted}"', f'author:"{quoted}"', f'label:"{quoted}"', f'label:a="{quoted}"', f'data:"{quoted}"'):
        list(iter_versions_found(index, parse_query(text)))
        list_models_found(index, parse_query(text))
    list(iter_versions_found(index, parse_query(f'notes:"{quoted}"')))
    for text in (f"{quoted}>1", f"auc[{quoted}=1]>1", f"param.{quoted}=1", f'param.a="{quoted}"'):
        try:
            query = parse_query(text)
        except UsageError:
            continue
        assert list(iter_versions_found(index, query)) == []
    list(iter_versions_found(index, parse_query(""), order=parse_order("auc' --")))
    assert list_model_names(index, attack) == []
    assert list_alias_names(index, "acme/chat", attack) == []
    assert dump(index) == before


def test_hostile_texts_are_kept_and_found_as_they_are() -> None:
    world = World(SeededScript(0))
    begin(world, FEW)
    session = founder(world.bucket)
    text = "a'b\"c\\d%_*[x]\x1b[2J\u202eÄ\u0130"
    edit_version(session, CHAT, 2, notes=text, labels=LabelEdit({"A.b": text}))
    with Index(None) as index:
        refresh_index(index, session)
        (found,) = iter_versions_found(index, parse_query("label:a.B"))
        assert (found.version, found.labels) == (2, {"A.b": text})
        assert [f.version for f in iter_versions_found(index, parse_query("notes:[x]\x1b[2j"))] == [2]


def test_models_are_asked_by_name_and_by_any_of_their_versions(filled: tuple[Session, Index]) -> None:
    session, index = filled
    listed = list_models(session)
    found = list_models_found(index, parse_query(""))
    assert [(str(one.model), one.versions, one.newest, one.updated_at, one.description) for one in found] == [
        (str(one.model), one.versions, one.newest, one.updated_at, one.description) for one in listed
    ]
    assert [[(a.alias, a.version, a.manifest, a.generation) for a in one.aliases] for one in found] == [
        [(r.alias, r.target.version, r.target.manifest, r.generation) for r in one.aliases if r.target]
        for one in listed
    ]
    assert names(index, "chat") == ["acme/chat"]
    assert names(index, "-chat") == ["acme/base", "plain", "risk/score"]
    with_alias = {str(v.model) for v in iter_versions_found(index, parse_query("alias:production"))}
    assert set(names(index, "alias:production")) >= with_alias
    for text in ("auc>0.9", "state:retired", "label:team=risk param.layers=2"):
        assert names(index, text) == sorted({str(v.model) for v in iter_versions_found(index, parse_query(text))})


def test_models_come_in_pages_and_are_counted(filled: tuple[Session, Index]) -> None:
    session, index = filled
    everything = parse_query("")
    first = list_models_found(index, everything, limit=2)
    rest = list_models_found(index, everything, after=first[-1].model)
    assert [str(one.model) for one in (*first, *rest)] == names(index, "")
    assert count_models_found(index, everything, after=first[-1].model) == len(rest) == 2
    assert list_models(session, limit=2, after=ModelName("acme", "base")) == list_models(session)[1:3]


def test_names_are_completed_exactly(filled: tuple[Session, Index]) -> None:
    _, index = filled
    assert list_model_names(index, "") == names(index, "")
    assert list_model_names(index, "acme/c") == ["acme/chat"]
    assert list_model_names(index, "acme%") == []
    assert "production" in list_alias_names(index, "acme/chat", "prod")
    assert list_alias_names(index, "nothing", "") == []
    assert has_model(index, "plain")
    assert not has_model(index, "plai_")


def names(index: Index, text: str) -> list[str]:
    return [str(found.model) for found in list_models_found(index, parse_query(text))]


def candidates(session: Session) -> Iterator[Candidate]:
    for summary in list_models(session):
        head = load_existing_head(session, summary.model)
        registers = load_aliases(session, head)
        for row in iter_rows(session, head):
            aliases = [r.alias for r in registers if r.target and r.target.version == row.version]
            dossier, manifest = load_dossier(session, head, row), load_manifest(session, head.model, row.manifest)
            evidence = (*manifest.evidence_at_publish, *load_added_evidence(session, dossier))
            details = details_of(row, manifest, dossier, evidence)
            known = row.state is not State.DELETED
            yield Candidate(head.model, row, aliases, details) if known else Candidate(head.model, row, aliases)


# The parts of a listing ----------------------------------------------------------------------------------------------

part = st.text(alphabet="ab0-.", min_size=1, max_size=6).map(lambda text: f"a{text}0")


@given(st.sets(st.tuples(part, part), max_size=30), st.lists(st.tuples(part, part), max_size=5), st.integers(1, 5))
def test_every_key_is_in_exactly_one_part(known: set[tuple[str, str]], new: list[tuple[str, str]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bucketry.index.listing.PART_KEYS", (most,))
        patched.setattr("bucketry.index.listing._replies_in_a_row", lambda parts: -len(parts))
        parts = plan_parts([keys.HEADS], [f"{keys.HEADS}{space}/{name}.json" for space, name in known])
    assert len(parts) > 1 or len(known) <= most
    for space, name in [*known, *new, ("zebra", "x"), ("a", "b.json"), ("a", "b.json.json")]:
        key = f"{keys.HEADS}{space}/{name}.json"
        assert sum(key.startswith(prefix) for prefix in parts) == 1, (key, parts)


@pytest.mark.parametrize(("namespaces", "most_replies"), [(1, 40), (5, 25), (16, 10)])
def test_many_keys_are_listed_at_once_where_that_is_quicker(namespaces: int, most_replies: int) -> None:
    models = [parse_model_name(f"team{number % namespaces}/model-{number:06d}") for number in range(100_000)]
    roots = [f"{keys.HEADS}team{number}/" for number in range(namespaces)]
    known = [keys.head(model) for model in models]
    parts = plan_parts(roots, known)
    sizes = [sum(key.startswith(prefix) for key in known[::7]) * 7 for prefix in parts]
    replies = [1 + size // 1_000 for size in sizes]
    assert max(*replies, sum(replies) / 16) <= most_replies
    assert sum(sizes) >= len(known)


def test_a_key_that_begins_others_is_not_split_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.index.listing.PART_KEYS", (1,))
    monkeypatch.setattr("bucketry.index.listing._replies_in_a_row", lambda parts: -len(parts))
    parts = plan_parts([keys.HEADS], [f"{keys.HEADS}a/b.json{number}.json" for number in range(9)])
    assert len(parts) > 1
    assert sum(f"{keys.HEADS}a/b.json".startswith(prefix) for prefix in parts) == 1


def test_few_keys_stay_together() -> None:
    assert plan_parts(["heads/a/", "heads/b/"], ["heads/a/x.json"] * 900) == ["heads/a/", "heads/b/"]


def test_every_character_of_a_name_is_in_the_alphabet() -> None:
    assert set("abcdefghijklmnopqrstuvwxyz0123456789._-/") == set(ALPHABET)


def test_a_large_registry_is_listed_by_namespaces_and_nothing_new_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucketry.index.listing.FEW_KEYS", 1)
    monkeypatch.setattr("bucketry.index.listing.PART_KEYS", (1,))
    monkeypatch.setattr("bucketry.index.listing._replies_in_a_row", lambda parts: -len(parts))
    world = World(SeededScript(0))
    begin(world, FEW)
    session = founder(world.bucket)
    with Index(None) as index, Index(None) as fresh:
        for seed in range(3):
            refresh_index(index, session)
            change_at_random(session, random.Random(seed), 30)
        refresh_index(index, session)
        monkeypatch.undo()
        refresh_index(fresh, session)
        assert dump(index) == dump(fresh)
        assert len(names(index, "")) == 4
