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
    done = program.json("evaluate", "acme/chat", "--evidence", plain, "--dataset", "name=fraud,version=10,split=test")
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
    (heading,) = (line for line in shown_text.splitlines() if line.startswith("METRIC"))
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
        *("evaluate", "acme/chat", "--evidence", plain, "--kind", "safety", "--harness", "name=probe,version=2"),
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
    assert said in program.fails(2, "evaluate", "acme/chat", "--evidence", plain, *options)


def test_the_command_line_must_not_contradict_the_file(program: Program, published: Path) -> None:
    assert published.is_dir()
    ours = SAMPLES / "ours.json"
    line = program.fails(2, "evaluate", "acme/chat", "--evidence", ours, "--dataset", "name=other")
    assert "--dataset says name=other, but the file dialogues" in line
    line = program.fails(2, "evaluate", "acme/chat", "--evidence", ours, "--direction", "preferred=lower")
    assert "the file says that higher is better" in line
    assert program.json("show", "acme/chat")["evidence"] == []


def test_a_file_that_is_not_there_or_says_nothing(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.fails(3, "evaluate", "acme/chat", "--evidence", tmp_path / "absent.json")
    (tmp_path / "bad.csv").write_text("name,value\n\x1b[2J,nan\n")
    line = program.fails(2, "evaluate", "acme/chat", "--evidence", tmp_path / "bad.csv")
    assert "bad.csv: line 2: value is 'nan', not a number" in line
    program.fails(2, "evaluate", "acme/chat")
    (tmp_path / "m.json").write_text(json.dumps({"auc": 1}))
    program.fails(3, "evaluate", "acme/none", "--evidence", tmp_path / "m.json")


def test_evidence_that_comes_later_leaves_the_trail_and_the_registry_whole(
    program: Program, published: Path, plain: Path
) -> None:
    assert published.is_dir()
    program.ok("evaluate", "acme/chat", "--evidence", plain)
    assert program.json("audit", "acme/chat")["records"][-1]["action"] == "evaluate"
    assert "nothing is wrong" in program.ok("fsck").text
