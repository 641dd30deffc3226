"""Do the screens work in a browser, and does the server let nobody else in?"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from bucketry.store.folder.store import FolderStore
from bucketry.tui.web import screens as web_screens
from bucketry.tui.web.page import load_assets
from tui.chromium import CHROMIUM, open_page
from tui.desk import filled_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import ClientWebSocketResponse

PROGRAM = (sys.executable, "-c", "from bucketry.cli.main import run; run()")
LONGEST_SECONDS = 30.0
PAUSE_SECONDS = 0.05
PICTURES = os.environ.get("BUCKETRY_PICTURES", "")
ENDED = 'getComputedStyle(document.getElementById("ended")).display'


@dataclass
class Server:
    """A server of the screens, and the address that it printed."""

    process: subprocess.Popen[str]
    address: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def children(self) -> list[int]:
        number = self.process.pid
        return [int(word) for word in Path(f"/proc/{number}/task/{number}/children").read_text("ascii").split()]


@dataclass
class Station:
    """A folder with a registry, and what the program needs to be told."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "config.toml").touch()
        (self.folder / "registry").mkdir()
        filled_registry(FolderStore(self.folder / "registry"))
        self.environment = {
            **os.environ,
            "BUCKETRY_CONFIG": str(self.folder / "config.toml"),
            "BUCKETRY_CACHE": str(self.folder / "cache"),
            "BUCKETRY_IDENTITY": "ops",
            "LC_ALL": "C",
            "TERM": "dumb",
        }

    def command(self, *arguments: str) -> list[str]:
        return [*PROGRAM, "-r", str(self.folder / "registry"), "tui", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )

    @contextmanager
    def serve(self, *arguments: str) -> Iterator[Server]:
        command = self.command("--web", "--port", "0", *arguments)
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                yield Server(process, process.stdout.readline().strip())
            finally:
                process.terminate()
                process.wait(LONGEST_SECONDS)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return Station(tmp_path_factory.mktemp("station"))


@pytest.fixture(scope="module")
def server(station: Station) -> Iterator[Server]:
    with station.serve() as server:
        yield server


async def drawn(page: ClientWebSocketResponse, text: bytes) -> bytes:
    """Return what is drawn until a text is."""
    shown = b""
    async with asyncio.timeout(LONGEST_SECONDS):
        while text not in shown:
            message = await page.receive()
            assert message.type is not WSMsgType.CLOSED, shown
            shown += message.data if message.type is WSMsgType.BINARY else b""
    return shown


async def status_of(path: str, *, origin: str = "", **headers: str) -> int:
    """Return with which status a websocket is let in (101) or refused."""
    about = headers | ({"Origin": origin} if origin else {})
    async with ClientSession() as client:
        try:
            async with client.ws_connect(path, headers=about):
                return 101
        except WSServerHandshakeError as error:
            return error.status


def wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    left = processes
    while left and time.monotonic() < deadline:
        left = [number for number in left if is_alive(number)]
        time.sleep(PAUSE_SECONDS)
    assert left == []


def is_alive(number: int) -> bool:
    try:  # one that has ended and was not waited for is dead all the same
        return Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def keep_picture(name: str, picture: bytes) -> None:
    """Write a picture of the page where BUCKETRY_PICTURES says, for people to look at."""
    if PICTURES:
        (Path(PICTURES) / f"{name}.png").write_bytes(picture)


# Who comes in


def test_the_server_serves_nothing_without_the_token_and_a_strict_page_with_it(server: Server) -> None:
    async def look() -> None:
        async with ClientSession() as client:
            for path in ("/", "/socket", "/textual.js", "/favicon.ico", "/wrong/", "/wrong/textual.js", "/wrong/no"):
                async with client.get(server.origin + path) as refused:
                    assert refused.status == 403, path
                    assert "<" not in await refused.text()
            async with client.get(server.address, headers={"Host": "evil.example"}) as refused:
                assert refused.status == 403
            async with client.get(server.address) as page:
                assert page.status == 200
                assert "default-src 'none'" in page.headers["Content-Security-Policy"]
                assert page.headers["Referrer-Policy"] == "no-referrer"
                assert page.headers["X-Frame-Options"] == "DENY"
            async with client.get(server.address + "no") as absent:
                assert absent.status == 404

    asyncio.run(look())


