from __future__ import annotations

import pytest

from bucketry.errors import UsageError
from bucketry.schema.documents.head import Row
from bucketry.schema.documents.states import State
from bucketry.schema.moments import parse_day_or_moment
from bucketry.schema.names import Digest, ModelName
from bucketry.schema.search.details import Details
from bucketry.schema.search.match import Candidate, fits, has_letters, matches_pattern
from bucketry.schema.search.query import (
    AliasIs,
    AuthorHas,
    BaseIs,
    Condition,
    CreatedIs,
    DatasetHas,
    LabelIs,
    LettersIn,
    MetricIs,
    ModelLike,
    NotesHave,
    ParameterIs,
    SizeIs,
    StateIs,
    Term,
    VersionIs,
    WordIn,
    parse_query,
)

CHAT, BASE = ModelName("acme", "chat"), ModelName("acme", "base")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("chat", WordIn("chat")),
        ("CHAT", WordIn("chat")),
        ('"two Words"', WordIn("two words")),
        ('"state:approved"', WordIn("state:approved")),
        ('"auc>0.9"', WordIn("auc>0.9")),
        ('"auc>0.9"x', WordIn("auc>0.9x")),
        ('"macro avg f1">0.9', MetricIs("macro avg f1", (), ">", 0.9)),
        ('"macro avg f1"[age=18-25]<=.9', MetricIs("macro avg f1", (("age", "18-25"),), "<=", 0.9)),
        ("acme/chat:7", WordIn("acme/chat:7")),
        ("state:approved", StateIs(State.APPROVED)),
        ("state:IN_REVIEW", StateIs(State.IN_REVIEW)),
        ("author:Ada@example.org", AuthorHas("ada@example.org")),
        ("alias:production", AliasIs("production")),
        ("model:acme/*", ModelLike("acme/*")),
        ("model:default/chat", ModelLike("chat")),
        ("label:Team=Risk", LabelIs("team", "risk")),
        ("label:team", LabelIs("team", None)),
        ("label:a=b=c", LabelIs("a", "b=c")),
        ('label:team="two words"', LabelIs("team", "two words")),
        ("base:acme/base:3", BaseIs(BASE, 3)),
        ("base:acme/base", BaseIs(BASE, None)),
        ("data:Web", DatasetHas("web")),
        ('notes:"on call"', NotesHave("on call")),
        ("auc>0.9", MetricIs("auc", (), ">", 0.9)),
        ("auc>=.9", MetricIs("auc", (), ">=", 0.9)),
        ("loss<-1e-3", MetricIs("loss", (), "<", -0.001)),
        ("mmlu:acc=1", MetricIs("mmlu:acc", (), "=", 1.0)),
        ("recall@1%fpr!=0.5", MetricIs("recall@1%fpr", (), "!=", 0.5)),
        ("auc[age=18-25]>0.8", MetricIs("auc", (("age", "18-25"),), ">", 0.8)),
        ("auc[sex=f,age=66+]<=0.8", MetricIs("auc", (("age", "66+"), ("sex", "f")), "<=", 0.8)),
        ("param.lr<=1e-3", ParameterIs("lr", "<=", 0.001, "1e-3")),
        ("param.optim.name=adam", ParameterIs("optim.name", "=", None, "adam")),
        ("size>10GB", SizeIs(">", 10_000_000_000)),
        ("size<=1.5KiB", SizeIs("<=", 1_536)),
        ("size=7", SizeIs("=", 7)),
        ("version<=7", VersionIs("<=", 7)),
        ("version=v7", VersionIs("=", 7)),
        ("created>2026-10-01", CreatedIs(">", parse_day_or_moment("2026-10-01"))),
        ("created<2026-10-01T12:00:00Z", CreatedIs("<", parse_day_or_moment("2026-10-01T12:00:00Z"))),
    ],
)
def test_a_part_means_one_condition(text: str, condition: Condition) -> None:
    assert parse_query(text).terms == (Term(condition),)
    assert parse_query(f"-{text}").terms == (Term(condition, negated=True),)
    assert parse_query(f"!{text}").terms == (Term(condition, negated=True),)


