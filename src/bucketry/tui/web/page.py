"""What a browser gets besides the screens: one small page, and the terminal of textual-serve.

Everything comes from this machine: the page that textual-serve brings loads a font from the internet, and starts with
a script of its own, which a strict content security policy would have to allow.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " font-src 'self'; img-src data:; connect-src 'self' {socket}; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="xterm.css">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
<script src="textual.js" defer></script>
</head>
<body>
<div id="starting" role="status">Opening the screens of {title} ...</div>
<div id="ended" role="alert">The screens were closed. <a href="./">Open them again</a></div>
<noscript>The screens need JavaScript.</noscript>
<div id="terminal" class="textual-terminal" data-font-size="16"></div>
</body>
</html>
"""

_STYLE = """
@font-face { font-family: "Roboto Mono"; src: url("font.ttf"); font-weight: 100 700; }
html, body { margin: 0; height: 100%; overflow: hidden; background: #000; color: #ddd; font-family: "Roboto Mono", monospace; }
#terminal { width: 100vw; height: 100vh; }
#starting { position: absolute; z-index: 20; padding: 1em; }
#ended { position: absolute; z-index: 20; bottom: 0; left: 0; right: 0; padding: 1em; background: #333; display: none; }
#ended a { color: #fff; }
body.-first-byte #starting, body.-closed #starting { display: none; }
body.-closed #ended { display: block; }
"""  # noqa: E501 - a rule of CSS is one line here

# The address of the socket is made here, so that it is right behind a tunnel and behind a proxy too. Keys go to the
# terminal without a click, but not before its script, which then sends word of it, can send anything.
_SCRIPT = """
const terminal = document.getElementById("terminal");
terminal.dataset.sessionWebsocketUrl = new URL("socket", document.baseURI).href.replace(/^http/, "ws");
new MutationObserver((changes, observer) => {
    if (document.body.classList.contains("-first-byte")) {
        observer.disconnect();
        terminal.querySelector("textarea").focus();
    }
}).observe(document.body, { attributeFilter: ["class"] });
"""

_OF_TEXTUAL_SERVE = {
    "xterm.css": ("css/xterm.css", "text/css"),
    "textual.js": ("js/textual.js", "text/javascript"),
    "font.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", "font/ttf"),
}


@frozen
class Asset:
    """A file of the page."""

    body: bytes
    kind: str


def load_assets(*, title: str) -> dict[str, Asset]:
    """Return the files of the page by their names, the page itself under ""."""
    static = files("textual_serve") / "static"
    assets = {name: Asset(static.joinpath(path).read_bytes(), kind) for name, (path, kind) in _OF_TEXTUAL_SERVE.items()}
    page = _PAGE.format(title=escape(displayable(title)))
    return assets | {
        "": Asset(page.encode(), "text/html"),
        "page.css": Asset(_STYLE.encode(), "text/css"),
        "page.js": Asset(_SCRIPT.encode(), "text/javascript"),
    }


def headers_for(host: str) -> Mapping[str, str]:
    """Return the headers of every answer; `host` is the checked name by which the browser reached us, or ""."""
    # Not every browser takes 'self' to mean the websockets of the same server.
    socket = f"ws://{host} wss://{host}" if host else ""
    return {name: value.replace("{socket}", socket) for name, value in HEADERS.items()}
