"""What is answered to a key that does nothing here: what it does on other screens, or why it moved nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
class OtherScreenCommand:
    """What a command is called, its usual keys, and where it has a meaning."""

    title: str
    keys: tuple[str, ...]
    where: str


ELSEWHERE: Mapping[str, OtherScreenCommand] = {
    "approve": OtherScreenCommand("approve", ("A",), ON_VERSIONS),
    "reject": OtherScreenCommand("reject", ("X",), ON_VERSIONS),
    "comment": OtherScreenCommand("comment", ("C",), ON_VERSIONS),
    "request": OtherScreenCommand("request a review", ("R",), ON_VERSIONS),
    "promote": OtherScreenCommand("promote", ("P",), ON_VERSIONS),
    "rollback": OtherScreenCommand("roll an alias back", ("B",), ON_VERSIONS),
    "edit": OtherScreenCommand("edit labels and notes", ("E",), ON_VERSIONS),
    "retire": OtherScreenCommand("retire", ("T",), ON_VERSIONS),
    "delete": OtherScreenCommand("delete", ("D",), ON_VERSIONS),
    "undo": OtherScreenCommand("undo", ("U",), "it is for where versions are, such as :v MODEL"),
    "download": OtherScreenCommand("download", ("d",), ON_VERSIONS),
    "card": OtherScreenCommand("show the card", ("m",), ON_VERSIONS),
    "compare": OtherScreenCommand("compare", ("=",), ON_VERSIONS),
    "filter": OtherScreenCommand("filter", ("/",), IN_LISTS),
    "sort": OtherScreenCommand("sort", ("s",), IN_LISTS),
    "next-column": OtherScreenCommand("choose the next column", (">",), IN_LISTS),
    "previous-column": OtherScreenCommand("choose the column before", ("<",), IN_LISTS),
    "columns": OtherScreenCommand("choose columns", ("o",), "it is for the lists of models and versions"),
    "open": OtherScreenCommand("open", ("enter", "l", "right"), "nothing here can be opened"),
    "yank": OtherScreenCommand("copy", ("y",), "there is nothing here to copy"),
    "mark": OtherScreenCommand("mark", ("space",), IN_VERSION_LISTS),
    "range": OtherScreenCommand("mark a range", ("v",), IN_VERSION_LISTS),
    "mark-all": OtherScreenCommand("mark all", ("*",), IN_VERSION_LISTS),
    "unchanged": OtherScreenCommand("hide what is the same", ("z",), "it is for comparisons, metrics and deployments"),
    "internal": OtherScreenCommand("show internal records", (".",), "it is for the audit (:audit)"),
    "baseline": OtherScreenCommand("choose the baseline", ("b",), IN_COMPARE),
    "tensors": OtherScreenCommand("compare the tensors", ("x",), IN_COMPARE),
    "next-slices": OtherScreenCommand("next slices", ("tab",), IN_COMPARE),
    "previous-slices": OtherScreenCommand("slices before", ("shift+tab",), IN_COMPARE),
    "next-tab": OtherScreenCommand("next tab", ("]",), IN_TABS),
    "previous-tab": OtherScreenCommand("tab before", ("[",), IN_TABS),
    **{f"tab-{number}": OtherScreenCommand(f"tab {number}", (str(number),), IN_TABS) for number in range(1, 8)},
    "pause": OtherScreenCommand("pause", ("p",), IN_TRANSFERS),
    "cancel": OtherScreenCommand("cancel", ("c",), IN_TRANSFERS),
    "limit": OtherScreenCommand("limit the speed", ("L",), IN_TRANSFERS),
    "verify": OtherScreenCommand("verify again", ("V",), IN_TRANSFERS),
    "more": OtherScreenCommand("more requests at once", ("+",), IN_TRANSFERS),
    "down": OtherScreenCommand("down", ("j", "down"), "everything is on the screen"),
    "up": OtherScreenCommand("up", ("k", "up"), "everything is on the screen"),
    "top": OtherScreenCommand("to the beginning", ("g", "home"), "everything is on the screen"),
    "bottom": OtherScreenCommand("to the end", ("G", "end"), "everything is on the screen"),
    "half-down": OtherScreenCommand("half a page down", ("ctrl+d",), "everything is on the screen"),
    "half-up": OtherScreenCommand("half a page up", ("ctrl+u",), "everything is on the screen"),
    "page-down": OtherScreenCommand("a page down", ("pagedown", "ctrl+f"), "everything is on the screen"),
    "page-up": OtherScreenCommand("a page up", ("pageup",), "everything is on the screen"),
}
"""Commands that only some screens have."""


def why_not_here(key: str, keymap: Keymap) -> str:
    """Return, in a line, what a key does elsewhere, or that it does nothing anywhere; "" for what nobody typed."""
    for name, known in ELSEWHERE.items():
        if key in keymap.remapped.get(name, known.keys):
            return f"{shown_key(key)} {known.title}: not here, {known.where}"
    return f"{key} does nothing here (? lists the keys)" if len(key) == 1 and key.isprintable() else ""


def why_unmoved(command: Command[Any], before: Hashable, after: Hashable) -> str:
    """Return why a key that moves moved nothing, or "" where it did, or is none."""
    if before != after:
        return ""
    if command.name in DOWNWARDS:
        return "this is the end"
    return "this is the beginning" if command.name in UPWARDS else ""
