"""What this terminal can do, and whether the screens can be shown on it at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.tui.drawing.paint import ThemeName

STANDARD_DESCRIPTORS = (0, 1, 2)
"""The toolkit draws on stderr; stdin has the keys; and who sends stdout elsewhere wants no screens."""
LEAST_COLUMNS = 60
LEAST_ROWS = 15
SSH_FRAMES_PER_SECOND = 30
BROWSER_DRIVER = "bucketry.tui.web.browser_driver:BrowserDriver"
"""What the toolkit draws with where TEXTUAL_DRIVER says so: screens that a browser shows have no terminal here."""


@frozen
class Terminal:
    """The abilities of a terminal. `name` is its TERM; a browser shows one that is not on this machine's side."""

    name: str
    is_unicode: bool
    is_ssh: bool
    is_tmux: bool
    colours: int
    is_light: bool
    is_browser: bool = False

    @property
    def theme(self) -> ThemeName:
        """The theme for who chose none."""
        if self.colours < 256:
            return "terminal"
        return "light" if self.is_light else "dark"


def look_at_terminal(environment: Mapping[str, str]) -> Terminal:
    """Return what the environment says of the terminal."""
    name = environment.get("TERM", "")
    if _is_in_browser(environment):  # whatever else is said there speaks of the terminal that serves it
        return Terminal(
            name, is_unicode=True, is_ssh=False, is_tmux=False, colours=1 << 24, is_light=False, is_browser=True
        )
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    return Terminal(
        name=name,
        is_unicode="utf8" in locale.lower().replace("-", ""),
        is_ssh=any(environment.get(variable) for variable in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
        is_tmux=bool(environment.get("TMUX")),
        colours=_colours(name, environment),
        is_light=environment.get("COLORFGBG", "").rpartition(";")[2] in {"7", "15"},
    )


def check_terminal(environment: Mapping[str, str]) -> None:
    """Raise `UsageError` where the screens cannot be shown, naming the commands that do the same."""
    advice = "use the commands instead: bucketry models, bucketry versions MODEL, bucketry show REF"
    is_terminal = all(os.isatty(descriptor) for descriptor in STANDARD_DESCRIPTORS)
    if not is_terminal and not _is_in_browser(environment):
        raise UsageError("the screens need a terminal, and there is none here", advice=advice)
    if environment.get("TERM", "") in {"", "dumb", "unknown"}:
        raise UsageError(
            f'the screens need more than the terminal "{environment.get("TERM", "")}" can do', advice=advice
        )


def prepare_environment(terminal: Terminal) -> None:
    """Set what the toolkit reads from the environment when it is imported."""
    os.environ["TEXTUAL_ANIMATIONS"] = "none"  # every frame of one is sent over the line
    os.environ["TEXTUAL_SMOOTH_SCROLL"] = "0"
    if not _is_in_browser(os.environ):
        # What a shell or readline once exported would be believed for ever, whatever size the window has now.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
    if terminal.is_ssh:
        os.environ.setdefault("TEXTUAL_FPS", str(SSH_FRAMES_PER_SECOND))


def _is_in_browser(environment: Mapping[str, str]) -> bool:
    return environment.get("TEXTUAL_DRIVER") == BROWSER_DRIVER


def _colours(name: str, environment: Mapping[str, str]) -> int:
    if environment.get("COLORTERM", "") in {"truecolor", "24bit"}:
        return 1 << 24
    if "256" in name or "direct" in name or name in {"xterm-kitty", "alacritty", "foot"}:
        return 256
    return 16
