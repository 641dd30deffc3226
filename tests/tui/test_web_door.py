"""Whom does the door of the screens' server let in, and what do a browser's words become behind it?"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UsageError
from bucketry.tui.drawing.clipboard import copy_text
from bucketry.tui.drawing.terminal import BROWSER_DRIVER, check_terminal, look_at_terminal
from bucketry.tui.web.guard import WRONG_HOST, WRONG_ORIGIN, WRONG_TOKEN, AccessGuard, AccessRequest
from bucketry.tui.web.screens import bounded_size, packet_for

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "t0ken"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9000", "LOCALHOST", "[::1]:8000", "127.0.0.2"])
def test_a_request_to_this_machine_with_the_token_comes_in_through_a_tunnel_too(host: str) -> None:
    door = AccessGuard("127.0.0.1", TOKEN)
    assert door.why_not(AccessRequest(f"/{TOKEN}/", (host,))) == ""
    page = AccessRequest(f"/{TOKEN}/socket", (host,), (f"http://{host}",), is_websocket=True)
    assert door.why_not(page) == ""


@pytest.mark.parametrize(
    "hosts",
    [(), ("",), ("evil.example",), ("192.0.2.7",), ("localhost.evil.example",), ("localhost@evil.example",),
     ("127.0.0.1 x",), ("127.0.0.1", "evil.example"), ("[::1",), ("[:::::]:8000",)],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused_before_anything_else(hosts: tuple[str, ...]) -> None:
    assert AccessGuard("127.0.0.1", TOKEN).why_not(AccessRequest(f"/{TOKEN}/", hosts)) == WRONG_HOST


def test_where_other_machines_may_come_any_address_will_do_but_no_foreign_name() -> None:
    door = AccessGuard("0.0.0.0", TOKEN)
    for host in ("192.0.2.7:8000", f"{socket.gethostname()}:8000", "localhost"):
        assert door.why_not(AccessRequest(f"/{TOKEN}/", (host,))) == ""
    assert door.why_not(AccessRequest(f"/{TOKEN}/", ("evil.example",))) == WRONG_HOST


@pytest.mark.parametrize(
    "path", ["/", "/x/", f"/{TOKEN}x/", f"//{TOKEN}/", f"/x/{TOKEN}", "/\udcff/", f"/{TOKEN[:-1]}"]
)
def test_a_path_without_the_token_is_refused(path: str) -> None:
    assert AccessGuard("127.0.0.1", TOKEN).why_not(AccessRequest(path, ("127.0.0.1",))) == WRONG_TOKEN


@pytest.mark.parametrize(
    "origins", [("http://evil.example",), ("null",), ("http://127.0.0.1:9999",), ("http://127.0.0.1", "null")]
)
@pytest.mark.parametrize("is_websocket", [True, False])
def test_a_page_of_somebody_else_is_refused(origins: tuple[str, ...], is_websocket: bool) -> None:  # noqa: FBT001
    knock = AccessRequest(f"/{TOKEN}/socket", ("127.0.0.1",), origins, is_websocket)
    assert AccessGuard("127.0.0.1", TOKEN).why_not(knock) == WRONG_ORIGIN


def test_a_websocket_must_say_from_which_page_it_comes() -> None:
    knock = AccessRequest(f"/{TOKEN}/socket", ("127.0.0.1",), is_websocket=True)
    assert AccessGuard("127.0.0.1", TOKEN).why_not(knock) == WRONG_ORIGIN


def test_each_door_has_a_token_of_its_own_which_it_does_not_show() -> None:
    first, second = AccessGuard("127.0.0.1"), AccessGuard("127.0.0.1")
    assert first.token != second.token
    assert len(first.token) >= 40
    assert first.token not in repr(first)


def test_a_browser_needs_no_terminal_and_can_do_everything() -> None:
    environment = {
        "TEXTUAL_DRIVER": BROWSER_DRIVER,
        "LC_ALL": "C",
        "SSH_TTY": "x",
        "TMUX": "x",
        "TERM": "xterm-256color",
    }
    check_terminal(environment)
    terminal = look_at_terminal(environment)
    assert (terminal.is_unicode, terminal.is_ssh, terminal.is_tmux, terminal.theme) == (True, False, False, "dark")
    with pytest.raises(UsageError, match="the screens need a terminal"):
        check_terminal(environment | {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"})


def test_what_is_copied_in_a_browser_goes_to_its_clipboard_not_to_that_of_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "xclip").write_text("#!/bin/sh\ncat >/dev/null\n", "ascii")
    (tmp_path / "xclip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    written: list[str] = []
    assert copy_text("x", look_at_terminal({"TEXTUAL_DRIVER": BROWSER_DRIVER}), written.append) == "terminal"
    assert written == ["x"]
    assert copy_text("x", look_at_terminal({"TERM": "xterm"}), written.append) == "xclip"


def test_a_message_of_the_page_becomes_one_packet_or_none() -> None:
    assert packet_for('["stdin", "\\u00e9"]') == b"D\x00\x00\x00\x02\xc3\xa9"
    assert packet_for('["stdin", "\\ud800"]') == b"D\x00\x00\x00\x01?"
    resized = packet_for('["resize", {"width": 1000000, "height": -3}]')
    assert json.loads(resized[5:]) == {"type": "resize", "width": 1_000, "height": 1}
    assert json.loads(packet_for('["blur"]')[5:]) == {"type": "blur"}
    for message in ('["ping", "1"]', '["quit"]', "{}", "null", '["stdin"]', '["resize", {"width": "x", "height": 1}]'):
        assert packet_for(message) == b""
    with pytest.raises(ValueError, match="Expecting"):
        packet_for("x")
    with pytest.raises(ValueError, match="nested"):
        packet_for("[" * 200_000)


@pytest.mark.parametrize(
    ("given", "size"),
    [(("111", "24"), (111, 24)), (("", ""), (80, 24)), (("-1", "2"), (80, 24)), (("9" * 5000, "0"), (1_000, 1))],
)
def test_the_size_of_a_page_is_bounded(given: tuple[str, str], size: tuple[int, int]) -> None:
    assert bounded_size(*given) == size
