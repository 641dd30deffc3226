"""The screens as values: where one can go from any screen, without knowing how that place is drawn.

A screen that opens another one names it by such a value and hands it to the shell; `screens/opening.py` alone knows
which class shows it. So no screen imports another, and a screen is loaded when somebody goes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.index.views import VersionLine
    from bucketry.schema.documents.manifest import Artifact
    from bucketry.schema.names import ModelName, Reference


@frozen
class ModelsPlace:
    """The models of the registry."""


@frozen
class VersionsPlace:
    """The versions of a model."""

    model: ModelName


@frozen
class VersionPlace:
    """One version; with `same_tab`, at the tab that is open now if that is a version's."""

    row: VersionLine
    same_tab: bool = False


@frozen
class ComparisonPlace:
    """Versions beside each other, the baseline first."""

    references: tuple[Reference, ...]


@frozen
class TensorsPlace:
    """The tensors of one file of a version."""

    row: VersionLine
    artifact: Artifact


@frozen
class ReviewsPlace:
    """What waits for a decision."""


@frozen
class DeploymentsPlace:
    """Who serves what, filtered by words."""

    words: str = ""


@frozen
class AuditPlace:
    """Who did what, to one model or, where it is None, to all."""

    model: ModelName | None = None


@frozen
class HealthPlace:
    """The health of the store, of the way to it, and of this machine."""


@frozen
class TransfersPlace:
    """The transfers of this machine."""


@frozen
class TransfersLogPlace:
    """What the worker of the transfers did."""


@frozen
class CommandLogPlace:
    """What was done from these screens."""


@frozen
class HelpPlace:
    """All keys of the screen in front."""


@frozen
class PalettePlace:
    """A choice among the commands of the screen in front, by their words."""


Place: TypeAlias = (
    ModelsPlace
    | VersionsPlace
    | VersionPlace
    | ComparisonPlace
    | TensorsPlace
    | ReviewsPlace
    | DeploymentsPlace
    | AuditPlace
    | HealthPlace
    | TransfersPlace
    | TransfersLogPlace
    | CommandLogPlace
    | HelpPlace
    | PalettePlace
)
