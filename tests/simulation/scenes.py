"""Which registry does a run begin with, and who acts in it? Both drawn from the seed."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.registry.core.commit import Change, commit
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.registers import commit_head, registry_register
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.lifecycle import edit_model
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.manifest import Parent
from bucketry.schema.documents.policy import DEFAULT_POLICY, encode_policy
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.settings import Conformance, RegistryDocument
from bucketry.schema.names import AliasName
from simulation.actors import (
    BASE,
    CHAT,
    CONTENTS,
    PRODUCTION,
    History,
    Operation,
    Uploader,
    deciding,
    describing,
    evaluating,
    make_manifest,
    manifest_digest,
    noting,
    program,
    promoting,
    publishing,
    retiring,
    rolling_back,
    undoing,
    unretiring,
    unsetting,
    watching,
)
from simulation.faults import Faults
from simulation.keepers import (
    GRACE_SECONDS,
    collecting,
    deleting,
    deleting_carelessly,
    freeing,
    giving_up,
    pausing,
    pulling,
    retaining,
)
from simulation.mirrors import begin_replica, mirroring, publishing_a_family
from simulation.oracle import find_broken_promises, find_freed
from simulation.world import BEGINNING, Bucket, SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import ModelName
    from simulation.world import Script

REGISTRY = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Beginning:
    """How many versions the model has, how many further records its head, and how often its alias has moved.

    `bases` counts the versions of the other model. What is in `after` came first and is counted on top.
    """

    versions: int = 0
    edits: int = 0
    moves: int = 0
    bases: int = 2
    after: Beginning | None = None
    reviewed: bool = False
    """Whether a policy asks for two approvals before production names a version. Version 1 has them."""


STAGING = AliasName("staging")
"""An alias that no beginning has."""

NOTHING = Beginning()
FEW = Beginning(versions=3, moves=2)
REVIEWED = Beginning(versions=3, moves=1, reviewed=True)
BEFORE_SEALING = Beginning(versions=126, edits=2, moves=63)
"""Two versions before the first page is sealed, at the end of a block of head records and of alias records."""
SEALED = Beginning(versions=64, moves=32, bases=0, after=BEFORE_SEALING)
"""64 versions are sealed, and the next page is two versions away; two blocks of alias records are."""


@dataclass(slots=True)
class Run:
    """A finished run."""

    seed: int
    world: World
    history: History
    broken: list[str] = field(default_factory=list)

    def explain(self, lines: int = 400) -> str:
        """Return the seed, what is broken, and the trace."""
        trace = [" ".join(str(part) for part in line) for line in self.world.trace[-lines:]]
        return "\n".join([f"seed {self.seed}:", *self.broken, "trace (step, seconds, actor, what):", *trace])


def run_seed(seed: int, *, lies: str = "", only: str = "") -> Run:
    """Run what a seed says: where it begins, who acts, what goes wrong, in which order."""
    script = SeededScript(seed)
    history, world = History(), World(script)
    scene = only or _SCENES[script.index(len(_SCENES))]
    begin(world, _beginning(script, scene))
    if scene == "mirror":
        begin_replica(world)
    faults = Faults(budget=0 if lies else script.index(7), one_in=6 + script.index(20))
    cast = _casts()[scene](script)
    for number, operations in enumerate(cast):
        own = _OWN_FAULTS[scene](number) if scene in _OWN_FAULTS else faults
        world.add(f"actor-{number}", program(history, own, operations, lies=lies))
    if scene not in {"storm", "publish"}:
        world.add("reader", watching(history, faults, looks=3))
    world.run()
    broken = find_freed(world) if scene == "careless" else find_broken_promises(world, history)
    return Run(seed, world, history, broken)


def begin(world: World, beginning: Beginning) -> None:
    """Give the world's bucket the content of a beginning."""
    world.bucket.restore(_content(beginning))


def base_parent(version: int) -> Parent:
    """Return a version of the base model as a parent. It is the same in every run."""
    contents = [CONTENTS[1], CONTENTS[1 + version]]
    manifest = make_manifest(BASE, contents, notes=f"base {version}")
    return Parent(BASE, version, manifest_digest(manifest), "finetune")


