"""How do figures become a table, on a terminal and in the documentation?"""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
QUIET_LOAD = 0.7
BUSY = "**The machine was busy with other work during this run: its times say little, its counts and sizes hold.**"
VERDICTS = {True: "met", False: "**missed**", None: "-"}


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("ascii", "replace"), re.MULTILINE)
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def iter_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row as Markdown, which reads well on a terminal too."""
    yield f"#### {row['title']}"
    yield ""
    yield from table(
        ("what", "target", "measured", ""),
        [(one["what"], one["target"], one["measured"], VERDICTS[one["met"]]) for one in row["findings"]],
    )
    # Of rows that an earlier version of these benchmarks kept, the last two are not known.
    for race in ({"caption": row.get("caption", ""), "contenders": row["contenders"]}, *row.get("beside", ())):
        if race["contenders"]:
            yield ""
            yield from ([f"{race['caption']}:", ""] if race["caption"] else [])
            best = min(one["wall_seconds"] for one in race["contenders"])
            yield from table(
                ("program", "wall s", "of best", "spread", "CPU s", "peak MB", "verifies"),
                [_cells(one, best) for one in race["contenders"]],
            )
    if row["facts"]:
        yield ""
        yield from (f"- {name.replace('_', ' ')}: {_fact(value)}" for name, value in row["facts"].items())
    yield ""
    size = f", large file {row['size_bytes'] / 1024**3:g} GiB" if row["size_bytes"] else ""
    yield f"Measured {row['measured_at']}{size}, {row['rounds']} rounds, in {row['seconds']:.0f} s."


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table with its columns lined up."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return [line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]


def write_docs(page: Path, document: Mapping[str, Any], order: Sequence[str]) -> None:
    """Put the figures of the JSON document between the marks of the page."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in text:
        raise ValueError(f"{page} has no marks for the figures")
    page.write_text(f"{before}{BEGIN}\n{figures(document, order)}\n{END}{after}", "utf-8")


def figures(document: Mapping[str, Any], order: Sequence[str]) -> str:
    """Return all rows as Markdown: the verdicts, then each row."""
    rows = [document["rows"][name] for name in order if name in document["rows"]]
    machine, versions = document["machine"], document["versions"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores shared by clients and servers, "
        f"{machine['memory_bytes'] / 1024**3:.0f} GiB of memory, Linux {machine['kernel']}, "
        f"load {machine['load_before'][0]} before the run; "
        + "; ".join(f"{name}: {version}" for name, version in versions.items())
        + ".",
        *([] if machine["load_before"][0] <= QUIET_LOAD else ["", BUSY]),
        "",
    ]
    found = [one for row in rows for one in row["findings"]]
    for title, met in (("Targets that are met", True), ("Targets that are missed", False)):
        cells = [(one["what"], one["target"], one["measured"]) for one in found if one["met"] is met]
        lines += [f"### {title}", "", *(table(("what", "target", "measured"), cells) if cells else ["None."]), ""]
    lines.pop()
    lines += ["", "### Every row"]
    for row in rows:
        lines += ["", *iter_lines(row)]
    return "\n".join(lines)


def merge(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the rows that an earlier run measured and this one did not; each says when it was."""
    try:
        known = json.loads(path.read_text("utf-8"))["rows"]
    except (FileNotFoundError, KeyError, ValueError):
        known = {}
    return {**document, "rows": {**known, **document["rows"]}}


def _cells(one: Mapping[str, Any], best: float) -> tuple[str, ...]:
    return (
        one["name"],
        f"{one['wall_seconds']:.3f}",
        f"{best / one['wall_seconds']:.2f}",
        f"{one['spread']:.0%}",
        f"{one['cpu_seconds']:.2f}",
        f"{one['peak_bytes'] / 1e6:.0f}",
        one["verifies"],
    )


def _fact(value: object) -> str:
    match value:
        case dict():
            return "; ".join(f"{name}: {_fact(inner)}" for name, inner in value.items())
        case list() | tuple():
            return ", ".join(map(_fact, value)) or "none"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
