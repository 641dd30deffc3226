"""Does `watch` print each move, tell who is to be told, go on when that fails, and end when it is asked to?"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.schema.documents.reviews import Action
from cli.harness import PROGRAM
from servers.misbehaving import Answer, run_misbehaving
from trust.people import ANNA, BERT, EVERYBODY, rule
from trust.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program

CHAT = "acme/chat@production"
WATCH = ("watch", CHAT, "--interval", "0.1")
SECRET = "what both know"
END_SECONDS = 30.0


@pytest.fixture
def promoted(program: Program, registry: Path, files: Path) -> Path:
    for _ in range(2):
        program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    return registry


class Watching:
    """The program, watching; it must end soon after it is interrupted."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def next_move(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def next_note(self) -> str:
        assert self._process.stderr is not None
        ready, _, _ = select.select([self._process.stderr], [], [], END_SECONDS)
        assert ready, "nothing was said"
        return self._process.stderr.readline()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self._process.send_signal(number)
        rest, errors = self._process.communicate(timeout=END_SECONDS)
        assert rest == ""
        return self._process.returncode, errors


@contextmanager
def watching(*options: str, reference: str = CHAT, **environment: str) -> Iterator[Watching]:
    process = subprocess.Popen(
        [*PROGRAM, "watch", reference, *WATCH[2:], *options],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Watching(process)
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_move_is_a_line_until_the_watch_is_ended(
    program: Program, promoted: Path, number: signal.Signals, code: int
) -> None:
    assert promoted.is_dir()
    with watching() as watch:
        first = watch.next_move()
        assert set(first) == {"model", "alias", "version", "manifest", "generation", "state", "since", "by"}
        assert (first["model"], first["alias"], first["version"], first["state"]) == (
            "acme/chat",
            "production",
            1,
            "registered",
        )
        program.ok("promote", "acme/chat:2", "production")
        assert watch.next_move()["version"] == 2
        program.ok("review", "reject", "acme/chat:2", "--comment", "leaks")
        refused = watch.next_move()
        assert (refused["version"], refused["state"]) == (2, "rejected")
        ended, errors = watch.interrupt(number)
    assert ended == code
    assert "Traceback" not in errors


def test_a_command_is_run_for_each_move_and_a_failing_one_stops_nothing(
    program: Program, promoted: Path, tmp_path: Path
) -> None:
    assert promoted.is_dir()
    script = tmp_path / "told.py"
    script.write_text(
        "import os, sys\n"
        f"told = open({str(tmp_path / 'told')!r}, 'a')\n"
        "told.write(os.environ['BUCKETRY_MOVE_VERSION'] + ' ' + sys.stdin.read() + '\\n')\n"
        "print('on stdout')\n"
        "raise SystemExit(7)\n"
    )
    with watching("--exec", f"{sys.executable} {script}") as watch:
        moves = [watch.next_move()]
        program.ok("promote", "acme/chat:2", "production")
        moves.append(watch.next_move())
        program.ok("promote", "acme/chat:1", "production")
        moves.append(watch.next_move())  # its command runs after it is printed, the ones before have ended
        code, errors = watch.interrupt()
    assert code == 130
    told = [
        line.split(" ", 1) for line in (tmp_path / "told").read_text().splitlines()[:2]
    ]  # the third was interrupted
    assert [(version, json.loads(document)) for version, document in told] == [("1", moves[0]), ("2", moves[1])]
    assert errors.count("ended with 7") >= 2
    assert "on stdout" in errors


def test_a_post_of_each_move_is_signed(program: Program, promoted: Path) -> None:
    assert promoted.is_dir()
    with (
        run_misbehaving(lambda _: Answer(204)) as receiver,
        watching("--post", receiver.server.endpoint_url, BUCKETRY_WEBHOOK_SECRET=SECRET) as watch,
    ):
        first = watch.next_move()
        program.ok("promote", "acme/chat:2", "production")
        second = watch.next_move()
        program.ok("promote", "acme/chat:1", "production")
        watch.next_move()
        code, errors = watch.interrupt()
    assert code == 130
    assert SECRET not in errors
    assert [json.loads(asked.body) for asked in receiver.asked][:2] == [first, second]
    for asked in receiver.asked:
        expected = hmac.new(SECRET.encode(), asked.body, hashlib.sha256).hexdigest()
        assert asked.headers["x-bucketry-signature"] == f"sha256={expected}"


@pytest.mark.parametrize("by_profile", [False, True])
def test_with_a_trust_file_nothing_is_told_of_what_it_does_not_accept_and_a_note_says_so(
    program: Program, promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_profile: bool
) -> None:
    assert promoted.is_dir()
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    world = World(tmp_path)
    program.ok("publish", "risk/chat", tmp_path / "out")
    for text in ("weights 2", "weights 3"):
        world.publish(text)
    for version in (1, 3):
        for person in (ANNA, BERT):
            world.decide(person, Action.APPROVE, version)
    world.promote(1)
    trust = world.trust(*EVERYBODY, rule())
    options: tuple[str, ...] = ("--trust", str(trust))
    if by_profile:
        options = ()
        (tmp_path / "config.toml").write_text(f'[registries.prod]\nurl = "{promoted}"\ntrust = "{trust.name}"\n')
        monkeypatch.setenv("BUCKETRY_REGISTRY", "prod")
    script = tmp_path / "told.py"
    script.write_text(
        f"import os\nopen({str(tmp_path / 'told')!r}, 'a').write(os.environ['BUCKETRY_MOVE_VERSION'] + ' ')\n"
    )
    with watching("--exec", f"{sys.executable} {script}", *options, reference="risk/chat@production") as watch:
        assert watch.next_move()["version"] == 1
        world.promote(2)
        refused = watch.next_note()
        world.promote(3)
        assert watch.next_move()["version"] == 3
        world.promote(1)
        assert watch.next_move()["version"] == 1  # the command for version 3 has ended
        code, errors = watch.interrupt()
    assert refused.startswith("note: the move of risk/chat@production to version 2 is left out: ")
    assert "it has 0 of 2 approvals" in refused
    assert (code, errors.count("left out")) == (130, 0)
    assert (tmp_path / "told").read_text().split()[:2] == ["1", "3"]


def test_what_cannot_be_told_is_refused_before_anything_is_watched(
    program: Program, promoted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert promoted.is_dir()
    assert "BUCKETRY_WEBHOOK_SECRET is not set" in program.fails(2, *WATCH, "--post", "https://example.org/hook")
    monkeypatch.setenv("BUCKETRY_WEBHOOK_SECRET", SECRET)
    assert "not encrypted" in program.fails(2, *WATCH, "--post", "http://example.org/hook")
    program.fails(2, *WATCH, "--exec", "'never closed")
    program.fails(2, "watch", "acme/chat:1")
    program.fails(2, "watch", "acme/chat@production", "--interval", "0")
    program.fails(3, "watch", "acme/chat@staging")


def test_the_help_says_that_no_shell_reads_the_command(program: Program) -> None:
    told = " ".join(program.ok("watch", "--help").text.split())
    assert "no shell reads CMD (for one: \"sh -c '...'\")" in told
