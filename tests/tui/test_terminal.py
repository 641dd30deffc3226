"""What is sent to a real terminal: how many bytes, and which escape sequences, whatever the registry says?"""

from __future__ import annotations

import os
import re
import signal
import termios
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder.store import FolderStore
from bucketry.tui.screens.versions import PANEL_FROM_COLUMNS
from cli.harness import NEEDS_HANGUPS
from tui.desk import HOSTILE, filled_registry
from tui.on_terminal import SEQUENCE, on_terminal, without_sequences

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES_OF_A_MOVE = 600
MOST_BYTES_OF_A_PAGE = 8_500
MOST_BYTES_OF_A_WORD = 500
MOST_BYTES_OF_A_PANEL = 1_200
"""A step to a version of which other things are known: two rows of the list, and the text beside it."""
IDLE_SECONDS = 3.0
ALLOWED = re.compile(
    rb"\x1b\[[0-9;]*m"  # colours
    rb"|\x1b\[[0-9]+;[0-9]+H"  # where the cursor goes
    rb"|\x1b\[\?(?:1049|25|2004|2026|2048|1000|1002|1003|1004|1006|1015|1016|7)[hl]"  # modes of the screen and the keys
    rb"|\x1b\[\?(?:2026|2048)\$p"  # asks what the terminal can do
    rb"|\x1b\[[<>][0-9]*u"  # the keyboard's protocol
    rb"|\x1b\]22;[a-z]*\x07"  # the shape of the mouse
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202e]")


def make(tmp_path: Path, text: str = "plain") -> str:
    folder = tmp_path / "registry"
    folder.mkdir()
    filled_registry(FolderStore(folder), text=text)
    return str(folder)


@pytest.mark.parametrize(("columns", "rows", "view_bytes"), [(120, 40, 5_500), (80, 24, 3_000)])
def test_no_key_costs_more_than_it_may(
    tmp_path: Path, environment: dict[str, str], columns: int, rows: int, view_bytes: int
) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment, columns=columns, rows=rows) as screen:
        screen.read(until=(b"credit-risk", b"LIVE"))

        def to(version: int, keys: bytes) -> bytes:
            """Return what is sent until a version is under the cursor and, where there is room, beside the list."""
            beside = (b"| credit-risk:%d" % version,) if columns >= PANEL_FROM_COLUMNS else ()
            return screen.press(keys, until=(b">  v%d" % version, b"0 of 1", *beside))

        costs = {"G": (screen.press(b"G", until=b">  credit-risk"), MOST_BYTES_OF_A_MOVE)}
        for name, keys, version, most in (
            ("enter", b"\r", 12, view_bytes),
            ("j to one with reviews", b"j", 11, MOST_BYTES_OF_A_PANEL),
            ("6j", b"jjjjjj", 5, 6 * MOST_BYTES_OF_A_MOVE),
            ("j", b"j", 4, MOST_BYTES_OF_A_MOVE),
            ("k", b"k", 5, MOST_BYTES_OF_A_MOVE),
        ):
            costs[name] = (to(version, keys), most)
            assert ("sha256:" in screen.text) == (columns >= PANEL_FROM_COLUMNS)
        costs |= {
            "y": (screen.press(b"y", until=b"copy of credit-risk:5"), MOST_BYTES_OF_A_WORD),
            "x": (screen.press(b"x", gone=b"copy of credit-risk:5"), MOST_BYTES_OF_A_WORD),
            ":": (screen.press(b":", until=b"esc cancel"), MOST_BYTES_OF_A_WORD),
            "m": (screen.press(b"m", until=b" : m"), MOST_BYTES_OF_A_WORD),
            "esc": (screen.press(b"\x1b", gone=b"esc cancel"), MOST_BYTES_OF_A_WORD),
            "ctrl+d": (to(1, b"\x04"), MOST_BYTES_OF_A_PAGE),
            "?": (screen.press(b"?", until=b"GO"), view_bytes),
            "h": (screen.press(b"h", until=b">  v1"), view_bytes),
            "ctrl+p": (screen.press(b"\x10", until=(b"COMMAND", b"enter do it")), view_bytes),
            "esc of the palette": (screen.press(b"\x1b", until=b">  v1"), view_bytes),
            "version": (screen.press(b"\r", until=(b"[1 Overview]", b"lr=0.001")), view_bytes),
            "tab": (screen.press(b"]", until=(b"[2 Metrics]", b"next to")), view_bytes),
        }
        time.sleep(IDLE_SECONDS)
        assert screen.press(b"", quiet_seconds=0.1) == b""
    dear = {key: (len(sent), most) for key, (sent, most) in costs.items() if not 0 < len(sent) <= most}
    assert dear == {}, f"{ {key: len(sent) for key, (sent, _) in costs.items()} }"


