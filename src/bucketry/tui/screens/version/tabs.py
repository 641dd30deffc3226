"""The tabs of a version: each is a function from a request to lines, called in a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.screens.version.audit import load_version_audit
from bucketry.tui.screens.version.card import load_card
from bucketry.tui.screens.version.files import load_files
from bucketry.tui.screens.version.lineage import load_lineage_tab
from bucketry.tui.screens.version.metrics import load_metrics_tab
from bucketry.tui.screens.version.overview import load_overview
from bucketry.tui.screens.version.reviews import load_reviews
from bucketry.tui.screens.version.tab import Tab, TabContent, TabRequest

if TYPE_CHECKING:
    from bucketry.index.views import VersionLine

__all__ = ["TABS", "Tab", "TabContent", "TabRequest"]


def _show_words(row: VersionLine) -> tuple[str, ...]:
    return ("show", f"{row.model}:{row.version}")


TABS: tuple[Tab, ...] = (
    Tab("Overview", load_overview, _show_words),
    Tab("Metrics", load_metrics_tab, _show_words, compares=True),
    Tab("Files", load_files, _show_words),
    Tab("Lineage", load_lineage_tab, lambda row: ("lineage", f"{row.model}:{row.version}")),
    Tab("Card", load_card, _show_words),
    Tab("Reviews", load_reviews, _show_words),
    Tab("Audit", load_version_audit, lambda row: ("audit", str(row.model))),
)
"""The tabs in their order; `1` to `7` open them. The first is also what stands beside a list."""
