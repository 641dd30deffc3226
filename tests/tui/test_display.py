"""Does the terminal get only what differs, in its brackets, and its cursor where a screen reader looks for it?"""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UsageError
from bucketry.store.folder.store import FolderStore
from bucketry.tui.shell.settings import parse_settings
from tui.cells import Screen
from tui.desk import filled_registry
from tui.on_terminal import LONGEST_SECONDS, on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tui.on_terminal import Session

BEGIN, END = b"\x1b[?2026h", b"\x1b[?2026l"
SHOW_CURSOR = b"\x1b[?25h"
REST_SECONDS = 0.8
KEYS = (b"G", b"\r", b"j", b" ", b"j", b"y", b"x", b":", b"mo", b"\x1b", b"?", b"j", b"h", b"\r", b"]", b"h", b"/v9\r")


@pytest.fixture
def registry(tmp_path: Path) -> str:
    (tmp_path / "registry").mkdir()
    filled_registry(FolderStore(tmp_path / "registry"))
    return str(tmp_path / "registry")


def cursor_line(session: Session) -> str:
    return session.text.splitlines()[session.screen.at[1]]


def test_with_and_without_the_cell_diff_the_terminal_shows_the_same(
    registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    configurations = {"true": tmp_path / "changes.toml", "false": tmp_path / "whole.toml"}
    with ThreadPoolExecutor(2) as both, ExitStack() as stack:
        sessions = []
        for cell_diff, path in configurations.items():
            path.write_text(f"[tui]\ncell_diff = {cell_diff}\n")
            told = environment | {"BUCKETRY_CONFIG": str(path)}
            sessions.append(stack.enter_context(on_terminal("-r", registry, "tui", environment=told)))
        sizes = [len(session.read(until=b"credit-risk")) for session in sessions]
        for keys in KEYS:
            for session in sessions:
                os.write(session.descriptor, keys)
            deadline = time.monotonic() + LONGEST_SECONDS
            while True:  # on a busy machine one may take longer than the other
                sent = list(both.map(lambda session: session.read(quiet_seconds=REST_SECONDS), sessions))
                sizes = [size + len(more) for size, more in zip(sizes, sent, strict=True)]
                assert all(session.text for session in sessions)
                changed, whole = (session.screen.shown() for session in sessions)
                if changed == whole or time.monotonic() > deadline:
                    break
            assert changed == whole, f"after {keys!r}"
        assert all(session.screen.text() == session.text for session in sessions)
    assert sizes[0] * 4 < sizes[1]


def test_each_update_is_in_brackets_and_none_is_empty(registry: str, environment: dict[str, str]) -> None:
    with on_terminal("-r", registry, "tui", environment=environment) as session:
        session.read(until=b"credit-risk")
        session.press(b"\x1b[?2026;2$y")  # the terminal says that it can
        sent = b"".join(session.press(keys) for keys in (b"G", b"\r", b"j", b"k", b":", b"\x1b", b"\x1b"))
    updates = re.findall(re.escape(BEGIN) + rb"(.*?)" + re.escape(END), sent, re.DOTALL)
    assert len(updates) >= 5
    assert b"".join(BEGIN + update + END for update in updates) == sent
    assert all(updates)


def test_after_a_change_of_size_and_after_a_stop_everything_is_sent(registry: str, environment: dict[str, str]) -> None:
    with on_terminal("-r", registry, "tui", environment=environment, columns=80, rows=24) as session:
        session.read(until=b"credit-risk")
        before = session.text
        session.resize(100, 30, until=b"credit-risk")
        session.resize(80, 24, until=b"credit-risk")
        assert session.text == before
        session.screen = Screen(80, 24)  # another program wrote on it meanwhile
        os.kill(session.process, signal.SIGSTOP)
        os.kill(session.process, signal.SIGCONT)
        session.read(until=b"credit-risk")
        assert session.text == before


def test_a_screen_that_another_program_wrote_over_is_drawn_anew_by_a_key(
    registry: str, environment: dict[str, str]
) -> None:
    with on_terminal("-r", registry, "tui", environment=environment, columns=80, rows=24) as session:
        session.read(until=b"credit-risk")
        before = session.text
        session.screen = Screen(80, 24)
        session.press(b"\x0c", until=b"drawn anew")
        assert session.text.splitlines()[:-2] == before.splitlines()[:-2]


def test_the_cursor_is_hidden_and_costs_nothing_unless_it_is_asked_for(
    registry: str, environment: dict[str, str]
) -> None:
    costs = []
    for arguments in ((), ("--cursor",)):
        with on_terminal("-r", registry, "tui", *arguments, environment=environment) as session:
            first = session.read(until=b"credit-risk")
            assert first.count(SHOW_CURSOR) == len(arguments)
            costs.append(len(session.press(b"G")))
    assert costs[0] < costs[1] <= costs[0] + len(b"\x1b[40;120H")


def test_the_cursor_follows_the_selected_row_and_the_prompt(registry: str, environment: dict[str, str]) -> None:
    with on_terminal("-r", registry, "tui", "--cursor", environment=environment, columns=80, rows=24) as session:
        session.read(until=b"credit-risk")
        assert cursor_line(session).startswith(">  acme/chat")
        session.press(b"j")
        assert cursor_line(session).startswith(">  credit-risk")
        session.press(b"\r", until=b">  v12")
        assert cursor_line(session).startswith(">  v12")
        session.press(b"jj")
        assert cursor_line(session).startswith(">  v10")
        session.press(b":de")
        assert cursor_line(session).rstrip() == " : de"
        assert session.screen.at[0] == len(" : de")
        session.press(b"\x1b")
        assert cursor_line(session).startswith(">  v10")
        assert session.screen.at[0] == 0


def test_the_configuration_can_ask_for_the_cursor_and_turn_the_cell_diff_off(
    registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text("[tui]\ncursor = true\ncell_diff = false\n")
    with on_terminal("-r", registry, "tui", environment=environment) as session:
        assert SHOW_CURSOR in session.read(until=b"credit-risk")
        assert len(session.press(b"\r", until=b"VERS")) > 10_000
        assert cursor_line(session).startswith(">  v")


def test_a_switch_that_is_neither_on_nor_off_is_refused_by_name() -> None:
    assert parse_settings({}, where="tui").cell_diff
    assert not parse_settings({"cell_diff": False}, where="tui").cell_diff
    assert parse_settings({"cursor": True}, where="tui").cursor
    for name in ("cell_diff", "cursor"):
        with pytest.raises(UsageError, match=f"{name} is neither true nor false"):
            parse_settings({name: "yes"}, where="tui")


def test_a_terminal_of_the_tests_refuses_what_it_does_not_know() -> None:
    with pytest.raises(AssertionError, match="not known"):
        Screen(10, 1).feed("\x1b[2J")
