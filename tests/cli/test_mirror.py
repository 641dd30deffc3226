"""Does `mirror` copy a registry to anywhere and back, say what it did, and can the copy be served and restored?"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.schema import keys
from bucketry.store.folder.store import FolderStore
from cli.harness import PROGRAM
from cli.test_s3 import use

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program
    from servers.process import S3Server

DOCUMENT_KEYS = {
    "registry",
    "selection",
    "models",
    "registers",
    "copied_objects",
    "copied_bytes",
    "skipped_objects",
    "unverified_objects",
    "pruned_objects",
    "pruned_bytes",
    "complete",
    "failures",
    "from",
    "to",
    "dry_run",
    "restored",
}
KILLS, LEAST_KILLED = 12, 3
"""A mirror that comes to its end before it is killed is no failure, on a fast machine."""


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with two models, the second made from the first, of which production names one version each."""
    program.ok("publish", "acme/base", files, "--metric", "auc=0.9")
    (files / "weights.bin").write_bytes(b"other weights" * 100_000)
    program.ok("publish", "acme/chat", files, "--base", "acme/base:1", "--relation", "finetune")
    (files / "weights.bin").write_bytes(b"newer weights" * 100_000)
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/base:1", "production")
    program.ok("promote", "acme/chat:2", "production")
    program.ok("promote", "acme/chat:1", "staging")
    return registry


def same_registers(one: Path, other: Path) -> bool:
    def held(folder: Path) -> dict[str, bytes]:
        store = FolderStore(folder)
        return {e.key: store.get(e.key).body for prefix in (keys.HEADS, keys.ALIASES) for e in store.list(prefix)}  # type: ignore[union-attr]

    return held(one) == held(other)