_SCENES = [
    "publish",
    "mixed",
    "mixed",
    "aliases",
    "aliases",
    "collect",
    "grace",
    "careless",
    "retain",
    "delete",
    "children",
    "leave",
    "review",
    "review",
    "evidence",
] * 5 + ["storm"]
_LARGE_ONE_IN = 24


def _beginning(script: Script, scene: str) -> Beginning:
    if scene in {"review", "refuse", "evidence"}:
        return REVIEWED
    large = script.index(_LARGE_ONE_IN) == 0
    if scene in {"storm", "retain"}:
        return FEW
    if large:
        return (BEFORE_SEALING, SEALED)[script.index(2)]
    return NOTHING if scene in {"publish", "collect"} and script.index(2) else FEW


Cast = list[list[Operation]]


def _casts() -> dict[str, Callable[[Script], Cast]]:
    return {
        "publish": _publishers,
        "mixed": _mixed,
        "aliases": _promoters,
        "collect": _collectors,
        "grace": _slow_readers,
        "careless": _careless,
        "retain": _retainers,
        "delete": _deleters,
        "children": _children,
        "leave": _leavers,
        "review": _reviewers,
        "refuse": _refusers,
        "evidence": _evaluators,
        "storm": _storm,
        "mirror": _mirrored,
    }


def _publish(script: Script, name: str) -> Operation:
    contents = [script.index(len(CONTENTS)) for _ in range(1 + script.index(2))]
    return publishing(name, contents, key=f"key of {name}" if script.index(2) else None)


def _publishers(script: Script) -> Cast:
    """Several publishers; two share an idempotency key."""
    cast = [[_publish(script, f"p{a}{n}") for n in range(2)] for a in range(2 + script.index(2))]
    for operations in cast[:2]:
        operations.append(publishing("shared", [1], key="a shared key"))
    return cast


def _mixed(script: Script) -> Cast:
    def draw(actor: int, number: int) -> Operation:
        version = 1 + script.index(3)
        return [
            _publish(script, f"m{actor}{number}"),
            promoting(version),
            rolling_back(),
            retiring(version),
            unretiring(version),
            noting(version, f"note {actor} {number}"),
            describing(f"text {actor} {number}"),
            unsetting(),
            promoting(version, alias=STAGING),
            undoing(),
        ][script.index(10)]

    return [[draw(actor, number) for number in range(2)] for actor in range(2 + script.index(2))]


def _promoters(script: Script) -> Cast:
    def draw() -> Operation:
        options = [promoting(1), promoting(2), promoting(3), promoting(2, again=True), rolling_back(), unsetting()]
        options += [undoing(), undoing()]
        return options[script.index(len(options))]

    return [[draw() for _ in range(3)] for _ in range(2 + script.index(2))]


def _collectors(script: Script) -> Cast:
    """Publishers against collections, after a deletion that leaves them something to free."""
    publishers = [[_publish(script, f"c{a}{n}") for n in range(2)] for a in range(2)]
    other = [freeing(), collecting()] if script.index(3) == 0 else [freeing(), freeing()]
    return [*publishers, [freeing(), freeing()], other, [deleting(1 + script.index(2))]]


def _slow_readers(script: Script) -> Cast:
    """Pulls by number, while versions are deleted and a collection waits for its grace again and again."""
    frees = [step for _ in range(4) for step in (freeing(GRACE_SECONDS), pausing(GRACE_SECONDS / 3))]
    pulls = [[step for _ in range(4) for step in (pulling(1 + script.index(3)), pausing(80))] for _ in range(2)]
    deletes = [pausing(script.index(300)), deleting(3), pausing(script.index(300)), deleting(1 + script.index(2))]
    return [frees, *pulls, deletes, [pausing(script.index(900)), _publish(script, "late")]]


