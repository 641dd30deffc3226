"""Which role may do what to which kinds of key? The one table that infra/roles.py makes every policy from.

Everybody reads the whole registry: what must not be read by all has a registry of its own. So a role is told by what
it writes and deletes, and since the kind comes first in a key, a prefix for each kind is all that a store must know. No
role writes `registry.json`, or deletes a document: to create a registry and to set its defaults is for whoever owns the
bucket.
"""

from bucketry.frozen import frozen
from bucketry.schema import keys

REGISTERS = (keys.REGISTRY, keys.HEADS, keys.ALIASES)
"""What is replaced on the condition that nobody replaced it meanwhile, and never deleted."""
CREATED_ONCE = (
    keys.MANIFESTS,
    keys.PAGES,
    keys.HISTORY,
    keys.EVIDENCE,
    keys.REVIEWS,
    keys.POLICIES,
    keys.WORK,
)
"""Documents that are written on the condition that nothing is there."""
RECORDS = (*REGISTERS, keys.MANIFESTS, keys.PAGES, keys.HISTORY, keys.EVIDENCE, keys.REVIEWS, keys.POLICIES)
"""What nobody ever deletes, garbage collection included."""
PROTECTED_ALIAS = "production"
"""The alias that is kept for promoters, unless a set-up names another."""

_COMMITS = (keys.HEADS, keys.PAGES, keys.HISTORY)
"""What a commit to a model's head may write: the head, and what it seals."""
_PUBLISHES = (*_COMMITS, keys.MANIFESTS, keys.BLOBS, keys.EVIDENCE, keys.ALIASES)


@frozen
class Role:
    """One role: what it is for, and below which prefixes it writes and deletes.

    `moves_protected` says that `aliases/` includes the protected ones; `describes` that it may ask how the bucket is
    set up. A role that is not `usual` is made only where somebody asks for it.
    """

    name: str
    task: str
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    moves_protected: bool = False
    describes: bool = False
    usual: bool = True


ROLES = (
    Role("publisher", "publishes versions, and moves every alias but the protected ones", _PUBLISHES),
    Role(
        "signing-publisher",
        "a publisher that signs what it publishes; for registries whose policies ask for signed decisions",
        (*_PUBLISHES, keys.REVIEWS),
        usual=False,
    ),
    Role("evaluator", "adds evaluations to versions", (*_COMMITS, keys.EVIDENCE)),
    Role(
        "reviewer",
        "decides about versions and sets policies; a refusal reaches every alias",
        (*_COMMITS, keys.REVIEWS, keys.POLICIES, keys.ALIASES),
        (keys.SERVE,),
        moves_protected=True,
    ),
    Role(
        "promoter",
        "moves every alias, and lays out what it promoted for engines that read the bucket",
        (*_COMMITS, keys.ALIASES, keys.SERVE),
        (keys.SERVE,),
        moves_protected=True,
    ),
    Role("server", "pulls versions, and reports what it serves", (keys.DEPLOYMENTS,)),
    Role(
        "collector",
        "deletes versions, frees bytes, mends what is damaged, and probes the store",
        (*_COMMITS, keys.ALIASES, keys.WORK, keys.PROBE),
        (keys.BLOBS, keys.SERVE, keys.WORK, keys.PROBE),
        moves_protected=True,
        describes=True,
    ),
    Role("auditor", "reads and checks everything, alone or on many machines", (keys.WORK,), describes=True),
    Role(
        "mirror",
        "writes a replica: in the bucket of the replica, nowhere else",
        tuple(kind for kind in keys.KINDS if kind not in {keys.SERVE, keys.WORK}),
        (keys.BLOBS, keys.DEPLOYMENTS, keys.REPLICA, keys.PROBE),
        moves_protected=True,
        describes=True,
        usual=False,
    ),
)
