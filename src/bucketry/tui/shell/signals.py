"""What signals do while the screens run: those that end the program close the screens first, wherever the program is.

A handler that raises would do so inside whichever callback the event loop is in, and the loop catches everything: the
program would go on without a terminal for ever. So the loop itself takes these signals, and what they raise elsewhere
is raised when the screens are closed.

Whoever takes a terminal away sends SIGCONT too, at which the toolkit would begin to read keys a second time.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from textual.app import App

ENDINGS = (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)


async def run_until_signal(app: App[Any], *, mouse: bool) -> Callable[[], object] | None:
    """Run the app; return what the program does elsewhere about the signal that closed it, if one did."""
    ended: list[Callable[[], object]] = []

    def close(handler: Callable[[], object]) -> None:
        ended.append(handler)
        app.exit()

    loop = asyncio.get_running_loop()
    usual = {number: signal.getsignal(number) for number in ENDINGS}
    taken = {number: handler for number, handler in usual.items() if callable(handler)}  # not what `nohup` ignores
    for number, handler in taken.items():
        loop.add_signal_handler(number, close, lambda number=number, handler=handler: handler(number, None))
    try:
        await app.run_async(mouse=mouse)
    finally:
        for number, handler in taken.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    return ended[0] if ended else None


def guard_resumes(driver: ModuleType) -> None:
    """Have a driver of the toolkit, by its module, begin anew after a stop alone, and with one reader of keys."""
    begin_anew = driver.LinuxDriver._sigcont_application  # noqa: SLF001 - the toolkit has no other way

    def go_on(self: Any, *signal_and_frame: object) -> None:  # noqa: ANN401 - a class of the module
        if not os.isatty(self.fileno):
            return  # the terminal has gone, and SIGHUP says so
        if not self._must_signal_resume:  # stopped from outside: nothing was put away before
            self.suspend_application_mode()
        begin_anew(self, *signal_and_frame)

    driver.LinuxDriver._sigcont_application = go_on  # noqa: SLF001
