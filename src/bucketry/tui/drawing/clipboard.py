"""The ways of a text to where the user can paste it.

Under tmux through tmux; over SSH and in a browser, whose clipboard is elsewhere, through the terminal itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.tui.drawing.terminal import Terminal

TOOL_SECONDS = 2.0
NATIVE_TOOLS = (("wl-copy",), ("xclip", "-selection", "clipboard"), ("xsel", "--clipboard", "--input"), ("pbcopy",))


def copy_text(text: str, terminal: Terminal, write_to_terminal: Callable[[str], None]) -> str:
    """Copy a text and return by which way, or "" where none worked. `write_to_terminal` sends OSC 52."""
    if terminal.is_tmux and _feed(("tmux", "load-buffer", "-w", "-"), text):
        return "tmux"
    if not terminal.is_ssh and not terminal.is_browser:
        for tool in NATIVE_TOOLS:
            if _is_usable(tool[0]) and _feed(tool, text):
                return tool[0]
    write_to_terminal(text)
    return "terminal"


def way_to_copy(terminal: Terminal) -> str:
    """Return the way that `copy_text` tries first; nothing is copied."""
    if terminal.is_tmux and shutil.which("tmux"):
        return "tmux"
    native = () if terminal.is_ssh or terminal.is_browser else NATIVE_TOOLS
    usable = (tool[0] for tool in native if _is_usable(tool[0]) and shutil.which(tool[0]))
    return next(usable, "terminal")


def _is_usable(tool: str) -> bool:
    """Return whether a tool can reach a display: without one, some of them wait for ever."""
    if tool == "wl-copy":
        return bool(os.environ.get("WAYLAND_DISPLAY"))
    return tool == "pbcopy" or bool(os.environ.get("DISPLAY"))


def _feed(command: tuple[str, ...], text: str) -> bool:
    program = shutil.which(command[0])
    if program is None:
        return False
    try:
        subprocess.run(  # noqa: S603 - a fixed list of programs; the text goes to stdin
            (program, *command[1:]),
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True
