"""The screens of one browser: each page has a process of its own, and the end of either ends the other.

What goes through the process's stdin and stdout are the packets of the toolkit's driver for browsers: a letter (D for
data, M for a message in JSON), four bytes that say how long it is, and the bytes. The websocket carries data as binary
messages to the browser, and arrays in JSON from it, as the page's script wants it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import WSMsgType

from bucketry.schema.text import displayable
from bucketry.tui.drawing.terminal import BROWSER_DRIVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

BEGINNING = b"__GANGLION__\n"
"""The line of the toolkit's driver before its first packet."""
MOST_LINES_BEFORE = 10
MOST_PACKET_BYTES = 1 << 26
MOST_SAID_BYTES = 1 << 16
MOST_COLUMNS, MOST_ROWS = 1_000, 500
LEAVING_SECONDS = 3.0
ENDING_SECONDS = 1.0


async def show_screens(socket: web.WebSocketResponse, command: Sequence[str], columns: int, rows: int) -> str:
    """Run screens for one browser until either of them ends; return what a process that failed said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(columns, rows),
        start_new_session=True,  # what interrupts the server is not for them, and they can be ended as a group
    )
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - pipes, all three
    shown = asyncio.create_task(_carry_out(process.stdout, socket))
    said = asyncio.create_task(_read_said(process.stderr))
    keys = asyncio.create_task(_carry_in(socket, process.stdin))
    try:
        await asyncio.wait({shown, keys}, return_when=asyncio.FIRST_COMPLETED)
        is_over = shown.done()
    finally:
        keys.cancel()
        process.stdin.close()  # with no more keys to come, they leave
        await _end(process)
        for task in (shown, said, keys):
            task.cancel()
        results = await asyncio.gather(shown, said, keys, return_exceptions=True)
    failures = [each for each in results if isinstance(each, Exception)]
    if failures:
        raise failures[0]
    text = results[1] if isinstance(results[1], str) else ""
    if not is_over or not process.returncode:
        return ""
    with suppress(ConnectionError):
        await socket.send_bytes(text.replace("\n", "\r\n").encode())
    return text or f"the screens ended with {process.returncode}"


def bounded_size(columns: str, rows: str) -> tuple[int, int]:
    """Return the size of a terminal as a browser gave it, or the usual one."""
    if columns.isdecimal() and rows.isdecimal():
        return _bounded(int(columns[:9]), int(rows[:9]))
    return 80, 24


def packet_for(message: str) -> bytes:
    """Return the packet that a message of the browser becomes, or b"" for one that means nothing to the screens.

    Raises `ValueError` for what is no JSON.
    """
    try:
        said = json.loads(message)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    match said:
        case ["stdin", str(keys)]:
            return _packet(b"D", keys.encode(errors="replace"))
        case ["resize", {"width": int(columns), "height": int(rows)}]:
            columns, rows = _bounded(columns, rows)
            return _packet(b"M", json.dumps({"type": "resize", "width": columns, "height": rows}).encode())
        case ["focus" | "blur" as change, *_]:
            return _packet(b"M", json.dumps({"type": change}).encode())
        case _:
            return b""


def _environment(columns: int, rows: int) -> dict[str, str]:
    """Return what the screens find: all that the server was started with, but the terminal is the browser's."""
    environment = {name: value for name, value in os.environ.items() if name not in {"TERM_PROGRAM", "LINES"}}
    return environment | {
        "TEXTUAL_DRIVER": BROWSER_DRIVER,
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "COLUMNS": str(columns),
        "ROWS": str(rows),
    }


async def _carry_out(stdout: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    """Carry what the screens draw to the browser until they end; what nobody sees any more is read all the same."""
    for _ in range(MOST_LINES_BEFORE):
        line = await stdout.readline()
        if not line or line == BEGINNING:
            break
    with suppress(asyncio.IncompleteReadError):  # the process has ended
        while True:
            head = await stdout.readexactly(5)
            size = int.from_bytes(head[1:], "big")
            if size > MOST_PACKET_BYTES:
                raise ValueError(f"the screens sent a packet of {size:,} bytes")
            payload = await stdout.readexactly(size)
            # Of the rest, nothing concerns the page: no file is delivered through it, and the end shows by itself.
            if head[:1] == b"D" and not socket.closed:
                with suppress(ConnectionError):
                    await socket.send_bytes(payload)


async def _carry_in(socket: web.WebSocketResponse, stdin: asyncio.StreamWriter) -> None:
    """Carry keys and changes of size to the screens until the browser leaves, or says what no page of ours says."""
    with suppress(ConnectionError, ValueError):
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                return
            packet = packet_for(message.data)
            if packet:
                stdin.write(packet)
                await stdin.drain()


async def _read_said(stderr: asyncio.StreamReader) -> str:
    """Return what is said on stderr until it is closed, made displayable, and not more than a page can hold."""
    kept = b""
    while piece := await stderr.read(MOST_SAID_BYTES):
        kept = (kept + piece)[:MOST_SAID_BYTES]
    return displayable(kept.decode(errors="replace").strip(), newlines=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has left; end it, and what it started, if it does not."""
    for number, seconds in ((signal.SIGTERM, LEAVING_SECONDS), (signal.SIGKILL, ENDING_SECONDS)):
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        else:
            return
    await process.wait()


def _bounded(columns: int, rows: int) -> tuple[int, int]:
    return min(max(columns, 1), MOST_COLUMNS), min(max(rows, 1), MOST_ROWS)


def _packet(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload
