"""Does evidence come to a version by the command line, from any file, and is it seen wherever one looks?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.harness import Program

SAMPLES = Path(__file__).parents[1] / "interop" / "samples"
IDENTITY = 64


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    return registry


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    file = tmp_path / "plain.json"
    file.write_text('{"auc": 0.91, "p95_ms": 12}')
    return file


def test_evidence_is_added_once_and_shown(program: Program, published: Path, plain: Path) -> None:
    assert published.is_dir()
    done = program.json("evaluate", "acme/chat:1", "--evidence", plain, "--dataset", "name=fraud,version=10,split=test")
    (item,) = done["evidence"]
    assert (done["model"], done["version"], len(done["manifest"])) == ("acme/chat", 1, IDENTITY)
    assert (item["created"], item["kind"], item["metrics"], len(item["id"])) == (True, "automated", 2, IDENTITY)
    assert item["dataset"] == {"name": "fraud", "version": "10", "split": "test"}
    again = ("evaluate", "acme/chat:1", "--evidence", plain, "--dataset", "name=fraud,version=10,split=test")
    assert program.ok(*again).text.startswith("acme/chat:1 has this evidence already (")
    (shown,) = program.json("show", "acme/chat:1")["evidence"]
    assert (shown["by"], shown["manifest"]) == ("ada@example.org", done["manifest"])
    shown_text = program.ok("show", "acme/chat:1").text
    assert "p95_ms" in shown_text
    (heading,) = (line for line in shown_text.splitlines() if line.startswith("METRIC "))
    assert heading.endswith("SAYS")
    assert any(line.startswith("p95_ms") and line.endswith("ada@example.org") for line in shown_text.splitlines())
    assert program.json("versions", "acme/chat")[0]["metrics"] == {"auc": 0.91, "p95_ms": 12}


def test_what_came_with_the_publish_is_there_already(
    program: Program, published: Path, files: Path, plain: Path
) -> None:
    assert published.is_dir()
    program.ok("publish", "acme/chat", files, "--metrics", plain)
    (item,) = program.json("evaluate", "acme/chat:2", "--evidence", plain)["evidence"]
    assert (item["created"], item["id"]) == (False, program.json("show", "acme/chat:2")["manifest"])
    assert program.ok("evaluate", "acme/chat:2", "--evidence", plain).text.startswith(
        "acme/chat:2 has this evidence already ("
    )
    assert len(program.json("show", "acme/chat:2")["evidence"]) == 1
    policy = plain.with_name("policy.toml")
    policy.write_text('[[gate]]\nevidence = "automated"\nat_least = 2\n')
    program.ok("policy", "set", "acme/chat", policy)
    ran = program.run("gates", "acme/chat:2")
    assert ran.code == 4
    assert "1 of 2 automated evaluations are there" in ran.text


def test_the_command_line_completes_what_a_file_leaves_open(program: Program, published: Path, plain: Path) -> None:
    assert published.is_dir()
    program.ok(
        *("evaluate", "acme/chat:1", "--evidence", plain, "--kind", "safety", "--harness", "name=probe,version=2"),
        *("--dataset", "red-team", "--direction", "auc=higher", "--direction", "p95_ms=lower"),
    )
    (shown,) = program.json("show", "acme/chat")["evidence"]
    assert (shown["kind"], shown["harness"]) == ("safety", {"name": "probe", "version": "2"})
    assert shown["dataset"] == {"name": "red-team"}
    assert [metric["direction"] for metric in shown["metrics"]] == ["higher", "lower"]


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_every_format_is_taken_after_the_publish_and_with_it(
    program: Program, published: Path, files: Path, path: Path
) -> None:
    assert published.is_dir()
    line = program.ok("evaluate", "acme/chat:1", "--evidence", path).text
    assert line.startswith("added ")
    program.ok("publish", "acme/chat", files, "--evidence", path)
    one, two = (program.json("show", f"acme/chat:{version}")["evidence"] for version in (1, 2))
    assert [item["metrics"] for item in one] == [item["metrics"] for item in two]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--direction", "auc=up"), "is not METRIC=higher or METRIC=lower"),
        (("--direction", "f1=higher"), 'no file has the metric "f1"'),
        (("--direction", "auc=higher", "--direction", "auc=lower"), "contradicts another"),
        (("--dataset", "colour=red"), "--dataset does not know"),
        (("--harness", "colour=red"), "--harness does not know"),
        (("--kind", "rumour"), "rumour"),
    ],
)
def test_wrong_options_are_usage_errors(
    program: Program, published: Path, plain: Path, options: tuple[str, ...], said: str
) -> None:
    assert published.is_dir()
    assert said in program.fails(2, "evaluate", "acme/chat:1", "--evidence", plain, *options)


def test_the_command_line_must_not_contradict_the_file(program: Program, published: Path) -> None:
    assert published.is_dir()
    ours = SAMPLES / "ours.json"
    line = program.fails(2, "evaluate", "acme/chat:1", "--evidence", ours, "--dataset", "name=other")
    assert "--dataset says name=other, but the file dialogues" in line
    line = program.fails(2, "evaluate", "acme/chat:1", "--evidence", ours, "--direction", "preferred=lower")
    assert "the file says that higher is better" in line
    assert program.json("show", "acme/chat")["evidence"] == []


def test_a_file_that_is_not_there_or_says_nothing(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.fails(3, "evaluate", "acme/chat:1", "--evidence", tmp_path / "absent.json")
    (tmp_path / "bad.csv").write_text("name,value\n\x1b[2J,nan\n")
    line = program.fails(2, "evaluate", "acme/chat:1", "--evidence", tmp_path / "bad.csv")
    assert "bad.csv has no metric that can be compared: line 2 ('\\x1b[2J') has in its name a control character" in line
    program.fails(2, "evaluate", "acme/chat")
    (tmp_path / "m.json").write_text(json.dumps({"auc": 1}))
    program.fails(3, "evaluate", "acme/none", "--evidence", tmp_path / "m.json")


def test_evidence_that_comes_later_leaves_the_trail_and_the_registry_whole(
    program: Program, published: Path, plain: Path
) -> None:
    assert published.is_dir()
    program.ok("evaluate", "acme/chat:1", "--evidence", plain)
    assert program.json("audit", "acme/chat")["records"][-1]["action"] == "evaluate"
    assert "nothing is wrong" in program.ok("fsck").text


OPUS = """---
model-index:
- name: m
  results:
  - task: {{type: translation}}
    dataset: {{type: flores, name: Flores, args: aaa bbb devtest}}
    metrics: [{{type: bleu, value: {}}}, {{type: chrf, value: .nan}}]
  - task: {{type: translation}}
    dataset: {{type: flores, name: Flores, args: bbb aaa devtest}}
    metrics: [{{type: bleu, value: {}}}]
