"""Does the shell complete commands, models and aliases, and does it stay silent when it cannot?"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cli.harness import PROGRAM, run_alone

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    program.ok("publish", "acme/base", files)
    program.ok("publish", "other", files)
    program.ok("promote", "acme/chat:1", "production")
    program.ok("promote", "acme/chat:1", "preview")
    return registry


def bash(line: str, **environment: str) -> list[str]:
    ran = run_alone(environment={"_BUCKETRY_COMPLETE": "bash_complete", "COMP_LINE": line} | environment)
    assert (ran.code, ran.stderr) == (0, b"")
    return [item.removeprefix("plain,") for item in ran.text.splitlines() if item]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bucketry ver", ["versions"]),
        ("bucketry show ", ["acme/base", "acme/chat", "other"]),
        ("bucketry show acme/", ["acme/base", "acme/chat"]),
        ("bucketry --json versions ot", ["other"]),
        ("bucketry show acme/chat@", ["preview", "production", "latest"]),
        ("bucketry pull acme/chat@prod", ["production"]),
        ("bucketry rollback acme/chat p", ["preview", "production"]),
        ("bucketry promote acme/chat:1 prev", ["preview"]),
        ("bucketry aliases acme/chat --history pro", ["production"]),
        ("bucketry pull --verify f", ["fast"]),
        ("bucketry show zzz", []),
        ("bucketry show nothing@", []),
    ],
)
def test_bash_is_told_what_could_follow(published: Path, line: str, expected: list[str]) -> None:
    assert published.is_dir()
    assert bash(line) == expected


def test_the_registry_of_the_line_itself_counts(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUCKETRY_REGISTRY")
    assert bash(f"bucketry -r {published} show oth") == ["other"]
    assert bash("bucketry show oth") == []


@pytest.mark.parametrize("registry", ["/nowhere", "http://example.org", ""])
def test_an_error_completes_nothing_silently(registry: str) -> None:
    assert bash("bucketry show a", BUCKETRY_REGISTRY=registry) == []
    assert bash("bucketry show 'a", BUCKETRY_REGISTRY=registry) == []


def test_a_slow_registry_is_not_waited_for(published: Path) -> None:
    assert published.is_dir()
    slow = (
        "import time\nfrom bucketry.registry.versions import listing\n"
        "listing.iter_model_names = lambda session: time.sleep(20)\n"
        "from bucketry.cli.main import run\nrun()"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", slow],
        env={"_BUCKETRY_COMPLETE": "bash_complete", "COMP_LINE": "bucketry show a", **_environment()},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == (b"", b"")
    assert time.monotonic() - started < 10


def test_a_young_index_is_asked_without_a_request(program: Program, published: Path) -> None:
    program.ok("models")
    for name in list(published.iterdir()):
        shutil.move(name, published.parent)
    assert bash("bucketry show acme/") == ["acme/base", "acme/chat"]
    assert bash("bucketry pull acme/chat@") == ["preview", "production", "latest"]
    assert bash("bucketry rollback acme/chat prod") == ["production"]
    shutil.rmtree(published)
    assert bash("bucketry show acme/c") == ["acme/chat"]


def test_an_old_index_is_brought_up_to_date(program: Program, published: Path, files: Path) -> None:
    program.ok("models")
    program.ok("publish", "acme/newer", files)
    assert published.is_dir()
    assert bash("bucketry show acme/") == ["acme/base", "acme/chat"]  # younger than a day
    age_index(published, days=2)
    assert bash("bucketry show acme/") == ["acme/base", "acme/chat", "acme/newer"]
    for name in list(published.iterdir()):
        shutil.move(name, published.parent)
    assert bash("bucketry show acme/n") == ["acme/newer"]  # it was filled while the first answer was given


def test_a_name_that_the_index_lacks_is_looked_for_once_it_is_a_minute_old(
    program: Program, published: Path, files: Path
) -> None:
    program.ok("models")
    program.ok("publish", "acme/newer", files)
    assert bash("bucketry show acme/n") == []
    age_index(published, days=0.01)
    assert bash("bucketry show acme/n") == ["acme/newer"]


def age_index(registry: Path, *, days: float) -> None:
    """Make the index believe that it was refreshed so long ago."""
    (path,) = registry.parent.glob("cache/index/*/*.sqlite")
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE facts SET value = ? WHERE name = 'refreshed_at'", (at,))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_too(published: Path, shell: str) -> None:
    assert published.is_dir()
    words = {"zsh": {"COMP_WORDS": "bucketry show oth", "COMP_CWORD": "2"}, "fish": {"COMP_WORDS": "bucketry show oth"}}
    extra = {"COMP_CWORD": "oth"} if shell == "fish" else {}
    ran = run_alone(environment={"_BUCKETRY_COMPLETE": f"{shell}_complete"} | words[shell] | extra)
    assert ran.code == 0
    assert "other" in ran.text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(program: Program, shell: str) -> None:
    script = program.ok("completion", shell).text
    assert f"_BUCKETRY_COMPLETE={shell}_complete" in script
    assert program.json("completion", shell)["script"] == script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes_with_the_script(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    script = tmp_path / "completion.bash"
    script.write_text(program.ok("completion", "bash").text)
    command = tmp_path / "bin" / "bucketry"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {PROGRAM[0]} -c '{PROGRAM[2]}' \"$@\"\n")
    command.chmod(0o755)
    asked = (
        f"PATH={command.parent}:$PATH; source {script}; COMP_LINE='bucketry pull acme/chat@pr'; COMP_POINT=26; "
        "COMP_WORDS=(bucketry pull acme/chat @ pr); COMP_CWORD=4; _bucketry_completion bucketry pr @; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["preview", "production"]
    assert done.stderr == ""


def _environment() -> dict[str, str]:
    import os  # noqa: PLC0415

    return dict(os.environ)
