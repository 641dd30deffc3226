"""What a tab of a version is made from, and what it is made of."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.names import ByVersion, Reference
from bucketry.show.spans import TextPage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.index.store import Index
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.show.figures import Zone
    from bucketry.show.spans import Line
    from bucketry.tui.shell.view import Shell


@frozen
class TabRequest:
    """What a tab is made from. The session counts its requests; `width` is how many columns a line may have.

    `ascii_only`: the terminal shows nothing else, and an escape of another character is wider than the character.
    `only_changed`: of what stands next to another version, only what differs is wanted.
    """

    session: Session
    index: Index
    row: VersionLine
    width: int
    zone: Zone
    ascii_only: bool = False
    only_changed: bool = False

    @property
    def page(self) -> TextPage:
        """What the lines are made for."""
        return TextPage(self.width, self.ascii_only)

    @property
    def reference(self) -> Reference:
        """The version, by its number."""
        return Reference(self.row.model, ByVersion(self.row.version))


@frozen
class TabContent:
    """A tab's lines. `links` are lines that open something, by their position: enter on one calls it."""

    lines: tuple[Line, ...]
    links: Mapping[int, Callable[[Shell], None]] = field(default_factory=dict)


@frozen
class Tab:
    """A tab: its title, what makes it, and the words of the command line that says the same.

    `compares`: it shows the version next to another.
    """

    title: str
    load: Callable[[TabRequest], TabContent]
    words: Callable[[VersionLine], tuple[str, ...]]
    compares: bool = False