@pytest.mark.parametrize("cell_diff", ["true", "false"])
def test_nothing_leaves_but_the_expected_sequences_whatever_stands_in_the_registry(
    tmp_path: Path, environment: dict[str, str], cell_diff: str
) -> None:
    (tmp_path / "config.toml").write_text(f"[tui]\ncell_diff = {cell_diff}\n")
    with on_terminal("-r", make(tmp_path, HOSTILE), "tui", environment=environment, columns=140) as screen:
        sent = screen.read(until=b"credit-risk")
        for keys in (b"G", b"\r", b"\r", b"G", b"h", b"A", b"\x1b", b"E", b"l", b"\x1b", b"E", b"n", b"\x1b"):
            sent += screen.press(keys, quiet_seconds=0.6)
        for keys in (b"/owned\r", b"\x1b", b"@", b"h", b"?", b"h", b"y", b"n", b"P", b"production\r", b"\x1b"):
            sent += screen.press(keys, quiet_seconds=0.6)
        sent += screen.press(b"qqq")
        assert screen.wait() == 0
    clipboard = re.compile(rb"\x1b\]52;c;[A-Za-z0-9+/=]*(?:\x07|\x1b\\)")
    strange = [found for found in SEQUENCE.findall(clipboard.sub(b"", sent)) if not ALLOWED.fullmatch(found)]
    assert strange == []
    text = without_sequences(sent)
    assert CONTROL.findall(text) == []
    assert "\\x1b]0;owned\\x07" in text
    assert "[@click=app.exit]" in text


def test_a_paste_answers_no_question_whatever_is_in_it(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment) as screen:
        screen.read(until=b"credit-risk")
        screen.press(b"G")
        screen.press(b"\r", until=b">  v12")
        screen.press(b"C", quiet_seconds=0.6)
        screen.press(b"\x1b[200~one\rt\x1bwo\rthree\x1b[201~", quiet_seconds=0.6)
        assert "one two three" in screen.text
        screen.press(b"\x1b", quiet_seconds=0.6)
        screen.press(b"qqq")
        assert screen.wait() == 0


def test_without_colours_none_are_sent(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment | {"NO_COLOR": "1"}) as screen:
        sent = screen.read(until=b"credit-risk") + screen.press(b"G") + screen.press(b"\r", until=b">  v12")
    parameters = {part for found in re.findall(rb"\x1b\[([0-9;]*)m", sent) for part in found.split(b";")}
    assert parameters <= {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}


def test_a_terminal_of_sixteen_colours_gets_no_others(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal(
        "-r", make(tmp_path), "tui", environment=environment | {"TERM": "xterm", "COLORTERM": ""}
    ) as screen:
        sent = screen.read(until=b"credit-risk") + screen.press(b"G") + screen.press(b"\r", until=b">  v12")
    assert b"38;2;" not in sent
    assert b"38;5;" not in sent


def test_a_locale_without_unicode_gets_ascii(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path, "naïve ✓"), "tui", environment=environment | {"LC_ALL": "C"}) as screen:
        sent = screen.read(until=b"credit-risk") + screen.press(b"G") + screen.press(b"\r", until=b">  v12")
        sent += screen.press(b"\r", until=b"NOTES")
    assert sent.isascii()
    assert b"na<U+00EF>ve <U+2713>" in sent


def test_over_ssh_the_mouse_is_left_to_the_terminal(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment | {"SSH_TTY": "/dev/pts/1"}) as screen:
        sent = screen.read(until=b"credit-risk")
        assert b"\x1b[?1000h" not in sent
        assert b"\x1b[?1000h" in screen.press(b":mouse on\r")


