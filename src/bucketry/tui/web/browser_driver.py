"""The driver that ends the screens when the browser that shows them has gone, whatever became of the server between."""

from __future__ import annotations

from textual import messages
from textual.drivers import web_driver
from textual.drivers.web_driver import WebDriver

from bucketry.tui.shell.pasting import guard_pastes

guard_pastes(web_driver)


class BrowserDriver(WebDriver):
    """The toolkit's driver for browsers, which goes on for ever when nobody is left at the other end of stdin."""

    def run_input_thread(self) -> None:
        """Take keys until there can be no more, then end the program."""
        super().run_input_thread()
        self._app.post_message(messages.ExitApp())