def _retainers(script: Script) -> Cast:
    """Deletions by rules while the newest version is deleted, others are published and promoted, and bytes freed."""
    return [
        [retaining(), freeing()],
        [deleting(3), _publish(script, "next")],
        [promoting(1 + script.index(3), alias=STAGING), rolling_back(), retaining()],
    ]


def _careless(script: Script) -> Cast:
    """Somebody deletes a base, by a program that does not ask what is made from it."""
    version = 1 + script.index(2)
    return [
        [publishing("child", [1], parent=base_parent(version), key="child"), freeing()],
        [pausing(2 * script.index(2)), deleting_carelessly(version), freeing()],
        [freeing(), promoting(1 + script.index(3))],
    ]


def _deleters(script: Script) -> Cast:
    version = 1 + script.index(3)
    return [
        [deleting(version), deleting(1 + script.index(3))],
        [promoting(version, alias=(PRODUCTION, STAGING)[script.index(2)]), promoting(1 + script.index(3))],
        [rolling_back(), freeing()],
    ]


def _leavers(script: Script) -> Cast:
    """A model that is given up as a whole while others publish to it, make something from it and promote it."""
    return [
        [giving_up(), giving_up()],
        [_publish(script, "late"), promoting(1 + script.index(3), alias=STAGING)],
        [unsetting(), publishing("later", [2]), freeing()],
        [giving_up(model=BASE), publishing("child", [1], parent=base_parent(1))],
    ]


def _children(script: Script) -> Cast:
    """Versions made from another model's, while its versions are deleted."""
    version = 1 + script.index(2)
    return [
        [publishing("child", [1], parent=base_parent(version), key="child" if script.index(2) else None)],
        [publishing("other", [2, 3], parent=base_parent(1)), freeing(), collecting()],
        [deleting(version, model=BASE)],
    ]


def _reviewers(script: Script) -> Cast:
    """Two who approve and think again, one who promotes, and somebody who gives up or retires."""
    version = 1 + script.index(3)
    alias = (PRODUCTION, STAGING)[script.index(2)]
    refusal = (Action.REJECT, Action.REVOKE)[script.index(2)]
    others = [deleting(version), retiring(version), unretiring(version), rolling_back(), deciding(Action.REQUEST, 3)]
    return [
        [deciding(Action.APPROVE, version), deciding(refusal, version)],
        [deciding(Action.APPROVE, version), deciding(Action.APPROVE, 1 + script.index(3))],
        [promoting(version, alias=alias), promoting(version), promoting(1 + script.index(3))],
        [others[script.index(len(others))], promoting(1 + script.index(3), alias=STAGING)],
    ]


def _refusers(_: Script) -> Cast:
    """One who rejects a version while others, who may sleep before they write, promote it."""
    return [[deciding(Action.REJECT, 3)], *([[promoting(3, alias=STAGING)]] * 2)]


def _evaluators(script: Script) -> Cast:
    """Evaluations that arrive while two look at the version and approve it, and one promotes it."""
    version = 2 + script.index(2)
    return [
        [evaluating(version, 0.25), deciding(Action.APPROVE, version)],
        [deciding(Action.APPROVE, version), evaluating(version, 0.5)],
        [evaluating(version, 0.75), promoting(version)],
        [deciding(Action.APPROVE, version), promoting(version)],
    ]


def _mirrored(script: Script) -> Cast:
    """Everybody who changes registers, beside two mirrors of them; reviews and bases among what is changed."""
    version = 1 + script.index(3)
    changes = [
        [deciding(Action.APPROVE, version), promoting(version), deciding(Action.REVOKE, version)],
        [deleting(version), collecting(), promoting(1 + script.index(3), alias=STAGING)],
        [publishing("child", [1], parent=base_parent(1)), deleting(4), deleting(1, model=BASE)],
        [publishing_a_family("first"), publishing_a_family("second")],
        [_publish(script, "m"), promoting(4), rolling_back(), retiring(1)],
        [evaluating(version, 0.25), giving_up(model=BASE), noting(1, "seen")],
    ]
    first = script.index(len(changes))
    others = [changes[first], changes[(first + 1 + script.index(len(changes) - 1)) % len(changes)]]
    return [*others, [mirroring() for _ in range(2 + script.index(2))], [mirroring()]]


