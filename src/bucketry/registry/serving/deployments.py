"""Lists who serves what, and whether it is what the alias names now.

The receipts are listed and read in parallel; each model's head and aliases are read once. Whoever may write below
`deployments/` may write anything there: what is no receipt is told as one line, and the rest is a claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import find_head, load_alias
from bucketry.registry.core.rows import find_row
from bucketry.schema import keys
from bucketry.schema.documents.deployment import (
    LARGEST_DEPLOYMENT_BYTES,
    REFUSED_STATES,
    Deployment,
    DeploymentStanding,
    decode_deployment,
    place_of_key,
)
from bucketry.schema.judging.decisions import moment
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister, LastMove
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import AliasName, ModelName

MOST_RECEIPTS = 100_000
"""How many receipts one look reads; `Deployments.cut` says whether there are more."""


@frozen
class ObservedDeployment:
    """One receipt, or what lies in its place, and how it stands.

    `behind` counts the generations of the alias since this instance's. `alias_move` says when and by whom the alias was
    moved to what it names. `state` is the version's present one. `why` says
    what is unknown or damaged.
    """

    key: str
    standing: DeploymentStanding
    deployment: Deployment | None = None
    behind: int = 0
    alias_version: int | None = None
    alias_move: LastMove | None = None
    state: State | None = None
    why: str = ""


@frozen
class Deployments:
    """Everything that was looked at, in the order of its keys; `cut` if there is more."""

    observed: tuple[ObservedDeployment, ...]
    cut: bool = False


def list_deployments(
    session: Session,
    model: ModelName | None = None,
    *,
    environment: str | None = None,
    stale_days: float | None = None,
) -> Deployments:
    """Return who serves which version: of one model or of all, in one environment or in all.

    With `stale_days`, only who has not reported for so long; what is damaged is always among them.
    """
    registry = session.registry.registry  # an empty list must not hide a registry that does not exist
    prefix = keys.deployments(model) if model else keys.DEPLOYMENTS
    listed = (entry for entry in session.store.list(prefix) if isinstance(entry, Entry))
    entries = list(islice(listed, MOST_RECEIPTS + 1))
    read = session.map_in_parallel(lambda entry: _read(session, entry), entries[:MOST_RECEIPTS])
    wanted = [
        item for item in read if item is not None and (environment is None or _environment_of(item) == environment)
    ]
    if stale_days is not None:
        latest = session.clock.now() - timedelta(days=stale_days)
        wanted = [item for item in wanted if item.deployment is None or moment(item.deployment.at) <= latest]
    models = _load_models(session, wanted)
    return Deployments(
        tuple(_judged(session, registry, models, item) for item in wanted), cut=len(entries) > MOST_RECEIPTS
    )


@dataclass(slots=True)
class _Model:
    """What is known of one model: its head, or why that cannot be read, and the aliases that somebody follows."""

    head: Head | None = None
    fault: str = ""
    aliases: dict[AliasName, AliasRegister] = field(default_factory=dict)
    damaged: Mapping[AliasName, str] = field(default_factory=dict)


def _read(session: Session, entry: Entry) -> ObservedDeployment | None:
    try:
        place_of_key(entry.key)
        if entry.size_bytes > LARGEST_DEPLOYMENT_BYTES:
            why = f"it has {entry.size_bytes:,} bytes; the limit is {LARGEST_DEPLOYMENT_BYTES:,}"
            return ObservedDeployment(entry.key, DeploymentStanding.DAMAGED, why=why)
        found = find_object(session.store, entry.key)
        if found is None:  # removed since it was listed
            return None
        return ObservedDeployment(entry.key, DeploymentStanding.CURRENT, decode_deployment(found.body, key=entry.key))
    except UNREADABLE as error:
        return ObservedDeployment(entry.key, DeploymentStanding.DAMAGED, why=error.message)


def _environment_of(item: ObservedDeployment) -> str | None:
    try:
        return place_of_key(item.key)[1].environment
    except UsageError:
        return None


def _load_models(session: Session, items: Sequence[ObservedDeployment]) -> dict[ModelName, _Model]:
    followed: dict[ModelName, set[AliasName]] = {}
    for deployment in (item.deployment for item in items if item.deployment is not None):
        aliases = followed.setdefault(deployment.model, set())
        if deployment.alias is not None:
            aliases.add(deployment.alias)
    names = list(followed)
    loaded = session.map_in_parallel(lambda name: _load_model(session, name, followed[name]), names)
    return dict(zip(names, loaded, strict=True))


def _load_model(session: Session, name: ModelName, aliases: set[AliasName]) -> _Model:
    """Read a model's head and those of the aliases that it names: a claim can make nobody read what is not there."""
    try:
        head = find_head(session, name)
        if head is None:
            return _Model(fault=f"there is no model {name}")
    except UNREADABLE as error:
        return _Model(fault=error.message)
    known: dict[AliasName, AliasRegister] = {}
    damaged: dict[AliasName, str] = {}
    for alias in sorted(aliases & set(head.aliases)):
        try:
            register = load_alias(session, name, alias).state
        except UNREADABLE as error:
            damaged[alias] = error.message
        else:
            known |= {alias: register} if register is not None else {}
    return _Model(head, aliases=known, damaged=damaged)


def _judged(
    session: Session, registry: str, models: dict[ModelName, _Model], item: ObservedDeployment
) -> ObservedDeployment:
    deployment = item.deployment
    if deployment is None:
        return item
    model = models[deployment.model]
    if deployment.registry != registry:
        return _unknown(item, "it was pulled from another registry")
    if model.head is None:
        return _unknown(item, model.fault)
    try:
        row = find_row(session, model.head, deployment.version)
    except UNREADABLE as error:
        return _unknown(item, error.message)
    if row is None or row.manifest != deployment.manifest:
        return _unknown(item, f"{deployment.model} has no version {deployment.version} with this manifest")
    return _compared(item.key, deployment, row, model)


def _compared(key: str, deployment: Deployment, row: Row, model: _Model) -> ObservedDeployment:
    if row.state in REFUSED_STATES:
        return ObservedDeployment(key, DeploymentStanding.REFUSED, deployment, state=row.state)
    if deployment.alias is None or deployment.generation is None:
        return ObservedDeployment(key, DeploymentStanding.PINNED, deployment, state=row.state)
    register = model.aliases.get(deployment.alias)
    if register is None:
        why = model.damaged.get(deployment.alias, f"{deployment.model}@{deployment.alias} does not exist")
        return ObservedDeployment(key, DeploymentStanding.UNKNOWN, deployment, state=row.state, why=why)
    target = register.target
    version = target.version if target else None
    if target is not None and target.manifest == deployment.manifest:
        return ObservedDeployment(
            key,
            DeploymentStanding.CURRENT,
            deployment,
            alias_version=version,
            alias_move=register.last_move,
            state=row.state,
        )
    behind = register.generation - deployment.generation
    standing = DeploymentStanding.BEHIND if behind > 0 else DeploymentStanding.AHEAD
    return ObservedDeployment(key, standing, deployment, max(0, behind), version, register.last_move, row.state)


def _unknown(item: ObservedDeployment, why: str) -> ObservedDeployment:
    return ObservedDeployment(item.key, DeploymentStanding.UNKNOWN, item.deployment, why=why)
