"""How do tests look at a page in a real browser? Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientWebSocketResponse

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1000,600",
)  # fmt: skip
LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")
LONGEST_SECONDS = 40.0
PAUSE_SECONDS = 0.05
# The page keeps its terminal to itself; this notices it when it is made.
FIND_TERMINAL = """
Object.defineProperty(Object.prototype, "fitAddon", {configurable: true, set(addon) {
    Object.defineProperty(this, "fitAddon", {value: addon, writable: true});
    window.terminalOfTheTest = this.terminal;
}});
"""
SHOWN = """(() => {
    const buffer = window.terminalOfTheTest?.buffer.active;
    if (!buffer) return "";
    return Array.from({length: terminalOfTheTest.rows}, (_, row) =>
        buffer.getLine(buffer.viewportY + row)?.translateToString(true) ?? "").join("\\n");
})()"""


class Page:
    """A page of the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._session: str | None = None
        self._count = 0
        self.requested: list[str] = []
        self.complaints: list[str] = []

    async def attach(self) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=FIND_TERMINAL)

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Do one thing and return what comes of it; what the page did meanwhile is noted."""
        self._count += 1
        number = self._count
        about = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **about})
        while True:
            message = await self._socket.receive_json(timeout=LONGEST_SECONDS)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def shown(self) -> str:
        return str(await self.evaluate(SHOWN))

    async def evaluate(self, script: str) -> object:
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    async def wait_for(self, text: str, *, script: str = SHOWN) -> str:
        """Return what is shown in the terminal once it has this text."""
        shown = ""
        for _ in range(int(LONGEST_SECONDS / PAUSE_SECONDS)):
            shown = str(await self.evaluate(script))
            if text in shown:
                return shown
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{text!r} did not appear: {self.complaints}\n{shown}")

    async def press(self, key: str, text: str = "") -> None:
        code = {"Enter": 13, "Escape": 27}.get(key, ord(key[0].upper()))
        about = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text or key, **about)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def take_picture(self) -> bytes:
        """Return what the page looks like, as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(parameters["url"])
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"].get("exception")))


@asynccontextmanager
async def open_page(folder: Path) -> AsyncIterator[Page]:
    """Start a browser of our own with one empty page, and end all of it afterwards."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    assert process.stderr is not None
    drain: asyncio.Task[bytes] | None = None
    try:
        address = await asyncio.wait_for(_find_address(process.stderr), LONGEST_SECONDS)
        drain = asyncio.create_task(process.stderr.read())
        async with ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket)
            await page.attach()
            yield page
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if drain is not None:
            await drain


async def _find_address(stderr: asyncio.StreamReader) -> str:
    while line := await stderr.readline():
        found = LISTENING.search(line)
        if found:
            return found[1].decode()
    raise AssertionError("the browser does not start")