def test_parts_are_joined_and_an_empty_query_asks_nothing() -> None:
    assert len(parse_query("  a   b\tstate:approved\n").terms) == 3
    assert parse_query("").terms == parse_query(" \t ").terms == ()
    assert parse_query("- a").terms == (Term(WordIn("-")), Term(WordIn("a")))


@pytest.mark.parametrize(
    ("text", "place", "message", "advice"),
    [
        ("chat state:aproved", 6, "aproved", "approved"),
        ("auc>high", 1, "not a number", "0.9"),
        ("auc>", 1, "nothing stands behind", "number"),
        ("a b auc>nan", 5, "not a number", "0.9"),
        ("auc>inf", 1, "not a number", "0.9"),
        ("state:", 1, "nothing stands behind", "state:"),
        ("stat:approved", 1, "stat:", "state:"),
        ("size>10XB", 1, "not a size", "10GB"),
        ("size>10iB", 1, "not a size", "10GB"),
        ("created>yesterday", 1, "not a time", "2026-03-03"),
        ("created>0001-01-01T00:00+23:59", 1, "not a time", "2026-03-03"),
        ("param.lr<fast", 1, "not a number", "param.lr="),
        ("auc[age]>1", 1, "not a slice", "auc[age=18-25]"),
        ("alias:latest", 1, "not an alias", "letter"),
        ("model:ACME", 1, "not a pattern", "model:acme"),
        ("base:acme/base@production", 1, "not a model or a version", "base:acme/base:3"),
        ("label:=x", 1, "no name", "label:"),
        ('chat "open', 6, "has no end", "close it"),
        ("version>three", 1, "not a number", "0.9"),
    ],
)
def test_a_wrong_part_is_named_with_its_place_and_what_to_write(
    text: str, place: int, message: str, advice: str
) -> None:
    with pytest.raises(UsageError) as raised:
        parse_query(text)
    assert f"character {place} of the query" in raised.value.message
    assert message in raised.value.message
    assert advice in raised.value.advice


def test_a_wrong_part_cannot_reach_the_terminal_as_it_is() -> None:
    with pytest.raises(UsageError) as raised:
        parse_query("state:\x1b[2J\u202e")
    assert raised.value.message.isprintable()


def test_a_query_has_limits() -> None:
    with pytest.raises(UsageError, match="2,000"):
        parse_query("x" * 2_001)
    with pytest.raises(UsageError, match="32"):
        parse_query("x " * 33)


@pytest.mark.parametrize("text", ["auc>1", "param.a=1", "base:a:1", "data:x", "notes:x", "!auc>1 chat"])
def test_manifest_and_evidence_are_needed_where_rows_do_not_tell(text: str) -> None:
    assert parse_query(text).needs_details


@pytest.mark.parametrize("text", ["", "chat", "state:approved", "label:a", "size>1", "created>2026-01-01", "alias:a"])
def test_rows_are_enough_for_the_rest(text: str) -> None:
    assert not parse_query(text).needs_details


@pytest.mark.parametrize(
    ("comparison", "days"),
    [
        ("<", "09-30"),
        ("<=", "09-30 10-01"),
        (">", "10-02"),
        (">=", "10-01 10-02"),
        ("=", "10-01"),
        ("!=", "09-30 10-02"),
    ],
)
def test_a_day_is_all_of_it(comparison: str, days: str) -> None:
    query = parse_query(f"created{comparison}2026-10-01")
    rows = {day: f"2026-{day}T12:00:00.000Z" for day in ("09-30", "10-01", "10-02")}
    assert [day for day, at in rows.items() if fits(query, candidate(created_at=at))] == days.split()


