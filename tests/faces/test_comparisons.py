"""Do `diff` in all its forms, the compare screen, the panels, the gates and a decision say the same of a comparison?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.standings import load_standing
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.reviews import Action
from faces.both import command, csv_rows, left_of, markdown_rows, number_of, screen, table_rows, words_of
from tui.desk import RISK
from tui.evaluated import NEWEST, SERVING

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program
    from faces.conftest import Corpus
    from tui.desk import Desk

PAIRS = [(SERVING, NEWEST), (24, 3)]
WORDS = {
    "worse": "v WORSE",
    "better": "^ better",
    "lower": "v lower",
    "higher": "^ higher",
    "noise": "~ noise",
    "same": "= same",
}
REASONS = {
    "fewer than 200 samples": "? n<200",
    "no direction stated": "? no direction",
    "different data": "? different data",
    "measured in the baseline only": "? baseline only",
    "measured not in the baseline": "? not in baseline",
}
"""What the faces say for the words of the document; written down once more here, so that a change is noticed."""


def name_of(version: int) -> str:
    return f"credit-risk:{version}"


def expected_word(metric: dict[str, Any]) -> str:
    word = WORDS.get(metric["verdict"]) or REASONS[metric["reason"]]
    return word + ("*" if metric["assumed"] else "")


def part_of(metric: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in metric["slice"].items()) or "-"


def check_figures(metric: dict[str, Any], row: dict[str, str], versions: tuple[int, int]) -> None:
    """Check a row of a table against the document."""
    for version, exact in zip(versions, metric["values"], strict=True):
        text = row[f"v{version}"]
        assert (text == "-") == (exact is None), (metric, row)
        if exact is not None:
            shown, error = number_of(text)
            assert abs(shown - exact) <= error, (metric, row)
    assert row["VERDICT"] == expected_word(metric)
    if metric["delta"] is not None:
        shown, error = number_of(row["DELTA"])
        assert abs(shown - metric["delta"]) <= error, (metric, row)


def of_versions(document: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(one["name"], one["dataset"].get("name", "-"), part_of(one)): one for one in document["metrics"]}


def compare(corpus: Corpus, *versions: int, keys: tuple[str, ...] = ("z",)) -> list[str]:
    async def act(desk: Desk) -> None:
        await command(desk, "compare " + " ".join(map(name_of, versions)))
        await desk.press(*keys)

    return screen(corpus, act=act)


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture(params=["measured", "measured_elsewhere"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    found: Corpus = request.getfixturevalue(request.param)
    return found


def test_every_form_of_diff_says_what_the_document_says(
    program: Program, corpus: Corpus, pair: tuple[int, int]
) -> None:
    command_line: tuple[str | Path, ...] = ("-r", corpus.folder, "diff", *map(name_of, pair), "--all")
    metrics = of_versions(program.json(*command_line))
    table = table_rows(program.ok(*command_line).text.splitlines(), "METRIC")
    markdown = markdown_rows(program.ok(*command_line, "--format", "markdown").text.splitlines(), "METRIC")
    assert len(table) == len(metrics)
    assert markdown == table
    for row in table:
        name = re.sub(r" \(.*\)$", "", row["METRIC"])
        check_figures(metrics[name, row["DATA"], row["SLICE"]], row, pair)
    exact = csv_rows(program.ok(*command_line, "--format", "csv").text.splitlines())
    for row in (each for each in exact if each["section"] == "metric"):
        metric = metrics[row["name"], row["dataset"] or "-", row["slice"] or "-"]
        assert [row["baseline_value"], row["value"]] == ["" if one is None else repr(one) for one in metric["values"]]
        assert (row["verdict"], row["reason"]) == (metric["verdict"], metric["reason"])


def test_the_compare_screen_shows_the_rows_of_the_table(
    program: Program, corpus: Corpus, pair: tuple[int, int]
) -> None:
    lines = program.ok("-r", corpus.folder, "diff", *map(name_of, pair), "--all").text.splitlines()
    rows = [row for row in table_rows(lines, "METRIC") if row["SLICE"] == "-"]
    shown = compare(corpus, *pair)
    assert rows
    titles = {title.lstrip(">") for title in words_of(shown, "METRIC")}  # those that have room
    assert {"METRIC", "DELTA", "VERDICT", *(f"v{version}" for version in pair)} <= titles
    found = [" ".join(left_of(line).lstrip(" >").split()) for line in shown]
    for row in rows:
        expected = " ".join(cell for title, cell in row.items() if title in titles)
        assert any(line.startswith(expected) for line in found), (expected, found)


def test_slices_and_their_gap_are_the_same(program: Program, measured: Corpus, pair: tuple[int, int]) -> None:
    command_line: tuple[str | Path, ...] = ("-r", measured.folder, "diff", *map(name_of, pair), "--all")
    lines, document = program.ok(*command_line).text.splitlines(), program.json(*command_line)
    shown = compare(measured, *pair)
    (gap,) = document["slices"]
    (gaps,) = table_rows(lines[lines.index("Slices, and the gap from the best to the worst") :], "METRIC")
    said = next(line for line in shown if " worst gap " in line)
    for figure, exact in zip(re.findall(r"\.[0-9]+", left_of(said))[:2], gap["gap"], strict=True):
        number, error = number_of(figure)
        assert abs(number - exact) <= error
        assert figure in gaps.values() or figure in program.ok(*command_line).text
    assert gaps["THE GAP IS"] in said
    assert "without slices of n<200" in said
    assert "without slices of n<200" in lines
    for row in (each for each in table_rows(lines, "METRIC") if each["SLICE"] != "-"):
        words = words_of(shown, row["SLICE"].partition("=")[2])
        assert words[2:5] == [row[f"v{pair[0]}"], row[f"v{pair[1]}"], row["DELTA"]]
        assert " ".join(words[6:]).startswith(row["VERDICT"])


def test_a_slice_of_few_samples_is_judged_nowhere(program: Program, measured: Corpus) -> None:
    command_line: tuple[str | Path, ...] = ("-r", measured.folder, "diff", *map(name_of, (SERVING, NEWEST)))
    metrics = of_versions(program.json(*command_line))
    small = metrics["recall@1%fpr", "fraud-2026-10", "age_band=66+"]
    assert (small["samples"], small["verdict"], small["reason"]) == ([118, 118], "unjudged", "fewer than 200 samples")
    row = next(
        one for one in table_rows(program.ok(*command_line).text.splitlines(), "METRIC") if "66+" in one["SLICE"]
    )
    assert row["VERDICT"] == "? n<200"
    assert words_of(compare(measured, SERVING, NEWEST), "66+")[-2:] == ["?", "n<200"]


def test_what_else_differs_is_the_same(program: Program, measured: Corpus) -> None:
    lines = program.ok("-r", measured.folder, "diff", *map(name_of, (SERVING, NEWEST)), "--all").text.splitlines()
    shown = [" ".join(line.split()) for line in compare(measured, SERVING, NEWEST)]
    for title in ("PARAMETER", "DATASET", "FILE"):
        rows = table_rows(lines, title)
        assert rows
        for row in rows:
            assert any(" ".join(" ".join(row.values()).split()) in line for line in shown), (row, shown)


def test_three_versions_have_the_same_verdicts(program: Program, measured: Corpus) -> None:
    versions = (SERVING - 2, SERVING, NEWEST)
    lines = program.ok("-r", measured.folder, "diff", *map(name_of, versions), "--all").text.splitlines()
    document = program.json("-r", measured.folder, "diff", *map(name_of, versions), "--all")
    shown = compare(measured, *versions)
    for metric in document["metrics"]:
        words = [expected_word(one | {"assumed": one["assumed"]}) for one in metric["comparisons"]]
        line = next(
            one
            for one in lines
            if one.startswith(metric["name"]) and (f" {part_of(metric)} " in one if metric["slice"] else " -  " in one)
        )
        assert [word for word in re.split("  +", line) if re.match(r"[v^~=?] ", word)] == words, (metric, line)
        if not metric["slice"]:
            on_screen = " ".join(words_of(shown, metric["name"]))
            assert all((word if not word.startswith("?") else "?") in on_screen for word in words), (words, on_screen)


def test_the_panel_beside_the_list_shows_the_rows_of_diff(program: Program, measured: Corpus) -> None:
    lines = program.ok("-r", measured.folder, "diff", name_of(NEWEST), "--all").text.splitlines()
    shown = [line.rpartition("| ")[2] for line in screen(measured, "G", "enter")]
    for row in (each for each in table_rows(lines, "METRIC") if each["SLICE"] == "-"):
        expected = " ".join(cell for title, cell in row.items() if title not in {"SLICE", "DATA"}).split()
        assert words_of(shown, row["METRIC"])[: len(expected)] == expected


def test_the_panel_of_a_promotion_counts_the_verdicts_of_diff(program: Program, measured: Corpus) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("P")
        await desk.type("production")
        await desk.press("enter")

    shown = " ".join(" ".join(line.strip(" |").split()) for line in screen(measured, "G", "enter", act=act))
    metrics = of_versions(program.json("-r", measured.folder, "diff", name_of(NEWEST)))
    for (name, _, part), metric in metrics.items():
        word = {"worse": "v", "better": "^", "noise": "~"}.get(metric["verdict"])
        if part == "-" and word:
            group = re.search(rf"{metric['verdict']}: (.*?)(?: (?:better|noise|worse|not judged):|$)", shown)
            assert group is not None
            assert f"{name} {word}" in group[1]
    worse = sum(one["verdict"] == "worse" for (_, _, part), one in metrics.items() if part != "-")
    assert f"{worse} slices WORSE" in shown


def test_gates_say_the_same(program: Program, measured: Corpus) -> None:
    ran = program.run("-r", measured.folder, "gates", name_of(NEWEST))
    document = program.run("-r", measured.folder, "gates", name_of(NEWEST), "--json").document
    rows = table_rows(ran.text.splitlines(), "HOLDS")
    shown = " ".join(" ".join(left_of(line).split()) for line in compare(measured, SERVING, NEWEST))
    gates = document["gates"]
    assert len(rows) == len(gates) == 2
    for row, gate in zip(rows, gates, strict=True):
        assert (row["HOLDS"], row["GATE"], row["BECAUSE"]) == (
            "ok" if gate["passed"] else "FAILED",
            gate["gate"],
            gate["reason"],
        )
        for figure, exact in ((row["VALUE"], gate["value"]), (row["LIMIT"], gate["limit"])):
            assert float(figure) == exact
        short = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1", gate["reason"])
        said = f"{gate['gate']} ok" if gate["passed"] else f"gate FAILED {gate['gate']}: {short}"
        assert said in shown


def test_a_decision_cites_the_document_that_was_shown_on_either_face(program: Program, served: Corpus) -> None:
    document = program.json("-r", served.folder, "diff", name_of(11))
    del document["trust"]
    digest = digest_of(encode(document))
    program.ok("-r", served.folder, "review", "approve", name_of(11))

    async def act(desk: Desk) -> None:
        await command(desk, f"compare {name_of(9)} {name_of(11)}")
        await desk.press("A")
        await desk.type("seen")
        await desk.press("enter")

    screen(served, act=act)
    session = served.registry.session()
    head = load_existing_head(session, RISK)
    decisions = load_standing(session, head, load_row(session, head, 11)).decisions
    cited = [one.statement.diff for one in decisions if one.statement.action is Action.APPROVE]
    assert cited == [digest, digest]