def test_a_websocket_of_another_page_or_without_the_token_is_refused(server: Server) -> None:
    own, path = server.origin, server.address + "socket"
    assert asyncio.run(status_of(path, origin=own)) == 101
    assert asyncio.run(status_of(path, origin="http://evil.example")) == 403
    assert asyncio.run(status_of(path)) == 403
    assert asyncio.run(status_of(f"{own}/wrong/socket", origin=own)) == 403
    assert asyncio.run(status_of(path, origin="http://evil.example", Host="evil.example")) == 403
    wait_until_gone(server.children())


# The screens


def test_the_page_loads_nothing_from_elsewhere_and_shows_any_title_as_text() -> None:
    assets = load_assets(title="<script>\x1b]</script>")
    page = assets[""].body.decode()
    assert "&lt;script&gt;\\x1b]&lt;/script&gt;" in page
    for name in ("", "page.css", "page.js"):
        assert "//" not in assets[name].body.decode(), name
    assert set(re.findall(r'(?:src|href)="([a-z.]+)"', page)) <= set(assets)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_screens_and_its_keys_drive_them(server: Server, tmp_path: Path) -> None:
    async def use() -> None:
        async with open_page(tmp_path / "profile") as page:
            await page.open(server.origin + "/")
            assert "not complete" in await page.wait_for("not complete", script="document.body.innerText")
            await page.open(server.address)
            shown = await page.wait_for("credit-risk")
            assert "MODEL" in shown
            await page.wait_for("LIVE")
            keep_picture("web-models", await page.take_picture())
            await page.press("G")
            await page.wait_for(">  credit-risk")
            await page.press("Enter", "\r")
            await page.wait_for(">  v12")
            keep_picture("web-versions", await page.take_picture())
            await page.press("q")
            await page.wait_for(">  credit-risk")
            await page.press("q")
            await page.wait_for("block", script=ENDED)
            elsewhere = [url for url in page.requested if urlsplit(url).netloc != urlsplit(server.address).netloc]
            assert elsewhere == []
            assert len(page.requested) > len(load_assets(title=""))
            # The refusal of the first page; and that it draws without a graphics card.
            faults = [text for text in page.complaints if "403" not in text and "WebGL" not in text]
            assert faults == []

    asyncio.run(use())
    wait_until_gone(server.children())


def test_keys_and_a_new_size_reach_the_screens_and_a_page_that_leaves_ends_them(server: Server) -> None:
    async def use() -> list[int]:
        async with (
            ClientSession() as client,
            client.ws_connect(server.address + "socket?width=100&height=30", headers={"Origin": server.origin}) as page,
        ):
            shown = await drawn(page, b"credit-risk")
            assert "▁".encode() in shown  # the browser can show it, whatever LC_ALL says of this machine
            children = server.children()
            assert len(children) == 1
            await page.send_json(["stdin", "G\r"])
            await drawn(page, b"v12")
            await page.send_json(["resize", {"width": 50, "height": 10}])
            await drawn(page, b"60x15")
            return children

    wait_until_gone(asyncio.run(use()))


def test_read_only_holds_in_a_browser_too(station: Station) -> None:
    async def use(server: Server) -> None:
        headers = {"Origin": server.origin}
        async with ClientSession() as client, client.ws_connect(server.address + "socket", headers=headers) as page:
            await drawn(page, b"credit-risk")
            await page.send_json(["stdin", "W"])
            await drawn(page, b"--read-only")

    with station.serve("--read-only") as server:
        asyncio.run(use(server))