def test_the_first_and_the_last_moment_of_a_day_are_in_it() -> None:
    query = parse_query("created=2026-10-01")
    assert fits(query, candidate(created_at="2026-10-01T00:00:00Z"))
    assert fits(query, candidate(created_at="2026-10-01T23:59:59.999999Z"))
    assert not fits(query, candidate(created_at="2026-10-02T00:00:00Z"))
    assert fits(parse_query("created=2026-10-01T12:00"), candidate(created_at="2026-10-01T12:00:59.9Z"))
    assert not fits(parse_query("created=2026-10-01T12:00:00"), candidate(created_at="2026-10-01T12:00:01Z"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("param.lr<=1e-3", True),
        ("param.lr=0.001", True),
        ("param.lr!=0.001", False),
        ("param.lr!=adam", True),
        ("param.optimizer=adam", True),
        ("param.optimizer!=adam", False),
        ("param.optimizer>1", False),
        ("param.flag=true", True),
        ("param.flag=1", False),
        ("param.missing!=1", False),
        ("-param.missing=1", True),
        ("auc=0.9", True),
        ("auc[age=18-25]<0.5", True),
        ("auc[age=18-25]=0.9", False),
        ("base:acme/base", True),
        ("base:acme/base:3", True),
        ("base:acme/base:4", False),
        ("data:FRAUD", True),
        ("notes:slow", True),
        ("label:team", True),
        ("label:TEAM=risk", True),
        ("label:team=ris", False),
        ("risk", True),
        ("v7", True),
        ("acme/ch", True),
        ("prod", True),
        ("alias:prod", False),
        ("model:acme/*", True),
        ("model:*/chat", True),
        ("model:acme/?hat", True),
        ("model:chat", False),
    ],
)
def test_a_version_fits_or_not(text: str, expected: bool) -> None:  # noqa: FBT001 - what the table says
    details = Details(
        metrics={("auc", ()): 0.9, ("auc", (("age", "18-25"),)): 0.4},
        parameters={"lr": 0.001, "optimizer": "adam", "flag": True},
        datasets=("fraud-2026-10",),
        parents=((BASE, 3),),
        notes="Slow on Mondays",
    )
    assert fits(parse_query(text), candidate(details)) is expected


def test_the_name_counts_for_words_only_where_there_are_several_models() -> None:
    row = candidate().row
    assert not fits(parse_query("chat"), Candidate(CHAT, row, [], with_name=False))
    assert fits(parse_query("chat"), Candidate(CHAT, row, []))


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches_pattern("*a" * 60, "a" * 59 + "b" * 5_000)
    assert matches_pattern("*a*b*", "xxaxxbxx")
    assert matches_pattern("", "")
    assert not matches_pattern("?", "")


def candidate(details: Details | None = None, *, created_at: str = "2026-03-03T12:00:00Z") -> Candidate:
    row = Row(
        version=7,
        manifest=Digest("0" * 64),
        placement=((1, 1),),
        size_bytes=10,
        created_at=created_at,
        created_by="Ada@example.org",
        labels={"team": "Risk"},
    )
    return Candidate(CHAT, row, ["production"], details or Details())


def test_a_label_with_a_dot_is_told_how_it_is_asked_about() -> None:
    with pytest.raises(UsageError) as raised:
        parse_query("label.team=nlp")
    assert raised.value.advice == "write label:team=nlp"


@pytest.mark.parametrize(
    ("text", "letters", "found"),
    [
        ("credit-risk", "crdrsk", True),
        ("credit-risk", "rskcrd", False),
        ("aab", "ab", True),
        ("ab", "aab", False),
        ("cre\ndit", "crd", False),  # not over the end of a line
        ("x\nab", "ab", True),
    ],
)
def test_letters_are_found_in_their_order_in_one_line(text: str, letters: str, *, found: bool) -> None:
    assert has_letters(text, letters) is found


def test_a_tilde_asks_for_letters_and_alone_or_quoted_for_itself() -> None:
    asked = [term.condition for term in parse_query('~CrD ~ "~x"').terms]
    assert asked == [LettersIn("crd"), WordIn("~"), WordIn("~x")]