def test_a_copy_in_a_folder_is_whole_and_the_next_run_copies_nothing(
    program: Program, published: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copies" / "copy"
    told = program.json("mirror", published, copy, "--dry-run")
    assert not copy.exists()
    done = program.json("mirror", published, copy)
    assert set(done) == DOCUMENT_KEYS
    for what in ("models", "registers", "copied_objects", "copied_bytes"):
        assert told[what] == done[what] > 0
    assert same_registers(published, copy)
    assert program.json("fsck", "--deep", "-r", copy)["findings"] == []
    again = program.json("mirror", published, copy)
    assert (again["copied_objects"], again["registers"], again["models"]) == (0, 0, 0)
    assert "copied 0 objects" in program.ok("mirror", published, copy).text


def test_a_replica_serves_and_refuses_to_be_written(
    program: Program, published: Path, tmp_path: Path, files: Path
) -> None:
    copy = tmp_path / "copy"
    program.ok("mirror", published, copy)
    pulled = program.json("pull", "acme/chat@production", tmp_path / "dest", "-r", copy)
    assert pulled["version"] == 2
    assert program.json("versions", "acme/chat", "-r", copy) == program.json("versions", "acme/chat", "-r", published)
    for arguments in (
        ("publish", "acme/chat", files),
        ("promote", "acme/chat:1", "production"),
        ("delete", "acme/chat:2", "--yes"),
        ("edit", "acme/chat", "--description", "x"),
        ("doctor",),
        ("report", "acme/chat@production", "--environment", "prod", "--path", tmp_path / "dest"),
    ):
        told = program.fails(4, *arguments, "-r", copy)
        assert f"--registry file://{published}" in told, told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("mirror", "{registry}", "{registry}"), 2, "to itself"),
        (("mirror", "{registry}", "{other}"), 4, "another registry"),
        (("mirror", "{nothing}", "{new}"), 3, "no registry at"),
        (("mirror", "{registry}", "{new}", "--aliases", "Wrong!"), 2, "alias"),
        (("mirror", "{registry}", "{new}", "--restore"), 4, "is the registry itself"),
        (("mirror", "{registry}", "{new}", "--restore", "--dry-run"), 2, "the whole registry"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(
    program: Program, published: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    program.ok("init", tmp_path / "other")
    names = {"registry": published, "other": tmp_path / "other", "nothing": tmp_path / "no", "new": tmp_path / "new"}
    assert words in program.fails(code, *(argument.format(**names) for argument in arguments))


def test_a_model_that_cannot_be_brought_is_named_and_ends_with_its_code(
    program: Program, published: Path, tmp_path: Path
) -> None:
    blob = next((published / "blobs/acme/chat").glob("*/*"))
    blob.unlink()
    ran = program.run("mirror", published, tmp_path / "copy", "--json")
    assert ran.code == ran.document["error"]["code"] == 3
    assert [failure["what"] for failure in ran.document["failures"]] == ["acme/chat"]
    assert not ran.document["complete"]
    assert [model["model"] for model in program.json("models", "-r", tmp_path / "copy")] == ["acme/base"]


def test_a_lost_registry_is_restored_from_its_replica(
    program: Program, published: Path, tmp_path: Path, files: Path
) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    program.ok("mirror", published, copy)
    before = program.json("audit", "acme/chat")
    shutil.rmtree(published)
    restored = program.json("mirror", copy, new, "--restore")
    assert restored["restored"]
    assert program.json("fsck", "--deep", "-r", new)["findings"] == []
    assert program.json("audit", "acme/chat", "-r", new) == before
    assert program.json("publish", "acme/chat", files, "-r", new)["version"] == 3
    assert program.json("fsck", "-r", new)["findings"] == []
    again = program.json("mirror", new, copy)
    assert again["registers"] == 1
    assert program.json("versions", "acme/chat", "-r", copy)[0]["version"] == 3


def test_a_replica_is_made_the_registry_where_it_is(
    program: Program, published: Path, tmp_path: Path, files: Path
) -> None:
    copy = tmp_path / "copy"
    program.ok("mirror", published, copy)
    assert "is the registry now" in program.ok("mirror", copy, copy, "--restore").text
    assert program.json("publish", "acme/chat", files, "-r", copy)["version"] == 3
    assert not (copy / "replica").exists()
    assert program.json("fsck", "-r", copy)["findings"] == []
    assert "the registry" in program.fails(4, "mirror", published, copy)


def test_a_registry_goes_to_a_server_and_back_and_a_server_copies_by_itself(
    program: Program, published: Path, tmp_path: Path, weed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(weed, monkeypatch)
    there, beside = f"s3://{weed.bucket}/mirror/one", f"s3://{weed.bucket}/mirror/two"
    sent = program.json("mirror", published, there)
    assert sent["complete"]
    assert sent["unverified_objects"] == 0
    assert program.json("fsck", "--deep", "-r", there)["findings"] == []
    copied = program.json("mirror", there, beside)
    assert copied["unverified_objects"] == len(list((published / "blobs").glob("*/*/*/*")))
    assert program.json("fsck", "--deep", "-r", beside)["findings"] == []
    assert program.json("mirror", there, f"{beside}-read", "--read")["unverified_objects"] == 0
    back = tmp_path / "back"
    assert program.json("mirror", beside, back)["complete"]
    assert same_registers(published, back)
    assert program.json("fsck", "--deep", "-r", back)["findings"] == []
    for place in (there, beside, back):
        assert program.json("mirror", published, place)["copied_objects"] == 0


def test_a_mirror_that_is_killed_again_and_again_goes_on_and_comes_to_its_end(
    program: Program, published: Path, tmp_path: Path, files: Path
) -> None:
    for number in range(12):
        (files / "weights.bin").write_bytes(bytes([number]) * 3_000_000)
        program.ok("publish", f"acme/model-{number % 4}", files)
    copy = tmp_path / "copy"
    killed = 0
    for number in range(KILLS):
        process = subprocess.Popen(
            [*PROGRAM, "mirror", str(published), str(copy), "--limit", "10"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.25 + 0.08 * number)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        if (copy / "registry.json").exists():
            findings = program.run("fsck", "-r", copy, "--json").document["findings"]
            assert [one for one in findings if "missing" in one["message"] and one["key"] != "registry.json"] == []
    assert killed >= LEAST_KILLED
    assert program.json("mirror", published, copy)["complete"]
    assert same_registers(published, copy)
    findings = program.json("fsck", "--deep", "-r", copy)["findings"]
    assert {one["grade"] for one in findings} <= {"garbage"}  # a probe and uploads that were killed
