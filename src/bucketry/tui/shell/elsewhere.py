"""What does a key do on other screens, that does nothing on this one? And why did a key move nothing?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.tui.shell.commands import shown_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from bucketry.tui.shell.commands import Command, Keymap

ON_VERSIONS = "it is about a version: open a model (enter), or :r for what waits for a review"
IN_LISTS = "it is for lists of rows"
IN_VERSION_LISTS = "it is for the list of a model's versions (enter on a model)"
IN_COMPARE = "it is for a comparison (= on versions)"
IN_TABS = "it is for the tabs of a version (enter on one)"
IN_TRANSFERS = "it is for transfers (t)"
DOWNWARDS = frozenset({"down", "bottom", "half-down", "page-down"})
UPWARDS = frozenset({"up", "top", "half-up", "page-up"})


@frozen
class Elsewhere:
    """What a command is called, its usual keys, and where it has a meaning."""

    title: str
    keys: tuple[str, ...]
    where: str


ELSEWHERE: Mapping[str, Elsewhere] = {
    "approve": Elsewhere("approve", ("A",), ON_VERSIONS),
    "reject": Elsewhere("reject", ("X",), ON_VERSIONS),
    "comment": Elsewhere("comment", ("C",), ON_VERSIONS),
    "request": Elsewhere("request a review", ("R",), ON_VERSIONS),
    "promote": Elsewhere("promote", ("P",), ON_VERSIONS),
    "rollback": Elsewhere("roll an alias back", ("B",), ON_VERSIONS),
    "edit": Elsewhere("edit labels and notes", ("E",), ON_VERSIONS),
    "retire": Elsewhere("retire", ("T",), ON_VERSIONS),
    "delete": Elsewhere("delete", ("D",), ON_VERSIONS),
    "undo": Elsewhere("undo", ("U",), "it is for where versions are, such as :v MODEL"),
    "download": Elsewhere("download", ("d",), ON_VERSIONS),
    "card": Elsewhere("show the card", ("m",), ON_VERSIONS),
    "compare": Elsewhere("compare", ("=",), ON_VERSIONS),
    "filter": Elsewhere("filter", ("/",), IN_LISTS),
    "sort": Elsewhere("sort", ("s",), IN_LISTS),
    "next-column": Elsewhere("choose the next column", (">",), IN_LISTS),
    "previous-column": Elsewhere("choose the column before", ("<",), IN_LISTS),
    "columns": Elsewhere("choose columns", ("o",), "it is for the lists of models and versions"),
    "open": Elsewhere("open", ("enter", "l", "right"), "nothing here can be opened"),
    "yank": Elsewhere("copy", ("y",), "there is nothing here to copy"),
    "mark": Elsewhere("mark", ("space",), IN_VERSION_LISTS),
    "range": Elsewhere("mark a range", ("v",), IN_VERSION_LISTS),
    "mark-all": Elsewhere("mark all", ("*",), IN_VERSION_LISTS),
    "unchanged": Elsewhere("hide what is the same", ("z",), "it is for comparisons, metrics and deployments"),
    "internal": Elsewhere("show internal records", (".",), "it is for the audit (:audit)"),
    "baseline": Elsewhere("choose the baseline", ("b",), IN_COMPARE),
    "tensors": Elsewhere("compare the tensors", ("x",), IN_COMPARE),
    "next-slices": Elsewhere("next slices", ("tab",), IN_COMPARE),
    "previous-slices": Elsewhere("slices before", ("shift+tab",), IN_COMPARE),
    "next-tab": Elsewhere("next tab", ("]",), IN_TABS),
    "previous-tab": Elsewhere("tab before", ("[",), IN_TABS),
    **{f"tab-{number}": Elsewhere(f"tab {number}", (str(number),), IN_TABS) for number in range(1, 8)},
    "pause": Elsewhere("pause", ("p",), IN_TRANSFERS),
    "cancel": Elsewhere("cancel", ("c",), IN_TRANSFERS),
    "limit": Elsewhere("limit the speed", ("L",), IN_TRANSFERS),
    "verify": Elsewhere("verify again", ("V",), IN_TRANSFERS),
    "more": Elsewhere("more requests at once", ("+",), IN_TRANSFERS),
    "down": Elsewhere("down", ("j", "down"), "everything is on the screen"),
    "up": Elsewhere("up", ("k", "up"), "everything is on the screen"),
    "top": Elsewhere("to the beginning", ("g", "home"), "everything is on the screen"),
    "bottom": Elsewhere("to the end", ("G", "end"), "everything is on the screen"),
    "half-down": Elsewhere("half a page down", ("ctrl+d",), "everything is on the screen"),
    "half-up": Elsewhere("half a page up", ("ctrl+u",), "everything is on the screen"),
    "page-down": Elsewhere("a page down", ("pagedown", "ctrl+f"), "everything is on the screen"),
    "page-up": Elsewhere("a page up", ("pageup",), "everything is on the screen"),
}
"""Commands that only some screens have."""


def why_not_here(key: str, keymap: Keymap) -> str:
    """Return, in a line, what a key does elsewhere, or that it does nothing anywhere; "" for what nobody typed."""
    for name, known in ELSEWHERE.items():
        if key in keymap.remapped.get(name, known.keys):
            return f"{shown_key(key)} {known.title}: not here, {known.where}"
    return f"{key} does nothing here (? lists the keys)" if len(key) == 1 and key.isprintable() else ""


def why_unmoved(command: Command, before: Hashable, after: Hashable) -> str:
    """Return why a key that moves moved nothing, or "" where it did, or is none."""
    if before != after:
        return ""
    if command.name in DOWNWARDS:
        return "this is the end"
    return "this is the beginning" if command.name in UPWARDS else ""