def test_screens_that_cannot_open_say_why_in_the_page(tmp_path: Path) -> None:
    async def use(server: Server) -> None:
        headers = {"Origin": server.origin}
        async with ClientSession() as client, client.ws_connect(server.address + "socket", headers=headers) as page:
            await drawn(page, b"there is no registry at")
            assert (await page.receive(timeout=LONGEST_SECONDS)).type is WSMsgType.CLOSE

    station = Station(tmp_path)
    with station.serve() as server:
        shutil.rmtree(tmp_path / "registry")
        asyncio.run(use(server))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind_however_the_server_ends(station: Station, number: signal.Signals) -> None:
    async def use(server: Server) -> list[int]:
        headers = {"Origin": server.origin}
        async with ClientSession() as client, client.ws_connect(server.address + "socket", headers=headers) as page:
            await drawn(page, b"credit-risk")
            children = server.children()
            server.process.send_signal(number)
            message = await page.receive(timeout=LONGEST_SECONDS)
            while message.type is WSMsgType.BINARY:
                message = await page.receive(timeout=LONGEST_SECONDS)
            return children

    with station.serve() as server:
        children = asyncio.run(use(server))
        assert len(children) == 1
        assert server.process.wait(LONGEST_SECONDS) == (-number if number is signal.SIGKILL else 0)
        wait_until_gone(children)


def test_a_process_that_does_not_leave_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_screens, "LEAVING_SECONDS", 0.1)
    monkeypatch.setattr(web_screens, "ENDING_SECONDS", 0.1)
    stubborn = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    stubborn += "; os.write(1, b'__GANGLION__\\nD\\0\\0\\0\\x08' + b'%8d' % os.getpid()); time.sleep(1000)"

    async def show(request: web.Request) -> web.StreamResponse:
        page = web.WebSocketResponse()
        await page.prepare(request)
        await web_screens.show_screens(page, [sys.executable, "-c", stubborn], 80, 24)
        return page

    async def use() -> int:
        application = web.Application()
        application.add_routes([web.get("/", show)])
        async with TestServer(application) as server, ClientSession() as client:
            async with client.ws_connect(server.make_url("/")) as page:
                number = int(await page.receive_bytes(timeout=LONGEST_SECONDS))
                assert is_alive(number)
            return number

    wait_until_gone([asyncio.run(use())])


# The command


def test_other_machines_are_served_for_reading_alone_and_with_a_warning(station: Station) -> None:
    refused = station.run("--web", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "unencrypted" in refused.stderr
    assert "--read-only" in refused.stderr
    with station.serve("--host", "0.0.0.0", "--read-only") as server:
        assert socket.gethostname() in server.address
        server.process.terminate()
        assert server.process.stderr is not None
        assert "nothing on the way is encrypted" in server.process.stderr.read()


def test_a_port_that_is_taken_is_named(station: Station, server: Server) -> None:
    ended = station.run("--web", "--port", str(urlsplit(server.address).port))
    assert ended.returncode == 2
    assert f"port {urlsplit(server.address).port} of 127.0.0.1 is taken" in ended.stderr


def test_an_address_that_is_not_of_this_machine_is_named(station: Station) -> None:
    ended = station.run("--web", "--read-only", "--host", "192.0.2.7", "--port", "0")
    assert ended.returncode == 2
    assert "nothing can be served at 192.0.2.7" in ended.stderr


def test_a_host_or_a_port_without_web_is_refused(station: Station) -> None:
    for words in (("--port", "8001"), ("--host", "127.0.0.1")):
        ended = station.run(*words)
        assert ended.returncode == 2
        assert "--web" in ended.stderr


def test_without_the_extra_it_says_what_to_install(station: Station, tmp_path: Path) -> None:
    script = "import sys; sys.modules['textual_serve'] = None; from bucketry.cli.main import run; run()"
    command = [sys.executable, "-c", script, *station.command("--web")[len(PROGRAM) :]]
    ended = subprocess.run(
        command,
        env=station.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert ended.returncode == 9
    assert "install bucketry[web]" in ended.stderr
