"""Does `diff` say what changed, in each form, and is hostile text harmless in all of them?"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.harness import run_in_terminal, write_as_a_stranger
from registry.safetensors_files import make_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

HOSTILE = "=cmd|'x'!A1 \x1b[2J <b>|`*"


def around(value: float, half: float) -> dict[str, float]:
    return {"low": value - half, "high": value + half}


def evidence(**values: float) -> dict[str, Any]:
    return {
        "dataset": {"name": "fraud", "version": "10"},
        "metrics": [
            {"name": "auc", "value": values["auc"], "direction": "higher", "confidence": around(values["auc"], 0.001)},
            {
                "name": "logloss",
                "value": values["logloss"],
                "direction": "lower",
                "confidence": around(values["logloss"], 0.01),
            },
            {"name": "p95", "value": values["p95"], "unit": "ms"},
            {"name": "f1", "value": 0.5, "direction": "higher"},
            {
                "name": "recall",
                "value": values["young"],
                "direction": "higher",
                "slice": {"age": "18-25"},
                "confidence": around(values["young"], 0.02),
            },
            {"name": "recall", "value": 0.65, "direction": "higher", "slice": {"age": "26-40"}},
        ],
    }


@pytest.fixture
def published(program: Program, registry: Path, tmp_path: Path) -> Path:
    """Return a registry with three versions of acme/chat, of which production names the first."""
    out = tmp_path / "model"
    out.mkdir()
    file = tmp_path / "evidence.json"
    for version, values in enumerate(
        (
            {"auc": 0.91, "logloss": 0.24, "p95": 41.0, "young": 0.6},
            {"auc": 0.92, "logloss": 0.235, "p95": 44.0, "young": 0.5},
            {"auc": 0.9, "logloss": 0.2, "p95": 41.0, "young": 0.6},
        ),
        start=1,
    ):
        file.write_text(json.dumps(evidence(**values)))
        (out / "README.md").write_text(f"# Chat\n\n## Use\n\nversion {version}\n")
        (out / "weights.safetensors").write_bytes(make_tensors({"w": ("F32", [version], bytes(4 * version))}))
        (out / "same.txt").write_text("same")
        program.ok(
            *("publish", "acme/chat", out, "--evidence", file, "--param", f"lr=0.{version}", "--param", "seed=7"),
            *("--dataset", f"name=tickets,version={version}", "--command", "train"),
        )
    program.ok("promote", "acme/chat:1", "production")
    return registry


def test_one_reference_is_compared_with_production(program: Program, published: Path) -> None:
    assert published.is_dir()
    document = program.json("diff", "acme/chat:2")
    assert (document["baseline"], document["versions"]) == (1, [1, 2])
    metrics = {(metric["name"], *metric["slice"].values()): metric for metric in document["metrics"]}
    keys = {"name", "dataset", "slice", "kind", "unit", "direction", "values", "delta", "relative", "verdict"}
    assert all(keys <= set(metric) for metric in document["metrics"])
    assert {name: metric["verdict"] for name, metric in metrics.items()} == {
        ("auc",): "better",
        ("logloss",): "noise",
        ("p95",): "unjudged",
        ("f1",): "same",
        ("recall", "18-25"): "worse",
        ("recall", "26-40"): "same",
    }
    auc = metrics["auc",]
    assert (auc["values"], auc["delta"], auc["relative"]) == (
        [0.91, 0.92],
        pytest.approx(0.01),
        pytest.approx(0.01 / 0.91),
    )
    assert auc["dataset"] == {"name": "fraud", "version": "10"}
    assert metrics["p95",]["reason"] == "no direction stated"


def test_what_else_changed_is_in_the_document(program: Program, published: Path) -> None:
    assert published.is_dir()
    document = program.json("diff", "acme/chat:1", "acme/chat:2")
    assert document["parameters"] == [{"name": "lr", "values": [0.1, 0.2], "change": "changed", "changes": ["changed"]}]
    assert [(file["path"], file["change"]) for file in document["files"]] == [
        ("README.md", "changed"),
        ("weights.safetensors", "changed"),
    ]
    assert len(document["files"][0]["sha256"]) == 2
    assert [one["section"] for one in document["card"]] == ["Use"]
    assert document["datasets"][0]["values"] == [{"version": "1"}, {"version": "2"}]
    (gap,) = document["slices"]
    assert gap["worst"] == [{"slice": {"age": "18-25"}, "value": 0.6}, {"slice": {"age": "18-25"}, "value": 0.5}]
    assert gap["gap"] == [pytest.approx(0.05), pytest.approx(0.15)]
    everything = program.json("diff", "acme/chat:1", "acme/chat:2", "--all")
    assert {file["path"] for file in everything["files"]} == {"README.md", "weights.safetensors", "same.txt"}
    assert {one["name"] for one in everything["parameters"]} == {"lr", "seed"}


def test_many_versions_stand_side_by_side(program: Program, published: Path) -> None:
    assert published.is_dir()
    document = program.json("diff", "acme/chat:1", "acme/chat:2", "acme/chat:3")
    auc = document["metrics"][0]
    assert (auc["values"], auc["verdict"]) == ([0.91, 0.92, 0.9], "worse")
    assert [one["verdict"] for one in auc["comparisons"]] == ["better", "worse"]
    lines = program.ok("diff", "acme/chat:1", "acme/chat:2", "acme/chat:3").text.splitlines()
    assert lines[0] == "acme/chat:1 -> acme/chat:2, acme/chat:3"
    assert lines[3].split() == ["auc", "fraud", "10", "-", "up", ".9100", ".9200", "^", "better", ".9000", "v", "WORSE"]


@pytest.mark.parametrize("against", ["acme/chat:3", "3", "latest", "staging"])
def test_the_baseline_can_be_chosen(program: Program, published: Path, against: str) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:3", "staging")
    assert program.json("diff", "acme/chat:2", "--against", against)["versions"] == [3, 2]


def test_the_table_hides_what_is_the_same(program: Program, published: Path) -> None:
    assert published.is_dir()
    text = program.ok("diff", "acme/chat:2").text
    lines = text.splitlines()
    assert lines[2].split() == ["METRIC", "DATA", "SLICE", "WANT", "v1", "v2", "DELTA", "DELTA%", "VERDICT"]
    assert lines[3].split() == ["auc", "fraud", "10", "-", "up", ".9100", ".9200", "+.0100", "+1.1%", "^", "better"]
    assert "f1 " not in text
    assert "1 worse, 1 better, 1 unjudged, 1 noise, 2 same (2 hidden, --all shows them)" in lines
    assert "same.txt" not in text
    whole = program.ok("diff", "acme/chat:2", "--all").text
    assert "f1 " in whole
    assert "same.txt" in whole
    assert "hidden" not in whole


def test_a_version_against_itself_has_no_differences(program: Program, published: Path) -> None:
    assert published.is_dir()
    text = program.ok("diff", "acme/chat:1").text
    assert "6 same (6 hidden, --all shows them)" in text
    assert text.endswith("parameters, data, files and card are the same\n")


def test_tensors_are_compared_on_request(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert program.json("diff", "acme/chat:2")["tensors"] == []
    (tensor,) = program.json("diff", "acme/chat:2", "--tensors")["tensors"]
    assert (tensor["name"], tensor["values"], tensor["change"]) == ("w", ["F32 [1]", "F32 [2]"], "changed")


def test_models_without_tensors_or_card_are_compared_too(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    program.ok("publish", "acme/other", files / "weights.bin")
    document = program.json("diff", "acme/chat:1", "acme/other", "--tensors")
    assert document["tensors"][0]["change"] == "removed"
    assert [one["change"] for one in document["card"]] == ["removed", "removed"]
    assert "acme/other:1" in program.ok("diff", "acme/chat:1", "acme/other").text


@pytest.fixture
def hostile(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_as_a_stranger(monkeypatch)
    file = tmp_path / "hostile.json"
    for value in (1, 2):
        metric = {"name": HOSTILE, "value": value, "unit": HOSTILE, "slice": {HOSTILE: HOSTILE}}
        file.write_text(json.dumps({"dataset": {"name": HOSTILE, "version": HOSTILE}, "metrics": [metric]}))
        program.ok(
            "publish",
            "acme/chat",
            files,
            "--evidence",
            file,
            "--param",
            f"x{HOSTILE.replace('=', '')}={HOSTILE}{value}",
        )
    return registry


def test_hostile_text_is_harmless_in_every_form(program: Program, hostile: Path) -> None:
    assert hostile.is_dir()
    pair = ("diff", "acme/chat:1", "acme/chat:2")
    for form in ("table", "markdown", "csv"):
        assert b"\x1b" not in program.ok(*pair, "--format", form).stdout
    markdown = program.ok(*pair, "--format", "markdown").text.splitlines()
    row = next(line for line in markdown if line.startswith("| =cmd"))
    assert r"=cmd\|'x'\!A1 \\x1b\[2J \<b\>\|\`\*" in row
    assert row.replace(r"\|", "").count("|") == 10
    cells = [cell for line in csv.reader(program.ok(*pair, "--format", "csv").text.splitlines()) for cell in line]
    assert any("cmd" in cell for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


def test_csv_has_the_same_columns_for_any_number_of_versions(program: Program, published: Path) -> None:
    assert published.is_dir()
    for count in (2, 3):
        names = [f"acme/chat:{version}" for version in range(1, count + 1)]
        rows = list(csv.DictReader(program.ok("diff", *names, "--format", "csv").text.splitlines()))
        assert {row["version"] for row in rows} == set(names[1:])
        auc = next(row for row in rows if row["name"] == "auc")
        assert (auc["section"], auc["dataset"], auc["data_version"], auc["slice"]) == ("metric", "fraud", "10", "")
        assert (auc["baseline_value"], auc["value"], auc["verdict"]) == ("0.91", "0.92", "better")


def test_a_comparison_fits_the_terminal(published: Path) -> None:
    assert published.is_dir()
    code, text = run_in_terminal("diff", "acme/chat:2", "--no-color", columns=80)
    assert code == 0
    assert max(len(line) for line in text.splitlines()) <= 80


def test_what_cannot_be_compared(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("unset", "acme/chat", "production")
    assert "@production" in program.fails(3, "diff", "acme/chat:2")
    program.fails(3, "diff", "acme/chat:1", "acme/chat:9")
    program.fails(3, "diff", "acme/chat:1", "acme/none")
    program.fails(2, "diff", *["acme/chat:1"] * 17)
    program.fails(2, "diff", "acme/chat:1", "acme/chat:2", "--format", "pdf")
    program.fails(2, "diff")


def test_a_metric_on_the_command_line_says_which_way_is_better(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    for value in ("0.91", "0.93"):
        program.ok("publish", "acme/tiny", files, "--metric", f"quality={value}:higher", "--metric", "loss=7%")
    (loss, quality) = program.json("diff", "acme/tiny:1", "acme/tiny:2")["metrics"]
    assert (quality["direction"], quality["direction_assumed"], quality["verdict"]) == ("higher", False, "higher")
    assert (loss["values"], loss["unit"], loss["direction"], loss["direction_assumed"]) == ([7, 7], "%", "lower", True)
    program.ok("evaluate", "acme/tiny:2", "--metric", "auc=0.9:higher", "--dataset", "fraud")
    assert program.json("show", "acme/tiny:2")["evidence"][-1]["dataset"] == {"name": "fraud"}
    for wrong in ("auc", "auc=x", "=1", "auc=nan", "auc=1:up", "auc=1:"):
        program.fails(2, "publish", "acme/tiny", files, "--metric", wrong)
    program.fails(2, "publish", "acme/tiny", files, "--metric", "auc=1", "--metric", "auc=2")
    program.fails(2, "evaluate", "acme/tiny:2")


def test_what_rests_on_an_assumption_is_marked(program: Program, registry: Path, files: Path, tmp_path: Path) -> None:
    assert registry.is_dir()
    for value in (0.9, 0.8):
        file = tmp_path / "metrics.json"
        file.write_text(json.dumps({"metrics": [{"name": "accuracy", "value": value, "samples": 5000}]}))
        program.ok("publish", "acme/tiny", files, "--metrics", file)
    document = program.json("diff", "acme/tiny:1", "acme/tiny:2")
    (metric,) = document["metrics"]
    assert (metric["verdict"], metric["assumed"], metric["confidence_assumed"]) == ("worse", True, [True, True])
    assert document["known_metrics"] == 1
    text = program.ok("diff", "acme/tiny:1", "acme/tiny:2").text
    assert "v WORSE*" in text
    assert "docs/metrics.md" in text


def test_a_version_shows_each_measurement_once(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    program.ok("publish", "acme/tiny", files, "--metric", "auc=0.91", "--metric", "quality=4")
    program.ok("evaluate", "acme/tiny:1", "--metric", "auc=0.91:higher", "--dataset", "fraud")
    program.ok("evaluate", "acme/tiny:1", "--metric", "quality=5:higher")
    program.ok("evaluate", "acme/tiny:1", "--metric", "loss=0.1")
    lines = [line.split() for line in program.ok("show", "acme/tiny:1").text.splitlines()]
    assert [line[:4] for line in lines if line[:1] == ["auc"]] == [["auc", "0.91", "higher", "fraud"]]
    assert [line[:3] for line in lines if line[:1] == ["quality"]] == [["quality", "5", "higher"]]
    assert [line[:3] for line in lines if line[:1] == ["loss"]] == [["loss", "0.1", "lower*"]]
    assert len(program.json("show", "acme/tiny:1")["evidence"]) == 4
