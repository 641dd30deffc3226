"""The server that shows the screens in a browser.

textual-serve brings the terminal that runs in the page. Its server is not used: it starts screens for whoever reaches
the port. Here the guard (`guard.py`) comes first; then each page gets a process of its own (`screens.py`), with the
configuration, the identity and the signing agent of the user who serves it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.tui.shell.settings import load_settings
from bucketry.tui.web.guard import AccessGuard, AccessRequest, is_loopback
from bucketry.tui.web.page import headers_for, load_assets
from bucketry.tui.web.screens import bounded_size, show_screens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bucketry.tui.web.page import Asset

MOST_PAGES = 16
"""How many pages may be open at once; each is a process."""
MOST_MESSAGE_BYTES = 1 << 20
HEARTBEAT_SECONDS = 15.0
CLOSING_SECONDS = 1.0
SHUTDOWN_SECONDS = 5.0

_LOG = logging.getLogger("bucketry.tui.web.server")
_LOG.addHandler(logging.NullHandler())  # a request that went wrong would be logged with its path, and so the token
_LOG.propagate = False


@frozen
class ServedAddress:
    """What is served where: the command that opens the screens, and what the page calls them."""

    command: Sequence[str]
    title: str
    host: str
    port: int


def check_host(host: str, *, read_only: bool) -> None:
    """Raise `UsageError` where others could read the keys, and with them the token, on their way to the server."""
    if not is_loopback(host) and not read_only:
        raise UsageError(
            f"the screens would be served to other machines at {host}, unencrypted",
            advice="add --read-only, or leave --host out and come through `ssh -L 8000:127.0.0.1:8000 THIS-MACHINE`",
        )


def serve_screens(served: ServedAddress, *, opened: Callable[[str], None], failed: Callable[[str], None]) -> None:
    """Serve the screens until the program is interrupted or terminated; no process of theirs is left behind.

    `opened` gets the address, which lets in whoever knows it; `failed` gets what screens said that ended badly.
    Raises `UsageError` if nothing can be served there, or the settings cannot be used.
    """
    load_settings()  # what is wrong with them is better said here than in every page
    asyncio.run(_serve(served, opened, _Pages(served.command, failed)))


@dataclass(slots=True)
class _Pages:
    """The pages that are open, each with its screens."""

    command: Sequence[str]
    failed: Callable[[str], None]
    open: set[asyncio.Task[str]] = field(default_factory=set)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Give a page its screens, until one of the two leaves."""
        if len(self.open) >= MOST_PAGES:
            return web.Response(status=503, text=f"{MOST_PAGES} pages are open already. Close one first.")
        page = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, timeout=CLOSING_SECONDS, max_msg_size=MOST_MESSAGE_BYTES
        )
        await page.prepare(request)
        columns, rows = bounded_size(request.query.get("width", ""), request.query.get("height", ""))
        task = asyncio.create_task(show_screens(page, self.command, columns, rows))
        self.open.add(task)
        try:
            said = await task
        except asyncio.CancelledError:
            await page.close(code=WSCloseCode.GOING_AWAY)
            raise
        finally:
            self.open.discard(task)
        if said:
            self.failed(said)
        await page.close()
        return page

    async def close(self, _application: web.Application) -> None:
        """End all screens."""
        ending = tuple(self.open)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


async def _serve(served: ServedAddress, opened: Callable[[str], None], pages: _Pages) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(number, ended.set)
    door = AccessGuard(served.host)
    application = _application(door, load_assets(title=served.title), pages)
    runner = web.AppRunner(application, access_log=None, logger=_LOG, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, served)
        host, port = runner.addresses[0][:2]
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - every address is spelled so, which a browser cannot open
            host = socket.gethostname()
        shown = f"[{host}]" if ":" in host else host
        opened(f"http://{shown}:{port}/{door.token}/")
        await ended.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, served: ServedAddress) -> None:
    # One address for a name that has several: with port 0 each would get a port of its own.
    host = "127.0.0.1" if served.host.lower() == "localhost" else served.host
    try:
        await web.TCPSite(runner, host, served.port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {served.port} of {host} is taken", advice="take another --port; 0 takes any that is free"
            ) from error
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror  # a name's have none
        raise UsageError(
            f"nothing can be served at {host}, port {served.port}: {why}",
            advice="give --host an address of this machine, and a --port above 1023",
        ) from error


def _application(door: AccessGuard, assets: Mapping[str, Asset], pages: _Pages) -> web.Application:
    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        knock = AccessRequest(
            path=request.path,
            hosts=tuple(request.headers.getall("Host", ())),
            origins=tuple(request.headers.getall("Origin", ())),
            is_websocket="Upgrade" in request.headers or request.path.endswith("/socket"),
        )
        refusal = door.why_not(knock)
        if refusal:
            return web.Response(status=403, text=refusal)
        return await handler(request)

    async def asset(request: web.Request) -> web.Response:
        found = assets.get(request.match_info["name"])
        if found is None:
            return web.Response(status=404, text="There is no such page.")
        charset = "utf-8" if found.kind.startswith("text/") else None
        return web.Response(body=found.body, content_type=found.kind, charset=charset)

    async def secure(request: web.Request, response: web.StreamResponse) -> None:
        is_refused = response.status == 403
        response.headers.update(headers_for("" if is_refused else request.headers.get("Host", "")))

    application = web.Application(middlewares=[guard])
    # The token is no part of the routes: the door alone compares it, and in constant time.
    application.add_routes([web.get("/{token}/socket", pages.show), web.get("/{token}/{name:[a-z.]*}", asset)])
    application.on_response_prepare.append(secure)
    application.on_shutdown.append(pages.close)
    return application