---
"""


def test_a_collapse_on_one_of_two_results_of_a_card_is_seen_and_stops_the_gate(
    program: Program, published: Path, files: Path, tmp_path: Path
) -> None:
    assert published.is_dir()
    cards = []
    for number, values in enumerate([(25.5, 28.3), (5.0, 28.4)]):
        card = tmp_path / f"card{number}.md"
        card.write_text(OPUS.format(*values))
        cards.append(card)
    policy = tmp_path / "policy.toml"
    policy.write_text('[[gate]]\nmetric = "bleu"\nat_least = 20\n')
    program.ok("policy", "set", "acme/chat", policy)
    program.ok("evaluate", "acme/chat:1", "--evidence", cards[0], "--direction", "bleu=higher")
    program.ok("publish", "acme/chat", files, "--evidence", cards[1], "--label", "two=2")
    diff = program.json("diff", "acme/chat:1", "acme/chat:2")["metrics"]
    assert [(one["dataset"]["args"], one["values"], one["verdict"]) for one in diff] == [
        ("aaa bbb devtest", [25.5, 5.0], "lower"),
        ("bbb aaa devtest", [28.3, 28.4], "higher"),
    ]
    table = program.ok("diff", "acme/chat:1", "acme/chat:2").text
    assert "aaa bbb devtest flores" in table
    assert "bbb aaa devtest flores" in table
    csv_lines = program.ok("diff", "acme/chat:1", "acme/chat:2", "--format", "csv").text.splitlines()
    assert len({len(line.split(",")) for line in csv_lines if line.startswith(("section", "metric"))}) == 1
    assert program.run("gates", "acme/chat:2").code == 4
    assert program.json("versions", "acme/chat")[0]["metrics"] == {"bleu": 5.0}


def test_what_is_left_out_of_a_file_is_told_and_strict_refuses_it(
    program: Program, published: Path, files: Path, tmp_path: Path
) -> None:
    assert published.is_dir()
    card = tmp_path / "card.md"
    card.write_text(OPUS.format("275.34 +/- 14.56", "7.1%"))
    for command in (("evaluate", "acme/chat:1"), ("publish", "acme/chat", files, "--label", "two=2")):
        assert "chrf" in program.fails(2, *command, "--evidence", card, "--strict")
        done = program.run(*command, "--evidence", card)
        assert done.code == 0
        assert "left out: " in done.errors
        assert "metrics[1] ('chrf') is '.nan', not a number" in done.errors
    (note,) = program.json("evaluate", "acme/chat:1", "--evidence", card)["left_out"]
    assert "'chrf'" in note
    first, second = (item["metrics"] for item in program.json("show", "acme/chat:1")["evidence"])
    assert first == [{"name": "bleu", "value": 275.34, "deviation": 14.56}]
    assert second == [{"name": "bleu", "value": 7.1, "unit": "%"}]
    assert "275.34 +/- 14.56" in program.ok("show", "acme/chat:1").text
