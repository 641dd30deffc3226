"""Do closed streams, early signals, odd bytes and absurd values end in one clear line with the right exit code?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bucketry.schema import keys
from bucketry.transfer.disk import hashing
from cli.harness import PROGRAM, run_alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program

LONG = "Z" * 5_000
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "bucketry.cli.program":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from bucketry.cli.main import run
run()
"""


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    return registry


# Streams


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "code"), [("versions acme/chat", 0), ("versions acme/none", 3)])
def test_a_closed_stream_changes_no_exit_code_but_that_of_an_answer_that_is_lost(
    published: Path, closed: str, arguments: str, code: int
) -> None:
    code = 6 if code == 0 and ">&-" in closed.replace("2>&-", "") else code
    before = (published / "registry.json").read_bytes()
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {arguments} {closed}', "sh", *PROGRAM], capture_output=True, check=False
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
    assert (published / "registry.json").read_bytes() == before


def test_a_file_takes_no_closed_streams_place(published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *PROGRAM, "pull", "acme/chat", str(tmp_path / "dest")], check=False
    )
    assert done.returncode == 6  # the version is here, but the answer went nowhere
    assert (tmp_path / "dest" / "README.md").read_text() == "# A model\n"


def test_a_full_disk_behind_stderr_leaves_the_exit_code(registry: Path) -> None:
    assert registry.is_dir()
    for arguments, code in ((["versions", "acme/none"], 3), (["bogus"], 2), (["models", "--verbose"], 0)):
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - no file, a device
            done = subprocess.run([*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=full, check=False)
        assert done.returncode == code


def test_json_of_a_corrupt_file_is_a_document(program: Program, published: Path) -> None:
    for blob in (published / "blobs" / "acme" / "chat" / "1").iterdir():
        blob.chmod(0o644)
        blob.write_bytes(b"?" * blob.stat().st_size)
    assert "chunk 0" in program.fails(8, "cat", "acme/chat", "README.md")


def test_after_the_first_bytes_no_document_is_added(
    program: Program, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", 1024)
    file = tmp_path / "two"
    file.write_bytes(bytes(2048))
    program.ok("publish", "acme/two", file)
    (blob,) = (registry / "blobs" / "acme" / "two" / "1").iterdir()
    blob.chmod(0o644)
    blob.write_bytes(bytes(1024) + b"?" * 1024)
    ran = program.run("cat", "acme/two", "two", "--json")
    assert ran.code == 8
    assert ran.stdout == bytes(1024)
    assert ran.errors.startswith("error[")


# Signals


def test_an_interrupt_during_the_imports_is_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING, "models"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_ignored_interrupt_stays_ignored(registry: Path) -> None:
    assert registry.is_dir()
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPTED_WHILE_IMPORTING
    done = subprocess.run([sys.executable, "-c", ignoring, "models", "--json"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"[]\n")


def test_the_first_module_imports_next_to_nothing() -> None:
    told = "import sys, bucketry.cli.main; print([n for n in sys.modules if n.startswith(('bucketry.', 'click'))])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True)
    assert done.stdout == b"['bucketry.cli', 'bucketry.cli.main']\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Values


@pytest.mark.parametrize(
    "arguments",
    [
        ("versions", "acme/chat", "--limit", "9" * 24),
        ("models", "--limit", "9" * 5_000),
        ("versions", "acme/chat", "--after", "9" * 5_000),
        ("pull", "acme/chat", "--limit", "nan"),
        ("pull", "acme/chat", "--limit", "inf"),
        ("publish", "acme/chat", "x", "--duration", "inf"),
        ("publish", "acme/chat", "x", "--seed", "9" * 30),
        ("publish", "acme/chat", "x", "--dataset", "name=x,rows=" + "9" * 5_000),
        ("cache", "prune", "--max-size", "9" * 400),
        ("publish", "acme/chat", "n" * 300),
    ],
)
def test_an_absurd_value_is_a_usage_error(program: Program, published: Path, arguments: tuple[str, ...]) -> None:
    assert published.is_dir()
    program.fails(2, *arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("publish", "acme/chat", "x", "--notes", "\udcff"), "--notes"),
        (("publish", "acme/chat", "x", "--label", "a=\udcff"), "--label"),
        (("publish", "acme/chat", "x", "--idempotency-key", "\udcff"), "--idempotency-key"),
        (("edit", "acme/chat:1", "--notes", "\udcff"), "--notes"),
        (("promote", "acme/chat:1", "live", "--reason", "\udcff"), "--reason"),
        (("cat", "acme/chat", "\udcff"), "PATH"),
    ],
)
def test_text_that_is_not_utf_8_is_a_usage_error(
    program: Program, published: Path, arguments: tuple[str, ...], named: str
) -> None:
    assert published.is_dir()
    assert named in program.fails(2, *arguments)


def test_a_locale_that_cannot_write_a_name_is_unsupported(program: Program, registry: Path, tmp_path: Path) -> None:
    assert registry.is_dir()
    (tmp_path / "résumé.bin").write_bytes(b"x")
    program.ok("publish", "acme/cv", tmp_path / "résumé.bin")
    for dest in ([], [tmp_path / "dest"]):
        ran = run_alone("pull", "acme/cv", *dest, environment=ASCII)
        assert (ran.code, b"UTF-8 locale" in ran.stderr) == (9, True)


def test_a_path_may_be_any_bytes(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    dest = tmp_path / "d\udcff"
    assert program.json("pull", "acme/chat", dest)["path"] == str(dest)
    assert (dest / "README.md").is_file()


# Files


def test_a_folder_is_no_metrics_file(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    assert "is no file of a metric" in program.fails(2, "publish", "acme/chat", files, "--metrics", files)
    assert "is no file of a metric" in program.fails(2, "publish", "acme/chat", files, "--evidence", files)


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Path]:
    """Return where folders may be nested so deep that Python could not remove them."""
    yield tmp_path / "deep"
    subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


@pytest.mark.parametrize(("depth", "code"), [(31, 0), (32, 2), (1_500, 2)])
def test_a_nest_of_folders_has_a_bottom(program: Program, published: Path, nest: Path, depth: int, code: int) -> None:
    assert published.is_dir()
    nest.mkdir()
    here = os.open(nest, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("a", dir_fd=here)  # the whole path would be too long for the system
        inner = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    if code:
        assert "at most 32 parts" in program.fails(code, "publish", "acme/chat", nest)
    else:
        program.ok("publish", "acme/chat", nest)


def test_a_file_that_is_made_up_as_it_is_read_is_refused(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    assert "not a plain file on a disk" in program.fails(2, "publish", "acme/chat", "/proc/version")
    (tmp_path / "empty").write_bytes(b"")
    program.ok("publish", "acme/chat", tmp_path / "empty")


# Messages


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", LONG),
        ("show", f"acme/chat@{LONG}"),
        ("bogus" + LONG,),
        ("versions", "acme/chat", "--limit", LONG),
        ("models", "-r", LONG),
        ("models", "-r", f"/tmp/{LONG}"),
        ("publish", "acme/chat", "x", "--param", LONG),
        ("publish", "acme/chat", "x", "--dataset", f"name=x,{LONG.lower()}=1"),
        ("publish", "acme/chat", LONG),
        ("show", "\x1b" * 3_000),
    ],
)
def test_a_long_argument_is_not_repeated_whole(program: Program, published: Path, arguments: tuple[str, ...]) -> None:
    assert published.is_dir()
    ran = program.run(*arguments)
    assert ran.code in {2, 3}
    assert "..." in ran.errors
    assert len(ran.errors) < 1_000
    assert len(program.run(*arguments, "--json").text) < 1_100


@pytest.mark.parametrize("arguments", [("publish", "acme/chat", "x"), ("pull", "acme/chat", "d"), ("init", "./r")])
def test_a_deleted_current_folder_is_named(published: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert published.is_dir()
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD"; "$@"', "sh", *PROGRAM, *arguments],
        cwd=gone,
        env=os.environ | {"PWD": str(gone)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"the current folder {gone} was deleted" in done.stderr.decode()


# The check of the registry


def test_what_fsck_cannot_read_is_in_its_document(program: Program, published: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    blobs = sorted((published / "blobs" / "acme" / "chat" / "1").iterdir())
    blobs[0].rename(tmp_path / "elsewhere" / "blob")
    blobs[0].symlink_to(tmp_path / "elsewhere" / "blob")
    ran = program.run("fsck", "--json")
    assert ran.code == 8
    assert [finding["key"] for finding in ran.document["findings"]] == [str(blobs[0].relative_to(published))]
    told = program.run("fsck")
    assert (told.code, "1 damaged, 0 leftovers" in told.text) == (8, True)


def test_a_damaged_registry_document_is_a_finding(program: Program, published: Path) -> None:
    document = published / keys.REGISTRY
    document.chmod(0o644)
    changed = json.loads(document.read_bytes())
    del changed["registry"]
    document.write_text(json.dumps(changed))
    ran = program.run("fsck", "--json")
    assert ran.code == 8
    assert [finding["key"] for finding in ran.document["findings"]] == [keys.REGISTRY]


def test_one_leftover_is_one(program: Program, published: Path) -> None:
    stray = published / "blobs" / "acme" / "stray"
    stray.mkdir()
    (stray / "x").write_bytes(b"x")
    assert "0 damaged, 1 leftover\n" in program.ok("fsck").text
