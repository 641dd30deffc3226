"""Do both faces say the same of versions, what waits, lineage, who serves what, transfers and the audit trail?"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bucketry.schema import keys
from bucketry.store.contract import Unconditional
from bucketry.store.folder.store import FolderStore
from faces.both import WIDEST_LIST, command, screen, table_rows
from faces.conftest import corpus
from tui.carrying import busy_jobs, stand_in, upload_jobs
from tui.desk import CHAT, filled_registry

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.jobs.model import Job
    from cli.harness import Program
    from faces.conftest import Corpus
    from tui.desk import Desk

FACTS = {
    *("state", "aliases", "digest", "published", "size", "card", "labels", "made from", "used by", "experiment", "run"),
    *("code", "pipeline", "command", "framework", "hardware", "seed", "cost", "dataset", "parameters"),
}
Listed = Callable[[], "tuple[Job, ...]"]
DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


def squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.lstrip(" >").split()) for line in lines]


def facts_of(lines: list[str]) -> list[tuple[str, str]]:
    """Return the facts of a version: names padded to a column, and what follows."""
    found = [re.match(r"(\S+(?: \S+)?)\s{2,}(\S.*)$", line.strip()) for line in lines]
    return [(one[1], " ".join(one[2].split())) for one in found if one and one[1] in FACTS]


@pytest.mark.parametrize(("name", "places"), [("storied", (13, 9, 8)), ("served", (12, 10, 9, 8))])
def test_a_version_has_the_same_facts(
    program: Program, request: pytest.FixtureRequest, name: str, places: tuple[int, ...]
) -> None:
    corpus: Corpus = request.getfixturevalue(name)
    for number in places:
        told = program.ok("-r", corpus.folder, "show", f"credit-risk:{number}").text.splitlines()
        shown = opened(corpus, number)
        facts = facts_of(told)
        assert len(facts) >= 6
        assert facts == facts_of(shown)
        flat = squeezed(shown)
        for title in ("DECISION", "FILE"):
            if any(line.startswith(title) for line in told):
                for row in table_rows(told, title):
                    assert " ".join(" ".join(row.values()).split()) in flat


def opened(corpus: Corpus, number: int, *keys: str) -> list[str]:
    """Return the screen of a version, found in the list by its number."""

    async def act(desk: Desk) -> None:
        await desk.press("slash")
        await desk.type(f"v{number}")
        await desk.press("enter", "enter", *keys)

    return screen(corpus, "G", "enter", act=act)


@pytest.mark.parametrize("name", ["measured", "served", "storied"])
def test_the_list_of_versions_is_the_same(program: Program, request: pytest.FixtureRequest, name: str) -> None:
    at: Corpus = request.getfixturevalue(name)
    rows = table_rows(program.ok("-r", at.folder, "versions", "credit-risk").text.splitlines(), "VERS")
    shown = squeezed(screen(at, "G", "enter", size=WIDEST_LIST))
    heading = next(line for line in shown if line.startswith("VERS ")).split()
    common = [title for title in heading if title in rows[0]]
    assert {"VERS", "SIZE", "AGE", "BY"} < set(common), "and the metrics"
    assert len(rows) > 8
    for row in rows:
        line = next(line for line in shown if line.startswith(f"{row['VERS']} "))
        cells = r" (?:.* )?".join(re.escape(row[title]) for title in common)
        assert re.match(f"{cells}(?: |$)", line), (row, line)
        assert all(alias in line for alias in row["ALIASES"].split() if alias != "-"), (row, line)


def test_what_search_finds_has_the_cells_of_the_list(program: Program, served: Corpus) -> None:
    listed = table_rows(program.ok("-r", served.folder, "versions", "credit-risk").text.splitlines(), "VERS")
    lines = program.ok("-r", served.folder, "search", "model:credit-risk", "--sort", "-version").text.splitlines()
    found = table_rows(lines, "VERSION")
    assert len(found) == len(listed)
    for one, other in zip(found, listed, strict=True):
        assert one.pop("VERSION") == f"credit-risk:{other['VERS'].removeprefix('v')}"
        assert one == {title: other[title] for title in one}


def test_the_list_of_models_is_the_same(program: Program, served: Corpus) -> None:
    rows = models_of(program, served)
    shown = screen(served)
    assert [row["MODEL"] for row in rows] == ["acme/chat", "credit-risk"]
    for row in rows:
        assert_on_screen(row, shown)


def test_of_a_damaged_model_both_say_what_is_wrong_and_nothing_that_nobody_knows(
    program: Program, tmp_path: Path
) -> None:
    at = corpus(filled_registry(FolderStore(tmp_path)), tmp_path)
    assert models_of(program, at)[0]["NEWEST"] == "v1", "which the index remembers"
    body = at.registry.store.get(keys.head(CHAT)).body
    at.registry.store.put(keys.head(CHAT), body[: len(body) // 2], Unconditional())
    row = next(row for row in models_of(program, at) if row["MODEL"] == "acme/chat")
    assert (row["VERSIONS"], row["NEWEST"], row["UPDATED"]) == ("DAMAGED", "-", "-")
    assert "heads/acme/chat.json" in row["DESCRIPTION"]
    assert_on_screen(row, screen(at))


def models_of(program: Program, at: Corpus) -> list[dict[str, str]]:
    """Return the rows of `models`, whose last cell may be empty."""
    heading, *lines = program.ok("-r", at.folder, "models").text.splitlines()
    return [dict(zip(heading.split(), [*re.split(r"\s{2,}", line), ""], strict=False)) for line in lines]


def assert_on_screen(row: dict[str, str], shown: list[str]) -> None:
    heading = next(line for line in shown if " MODEL " in line)
    line = next(line for line in shown if f" {row['MODEL']} " in line)
    for title in ("NEWEST", "UPDATED"):  # both end where their title ends
        end = heading.index(title) + len(title)
        assert line[:end].rsplit(maxsplit=1)[1] == row[title]
    begin = heading.index("DESCRIPTION")
    assert row["DESCRIPTION"].startswith(line[begin:].strip().removesuffix("~"))
    assert bool(row["DESCRIPTION"]) == bool(line[begin:].strip())


def test_what_waits_is_the_same(program: Program, served: Corpus) -> None:
    rows = table_rows(program.ok("-r", served.folder, "reviews").text.splitlines(), "VERSION")

    async def act(desk: Desk) -> None:
        await command(desk, "review")

    shown = squeezed(screen(served, act=act))
    assert {row["VERSION"] for row in rows} == {"credit-risk:12", "acme/chat:1"}
    for row in rows:
        assert any(line.removeprefix("you ") == " ".join(" ".join(row.values()).split()) for line in shown), shown


def test_who_serves_what_is_the_same(program: Program, served: Corpus) -> None:
    lines = program.ok("-r", served.folder, "deployments").text.splitlines()
    document = {one["instance"]: one for one in program.json("-r", served.folder, "deployments")}

    async def act(desk: Desk) -> None:
        await command(desk, "deployments")

    shown = squeezed(screen(served, act=act))
    told = 0
    for instance, one in document.items():
        if instance is None:
            assert any("DAMAGED" in line and "broken.json" in line for line in shown)
            assert any("DAMAGED" in line and "broken.json" in line for line in lines)
            continue
        told += 1
        line = next(line for line in lines if f" {instance} " in line)
        place = next(each for each in shown if each.startswith(f"{one['environment']}/{instance} "))
        standing, verified, age = re.split("  +", line.strip())[-3:]
        for cell in (standing, verified, age, f"v{one['version']}"):
            assert cell in place, (cell, place)
    assert told == 3


@pytest.mark.parametrize("number", [13, 9])
def test_lineage_is_the_same_tree(program: Program, storied: Corpus, number: int) -> None:
    shown = [line.lstrip(" >").replace("  (this one)", "").rstrip() for line in opened(storied, number, "4")]
    for direction in ((), ("--down",)):
        tree = program.ok("-r", storied.folder, "lineage", f"credit-risk:{number}", *direction).text.splitlines()
        if len(tree) > 1:
            begins = [place for place, line in enumerate(shown) if line == tree[0]]
            expected = [line.lstrip() for line in tree]
            assert any(shown[place : place + len(tree)] == expected for place in begins), (tree, shown)


@pytest.mark.parametrize("listed", [busy_jobs, upload_jobs])
def test_transfers_are_the_same(
    program: Program,
    served: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    listed: Listed,
) -> None:
    worker = stand_in(monkeypatch, tmp_path / "state")
    worker.jobs = listed()
    text = program.ok("transfers").text
    shown = "\n".join(screen(served, "t"))
    document = program.json("transfers")["transfers"]
    assert len(document) == len(worker.jobs)
    for one, line in zip(document, text.splitlines()[1:], strict=True):
        cells = re.split("  +", line.strip())
        if one["state"] in {"done", "failed", "cancelled"}:
            assert cells[-1] in shown
        if one["state"] == "running" and one["bytes_per_second"]:
            rate, eta = cells[-1].split(", ")
            assert f"{rate} (5 s avg)   {eta}" in shown
            assert re.search(rf"\b{cells[-4].removesuffix('%')}%   ", shown)
        size = next((cell for cell in cells if re.fullmatch(r"[0-9.]+ [kMG]?B", cell)), None)
        if size is not None and one["state"] not in {"done", "failed", "cancelled"}:
            assert size in shown


def test_the_audit_trail_is_the_same(program: Program, served: Corpus) -> None:
    lines = program.ok("-r", served.folder, "audit", "credit-risk").text.splitlines()

    async def act(desk: Desk) -> None:
        await command(desk, "audit credit-risk")

    shown = squeezed(screen(served, act=act))
    listed = 0
    for line in lines[1:-1]:
        at, *rest = re.split("  +", line.strip())
        expected = " ".join(" ".join(DIGEST.sub(r"\1", cell) for cell in rest).split())
        assert any(each.startswith(f"{at[:10]} {at[11:16]}Z {expected}") for each in shown), (expected, shown)
        listed += 1
    assert listed > 20