def test_no_command_on_a_terminal_opens_the_screens(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path), environment=environment) as screen:
        assert b"credit-risk" in screen.read(until=b"credit-risk")
        screen.press(b"q")
        assert screen.wait() == 0


def test_a_terminal_that_can_do_too_little_is_refused_with_the_commands_to_use(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment | {"TERM": "dumb"}) as screen:
        sent = screen.read(until=b"bucketry models")
        assert screen.wait() == 2
    assert b"the screens need more than the terminal" in sent


def test_a_window_that_changes_its_size_is_drawn_anew(tmp_path: Path, environment: dict[str, str]) -> None:
    environment |= {"COLUMNS": "80", "LINES": "24"}  # as readline leaves them behind
    with on_terminal("-r", make(tmp_path), "tui", environment=environment, columns=80, rows=24) as screen:
        screen.read(until=b"credit-risk")
        assert b"60x15" in screen.resize(50, 10, until=b"60x15")
        assert b"credit-risk" in screen.resize(100, 30, until=b"credit-risk")


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGHUP, 129, marks=NEEDS_HANGUPS), (signal.SIGQUIT, 131), (signal.SIGTERM, 143)],
)
def test_a_signal_leaves_the_terminal_as_it_was(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals, code: int
) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment) as screen:
        shown = screen.read(until=b"credit-risk")
        raw = termios.tcgetattr(screen.descriptor)[3]
        os.kill(screen.process, number)
        left = screen.read(until=b"error[terminated]")
        assert not raw & (termios.ICANON | termios.ECHO)
        assert termios.tcgetattr(screen.descriptor)[3] & (termios.ICANON | termios.ECHO)
        assert screen.wait() == code
    assert b"\x1b[?1049h" in shown
    for ending in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l"):  # the screen, the cursor, the mouse
        assert ending in left


HANGS_UP_AT_WORK = """
import asyncio, os, signal
from bucketry.cli.main import run
from bucketry.tui.shell.app import BucketryApp

async def hang_up(app, event):
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGHUP)

BucketryApp.on_key = hang_up
run()
"""


@NEEDS_HANGUPS
def test_a_hang_up_ends_the_screens_wherever_they_are(tmp_path: Path, environment: dict[str, str]) -> None:
    """The event loop catches what a handler of a signal raises within a callback."""
    with on_terminal("-r", make(tmp_path), "tui", environment=environment, program=HANGS_UP_AT_WORK) as screen:
        screen.read(until=b"credit-risk")
        assert b"error[terminated]" in screen.press(b"j", until=b"error[terminated]")
        assert screen.wait() == 129


@NEEDS_HANGUPS
def test_a_terminal_that_is_taken_away_ends_the_program(tmp_path: Path, environment: dict[str, str]) -> None:
    with on_terminal("-r", make(tmp_path), "tui", environment=environment) as screen:
        screen.read(until=b"credit-risk")
        os.close(screen.descriptor)
        screen.descriptor = os.open(os.devnull, os.O_RDWR)
        assert screen.wait() == 129


COUNTS_READERS = """
import os, signal, threading
from pathlib import Path
from bucketry.cli.main import run

def count(number, frame):
    names = [thread.name for thread in threading.enumerate()]
    Path(os.environ["COUNT_FILE"]).write_text(str(names.count("textual-input")))

signal.signal(signal.SIGUSR1, count)
run()
"""


def test_after_a_stop_each_key_is_read_once(tmp_path: Path, environment: dict[str, str]) -> None:
    count = tmp_path / "count"
    environment |= {"COUNT_FILE": str(count)}
    with on_terminal("-r", make(tmp_path), "tui", environment=environment, program=COUNTS_READERS) as screen:
        screen.read(until=b"credit-risk")
        for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGCONT):
            os.kill(screen.process, number)
            screen.read()
        os.kill(screen.process, signal.SIGUSR1)
        screen.read()
        assert count.read_text() == "1"
        screen.press(b"q")
        assert screen.wait() == 0