def _refusers_faults(number: int) -> Faults:
    return Faults(budget=1, one_in=2, writes=("stall",), reads=(), only=(keys.ALIASES,)) if number else Faults()


def _storm(script: Script) -> Cast:
    """One promoter that may sleep for long, and others that move its alias a hundred times meanwhile."""
    busy = [[promoting(1 + n % 2) for n in range(40)] for _ in range(2)]
    return [[promoting(3), promoting(1 + script.index(3))], *busy]


def _storm_faults(number: int) -> Faults:
    if number:
        return Faults()
    return Faults(budget=1, one_in=2, writes=("reply lost, then stall",), reads=(), only=(keys.ALIASES,))


_OWN_FAULTS = {"storm": _storm_faults, "refuse": _refusers_faults}
"""What goes wrong for each actor of a scene, where it is not drawn for all together."""


@functools.cache
def _content(beginning: Beginning) -> dict[str, object]:
    bucket = Bucket(clock=lambda: BEGINNING)
    if beginning.after:
        bucket.restore(_content(beginning.after))
        session = founder(bucket)
    else:
        session = new_registry(bucket)
    for version in range(1, beginning.bases + 1):
        _publish_now(session, BASE, [CONTENTS[1], CONTENTS[1 + version]], f"base {version}")
    first = beginning.after.versions + 1 if beginning.after else 1
    for number in range(first, first + beginning.versions):
        _publish_now(session, CHAT, [CONTENTS[number % len(CONTENTS)]], f"chat {number}")
    for number in range(beginning.edits):
        edit_model(session, CHAT, description=f"description {number}")
    for number in range(beginning.moves):
        promote(session, CHAT, 1 + number % 2, PRODUCTION)
    if beginning.reviewed:
        _ask_for_reviews(bucket)
    return bucket.snapshot()


def _ask_for_reviews(bucket: Bucket) -> None:
    policy = encode_policy(replace(DEFAULT_POLICY, approvals_required=2, protected_aliases=(PRODUCTION,)))
    item = Immutable(keys.policy(digest_of(policy)), policy)

    def edit(head: Head | None) -> Change[Head]:
        assert head is not None
        return Change(replace(head, policy=digest_of(policy)), AuditAction.SET_POLICY, objects=(item,))

    commit_head(founder(bucket), CHAT, edit)
    for name in ("first", "second"):
        session = replace(founder(bucket), actor=f"{name}@example.org")
        decide(session, CHAT, 1, Action.APPROVE)


def new_registry(bucket: Bucket) -> Session:
    """Make the bucket a registry in which the simulated endpoint, and the bucket's own, have passed the probe."""
    session = founder(bucket)
    at = session.clock.timestamp()
    results = tuple(Conformance(name, at, passed=True) for name in ("simulated", bucket.endpoint))
    document = RegistryDocument(REGISTRY, at, conformance=results)
    commit(
        bucket,
        registry_register(),
        lambda _: Change(document, AuditAction.CREATE_REGISTRY),
        actor=session.actor,
        clock=session.clock,
    )
    return session


def founder(bucket: Bucket) -> Session:
    """Return the session of whoever made the beginning; nothing disturbs it."""
    clock = Clock(
        now=lambda: BEGINNING,
        monotonic_seconds=lambda: 0.0,
        sleep=lambda _: None,
        new_transaction=lambda: f"{next(_FOUNDERS_NUMBERS):032x}",
    )
    return Session(bucket, actor="founder@example.org", clock=clock)


_FOUNDERS_NUMBERS = itertools.count(1 << 64)  # ids that no actor of a run has


def _publish_now(session: Session, model: ModelName, contents: list[bytes], notes: str) -> None:
    manifest = make_manifest(model, contents, notes=notes)
    register_version(session, PreparedVersion(manifest), Uploader(session, model))
