"""Does every command do what it says, and does `--json` have the keys that scripts rely on?"""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with versions 1 and 2 of acme/chat."""
    (files / "weights.bin").write_bytes(b"one")
    program.ok("publish", "acme/chat", files)
    (files / "weights.bin").write_bytes(b"two, longer")
    program.ok("publish", "acme/chat", files)
    return registry


def test_init_creates_a_registry_and_finds_it_again(program: Program, tmp_path: Path) -> None:
    first = program.json("init", tmp_path / "new")
    assert first["created"]
    assert first["url"] == f"file://{tmp_path}/new"
    assert first["conformance"]["passed"]
    assert {"name", "promise", "passed", "detail"} == set(first["conformance"]["checks"][0])
    again = program.json("init", tmp_path / "new")
    assert (again["registry"], again["created"]) == (first["registry"], False)
    assert program.ok("init", "-r", tmp_path / "new").text.startswith(f"found registry {first['registry']} at file://")


def test_publish_says_what_was_uploaded_and_what_reused(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    line = program.ok("publish", "acme/chat", files).text
    assert line == "published acme/chat:1 (102.4 kB, 3 files; uploaded 102.4 kB, reused 0 B)\n"
    (files / "sub" / "notes.txt").write_text("changed\n")
    second = program.json("publish", "acme/chat", files)
    assert (second["model"], second["version"], second["uploaded_bytes"]) == ("acme/chat", 2, 8)
    assert second["size_bytes"] == second["uploaded_bytes"] + second["reused_bytes"]
    assert len(second["manifest"]) == 64


def test_publish_records_everything_that_was_stated(
    program: Program, registry: Path, files: Path, tmp_path: Path
) -> None:
    assert registry.is_dir()
    program.ok("publish", "acme/base", files)
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"auc": 0.91, "p95_ms": 12}')
    evidence = tmp_path / "evidence.json"
    evidence.write_text(
        json.dumps(
            [
                {"kind": "safety", "metrics": [{"name": "toxicity", "value": 0.01, "slice": {"age": "18-25"}}]},
                {"dataset": {"name": "held-out"}, "metrics": [{"name": "recall", "value": 0.8}]},
            ]
        )
    )
    card = tmp_path / "CARD.md"
    card.write_text("# Card\n")
    (files / "README.md").unlink()
    program.ok(
        *("publish", "acme/chat", files, "--metrics", metrics, "--evidence", evidence, "--card", card),
        *("--param", "lr=3e-4", "--param", "optimizer=adam", "--param", "warm=true", "--param", "tag=[1]"),
        *("--dataset", "name=tickets,version=2026-10,uri=s3://a/b,c,rows=12", "--base", "acme/base:1"),
        *("--relation", "finetune", "--label", "team=core", "--notes", "first try", "--experiment", "e1"),
        *("--run", "r7", "--pipeline", "name=nightly,run=12", "--seed", "7", "--framework", "torch"),
        *("--hardware", "8x H100", "--duration", "90", "--cost", "412 EUR", "--command", "train.py --fast"),
    )
    shown = program.json("show", "acme/chat")
    training, lineage = shown["training"], shown["lineage"]
    assert training["hyperparameters"] == {"lr": 3e-4, "optimizer": "adam", "warm": True, "tag": "[1]"}
    assert training["datasets"] == [{"name": "tickets", "version": "2026-10", "uri": "s3://a/b,c", "rows": 12}]
    assert training["command"] == "train.py --fast"
    assert (training["seed"], training["framework"], training["hardware"]) == (7, "torch", "8x H100")
    assert (training["duration_seconds"], training["cost"]) == (90, "412 EUR")
    assert (lineage["experiment"], lineage["run"]) == ("e1", "r7")
    assert lineage["pipeline"] == {"name": "nightly", "run": "12"}
    assert (lineage["parents"][0]["model"], lineage["parents"][0]["relation"]) == ("acme/base", "finetune")
    assert shown["card"] == "README.md"
    assert (shown["labels"], shown["notes"]) == ({"team": "core"}, "first try")
    assert [item["kind"] for item in shown["evidence"]] == ["automated", "safety", "automated"]
    assert shown["metrics"] == {"auc": 0.91, "p95_ms": 12, "recall": 0.8}
    text = program.ok("show", "acme/chat").text
    for expected in ("finetune", "toxicity", "age=18-25", "held-out", "first try", "lr=0.0003", "412 EUR", "1:30"):
        assert expected in text


def test_an_idempotency_key_returns_the_version_that_is_there(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    program.ok("publish", "chat", files, "--idempotency-key", "job-1")
    (files / "weights.bin").write_bytes(b"other")
    again = program.json("publish", "chat", files, "--idempotency-key", "job-1")
    assert (again["version"], again["created"], again["uploaded_bytes"]) == (1, False, 0)
    assert "before" in program.ok("publish", "chat", files, "--idempotency-key", "job-1").text


def test_models_are_listed_in_pages(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    program.ok("publish", "acme/base", files)
    program.ok("promote", "acme/chat:1", "production")
    listed = program.json("models")
    assert [item["model"] for item in listed] == ["acme/base", "acme/chat"]
    assert {"model", "versions", "newest", "aliases", "updated_at"} <= set(listed[1])
    assert (listed[1]["versions"], listed[1]["newest"]) == (2, 2)
    assert set(listed[1]["aliases"][0]) == {"alias", "version", "manifest", "generation", "since", "by"}
    assert [item["model"] for item in program.json("models", "chat")] == ["acme/chat"]
    first = program.ok("models", "--limit", "1")
    assert "acme/base" in first.text
    assert "--after acme/base" in first.errors
    assert [item["model"] for item in program.json("models", "--after", "acme/base")] == ["acme/chat"]
    assert "production=1" in program.ok("models").text


def test_versions_are_listed_newest_first_in_pages(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    metrics = files.parent / "m.json"
    metrics.write_text('{"auc": 0.5}')
    program.ok("publish", "acme/chat", files, "--metrics", metrics, "--label", "team=core")
    program.ok("promote", "acme/chat:1", "production")
    listed = program.json("versions", "acme/chat")
    assert [item["version"] for item in listed] == [3, 2, 1]
    keys = {"version", "manifest", "state", "aliases", "created_at", "created_by", "size_bytes", "metrics"}
    assert keys <= set(listed[0])
    assert listed[0]["metrics"] == {"auc": 0.5}
    assert listed[2]["aliases"][0]["alias"] == "production"
    assert [item["version"] for item in program.json("versions", "acme/chat", "--after", "3", "--limit", "1")] == [2]
    assert "--after 3" in program.ok("versions", "acme/chat", "--limit", "1").errors
    assert [item["version"] for item in program.json("versions", "acme/chat", "label:team=core")] == [3]
    heading, newest = program.ok("versions", "acme/chat").text.splitlines()[:2]
    assert heading.split()[-1] == "AUC"
    assert newest.split()[-2:] == ["ada@example.org", ".5000"]


def test_show_has_the_manifest_and_what_is_said_now(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:2", "production")
    shown = program.json("show", "acme/chat@production")
    assert {"artifacts", "training", "created_at", "created_by", "model", "version"} <= set(shown)
    assert {"state", "evidence", "reviews", "aliases", "manifest"} <= set(shown)
    assert [item["path"] for item in shown["artifacts"]] == ["README.md", "sub/notes.txt", "weights.bin"]
    program.ok("retire", "acme/chat:2")
    assert program.json("show", "acme/chat@production")["state"] == "retired"
    text = program.ok("show", "acme/chat:2").text
    assert "sub/notes.txt" in text
    assert "retired" in text


def test_the_recipe_is_printed(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert "# hyperparameter" not in program.ok("show", "acme/chat:1", "--reproduce").text
    assert program.ok("show", "acme/chat:1", "--reproduce").text.startswith("# how acme/chat:1")
    assert program.json("show", "acme/chat:1", "--reproduce")["recipe"]["version"] == 1


def test_resolve_names_a_version_now_and_then(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:1", "production")
    at = program.json("aliases", "acme/chat", "--history", "production")[0]["at"]
    program.ok("promote", "acme/chat:2", "production")
    now = program.json("resolve", "acme/chat@production")
    assert set(now) == {"model", "version", "manifest", "state", "alias", "generation", "size_bytes"}
    assert (now["version"], now["alias"], now["generation"]) == (2, "production", 2)
    then = program.json("resolve", "acme/chat@production", "--at", at)
    assert (then["version"], then["generation"]) == (1, 1)
    assert program.json("resolve", f"acme/chat@sha256:{now['manifest']}")["version"] == 2
    assert program.json("resolve", "acme/chat@latest")["alias"] is None
    assert program.ok("resolve", "acme/chat").text == f"acme/chat:2  sha256:{now['manifest']}  registered\n"
    program.fails(3, "resolve", "acme/chat@production", "--at", "2001-01-01")
    program.fails(2, "resolve", "acme/chat@production", "--at", "yesterday")
    program.fails(2, "resolve", "acme/chat:1", "--at", at)


def test_an_alias_state_is_that_of_when_it_was_set(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:1", "production")
    program.ok("retire", "acme/chat:1")
    assert program.json("resolve", "acme/chat@production")["state"] == "registered"
    assert program.json("resolve", "acme/chat:1")["state"] == "retired"


def test_aliases_move_and_remember(program: Program, published: Path) -> None:
    assert published.is_dir()
    first = program.json("promote", "acme/chat:1", "production")
    assert (first["alias"], first["from"], first["to"], first["generation"]) == ("production", None, 1, 1)
    moved = program.json("promote", "acme/chat:2", "production", "--reason", "better " * 30)
    assert (moved["from"], moved["to"]) == (1, 2)
    assert "already" in program.ok("promote", "acme/chat:2", "production").text
    back = program.json("rollback", "acme/chat", "production")
    assert (back["from"], back["to"], back["generation"]) == (2, 1, 3)
    assert program.json("rollback", "acme/chat", "production", "--to", "2")["to"] == 2
    assert program.json("aliases", "acme/chat")[0]["version"] == 2
    assert "production" in program.ok("aliases", "acme/chat").text
    gone = program.json("unset", "acme/chat", "production")
    assert (gone["from"], gone["to"]) == (2, None)
    assert program.json("aliases", "acme/chat") == []
    history = program.json("aliases", "acme/chat", "--history", "production")
    assert [event["generation"] for event in history] == [5, 4, 3, 2, 1]
    assert set(history[0]) == {"generation", "at", "actor", "action", "from", "to", "reason"}
    assert history[3]["reason"] == "better " * 30
    assert [
        e["generation"] for e in program.json("aliases", "acme/chat", "--history", "production", "--after", "3")
    ] == [
        2,
        1,
    ]
    program.fails(3, "resolve", "acme/chat@production")
    program.fails(3, "rollback", "acme/chat", "canary")
    program.fails(2, "aliases", "acme/chat", "--limit", "1")


def test_retire_and_unretire(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:1", "production")
    retired = program.ok("retire", "acme/chat:1", "--reason", "old")
    assert retired.text == "acme/chat:1 is retired now\n"
    assert retired.errors == ("note: acme/chat@production still names version 1 and goes on serving it\n")
    assert program.ok("retire", "acme/chat:1", "--quiet").errors == ""
    assert "is retired" in program.fails(4, "promote", "acme/chat:1", "canary")
    back = program.json("unretire", "acme/chat:1")
    assert (back["version"], back["state"]) == (1, "registered")
    program.fails(4, "unretire", "acme/chat:1")


def test_edit_changes_a_model_or_a_version(program: Program, published: Path) -> None:
    assert published.is_dir()
    edited = program.json("edit", "acme/chat", "--description", "Answers", "--label", "team=core")
    assert (edited["description"], edited["labels"]) == ("Answers", {"team": "core"})
    assert program.json("models")[0]["description"] == "Answers"
    assert program.json("edit", "acme/chat", "--remove-label", "team")["labels"] == {}
    program.ok("edit", "acme/chat:1", "--notes", "slow", "--label", "a=b")
    shown = program.json("show", "acme/chat:1")
    assert (shown["notes"], shown["labels"]) == ("slow", {"a": "b"})
    assert program.json("show", "acme/chat:2")["notes"] == ""
    program.fails(2, "edit", "acme/chat")
    program.fails(2, "edit", "acme/chat", "--notes", "x")
    program.fails(2, "edit", "acme/chat:1", "--description", "x")
    program.fails(2, "edit", "acme/chat:1", "--label", "no-equals-sign")
    program.fails(2, "edit", "acme/chat:1", "--label", "a=1", "--label", "a=2")
    program.fails(3, "edit", "acme/chat:9", "--notes", "x")
    program.fails(3, "edit", "acme/none", "--description", "x")


def test_the_trail_is_shown_verified_and_exported(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.ok("promote", "acme/chat:1", "production", "--reason", "a reason that is too long for a record " * 3)
    audit = program.json("audit", "acme/chat")
    assert audit["verified"] is True
    assert [record["action"] for record in audit["records"]] == ["publish", "publish", "create-alias", "promote"]
    assert audit["records"][3]["alias"] == "production"
    assert {"generation", "transaction", "at", "actor", "action", "target", "previous"} <= set(audit["records"][0])
    text = program.ok("audit", "acme/chat").text
    assert "too long for a record" in text
    verdict = program.ok("audit", "acme/chat", "--verify").text
    assert verdict == "the trail of acme/chat is whole: 4 records, every one follows from the one before\n"
    program.ok("audit", "acme/chat", "--export", tmp_path / "trail.json")
    exported = [json.loads(line) for line in (tmp_path / "trail.json").read_text().splitlines()]
    assert [record["transaction"] for record in exported] == [record["transaction"] for record in audit["records"]]
    assert [path.name for path in tmp_path.iterdir() if "trail" in path.name] == ["trail.json"]
    assert "error[not_found]" in program.fails(3, "audit", "acme/chat", "--export", tmp_path / "none" / "x.json")


def test_an_export_that_fails_leaves_the_older_file_and_nothing_else(
    program: Program, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published.is_dir()
    folder = tmp_path / "trails"
    folder.mkdir()
    (folder / "trail.json").write_text("older")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bucketry.cli.files.os.fsync", fail)
    assert "no space left" in program.fails(6, "audit", "acme/chat", "--export", folder / "trail.json")
    assert [path.read_text() for path in folder.iterdir()] == ["older"]


def test_a_broken_trail_is_told_with_the_records(program: Program, published: Path) -> None:
    head = published / "heads" / "acme" / "chat.json"
    body = head.read_bytes().replace(b"ada@example.org", b"eve@example.org", 1)
    with head.open("r+b") as file:  # in place, so that every link of the state shows it
        file.write(body)
    ran = program.run("audit", "acme/chat")
    assert ran.code == 8
    assert "eve@example.org" in ran.text
    assert ran.errors.startswith("error[corrupt]: the audit trail of acme/chat is broken")
    document = program.run("audit", "acme/chat", "--json").document
    assert document["verified"] is False
    assert document["error"]["code"] == 8
    assert document["records"]


def test_doctor_tells_every_promise(program: Program, registry: Path) -> None:
    assert registry.is_dir()
    document = program.json("doctor")
    assert document["passed"]
    assert document["findings"] == []
    assert len(document["checks"]) > 10
    assert program.ok("doctor").text.splitlines()[0].split() == ["PROMISE", "KEPT", "SEEN"]


def test_fsck_finds_nothing_garbage_and_damage(program: Program, published: Path) -> None:
    assert program.json("fsck")["findings"] == []
    assert program.ok("fsck", "--deep").text.endswith("nothing is wrong\n")
    stray = published / "blobs" / "acme" / "other" / "1"
    stray.mkdir(parents=True)
    (stray / ("0" * 64)).write_bytes(b"stray")
    assert {finding["grade"] for finding in program.json("fsck")["findings"]} == {"garbage"}
    for blob in (published / "blobs" / "acme" / "chat" / "1").iterdir():
        blob.unlink()
    ran = program.run("fsck")
    assert ran.code == 8
    assert ran.errors.startswith("error[corrupt]: ")
    broken = program.run("fsck", "--json")
    assert broken.code == 8
    assert "error" not in broken.document
    assert set(broken.document["findings"][0]) == {"grade", "kind", "key", "message", "remedy"}


def test_a_publish_says_in_a_line_what_it_left_out_and_in_json_as_a_list(
    program: Program, registry: Path, files: Path
) -> None:
    assert registry.is_dir()
    (files / ".git").mkdir()
    (files / ".git" / "config").write_text("[core]")
    (files / ".env").write_text("TOKEN=x")
    ran = program.ok("publish", "acme/chat", files)
    assert "note: left out: .env, .git/ (--include takes something along)\n" in ran.errors
    document = program.json("publish", "acme/chat", files, "--include", ".env", "--exclude", "*.bin")
    assert document["files_left_out"] == [".git/", "weights.bin"]
    assert document["same_files_as"] is None


def test_a_secret_is_refused_before_anything_is_uploaded(program: Program, registry: Path, files: Path) -> None:
    (files / "id_ed25519").write_text("x")
    for more in ((), ("--detach",)):
        line = program.fails(2, "publish", "acme/chat", files, *more)
        assert "id_ed25519 looks like a private key" in line
        assert "--include id_ed25519" in line
    assert not (registry / "blobs").exists()
    program.ok("publish", "acme/chat", files, "--include", "id_ed25519")


def test_the_very_files_of_a_version_are_told(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    program.ok("publish", "acme/chat", files)
    assert "note: acme/chat:2 has the very files of acme/chat:1\n" in program.ok("publish", "acme/chat", files).errors
    assert program.json("publish", "acme/chat", files)["same_files_as"] == 2


def test_the_recipe_installs_only_what_training_is_said_to_have_used(
    program: Program, registry: Path, files: Path, tmp_path: Path
) -> None:
    assert registry.is_dir()
    (tmp_path / "requirements.txt").write_text("torch==2.9.0\n")
    program.ok("publish", "acme/chat", files)
    bare = program.ok("show", "acme/chat:1", "--reproduce").text
    assert "pip install" not in bare
    assert "bucketry publish" not in bare
    assert "# command: not recorded" in bare
    assert "# published from " in bare
    stated = ("--environment", tmp_path / "requirements.txt", "--command", "python train.py")
    program.ok("publish", "acme/chat", files, *stated)
    told = program.ok("show", "acme/chat:2", "--reproduce").text
    assert "python -m pip install \\\n  torch==2.9.0\n" in told
    assert "# command: python train.py" in told
