"""Where each object lies. The only module that spells keys.

The kind of object comes first, so that one IAM statement names one role's rights and listing `heads/` lists the
models and nothing else.
"""

import re
from typing import Literal

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_digest, parse_model_name

REGISTRY = "registry.json"
HEADS = "heads/"
BLOBS = "blobs/"
MANIFESTS = "manifests/"
PAGES = "pages/"
HISTORY = "history/"
ALIASES = "aliases/"
EVIDENCE = "evidence/"
REVIEWS = "reviews/"
POLICIES = "policies/"
DEPLOYMENTS = "deployments/"
PROBE = "probe/"
SERVE = "serve/"
WORK = "work/"
COLLECTIONS = f"{WORK}gc/"
REPLICA = "replica/"
KINDS = (
    REGISTRY,
    HEADS,
    ALIASES,
    MANIFESTS,
    BLOBS,
    PAGES,
    HISTORY,
    EVIDENCE,
    REVIEWS,
    POLICIES,
    DEPLOYMENTS,
    SERVE,
    WORK,
    REPLICA,
    PROBE,
)
"""Every kind of key, by its prefix; the registry's own document is one by itself."""
LONGEST_GENERATION = 16
CITED_KEY_PARTS = 5
"""Kind, namespace, model, manifest and the object's own digest."""
_SERVE_FOLDER = re.compile(r"serve/([^/]+/[^/]+)/([1-9][0-9]{0,15})(?:-[0-9a-f]{16})?/")
_WORK_FILE = re.compile(
    rf"{WORK}([a-z]{{1,16}}-[0-9]{{8}}t[0-9]{{6}}z-[0-9a-f]{{8}})/(?:(plan)|(shards|results)/(0|[1-9][0-9]{{0,5}}))[.]json"
)
_EPOCH_AND_DIGEST = re.compile(r"([1-9][0-9]{0,15})/([0-9a-f]{64})")


def head(model: ModelName) -> str:
    """Return the key of a model's one commit point."""
    return f"{HEADS}{_folder(model)}.json"


def model_of_head(key: str) -> ModelName | None:
    """Return whose head lies at the key, or None for a key that is nobody's."""
    namespace, _, name = key.removeprefix(HEADS).removesuffix(".json").partition("/")
    model = parse_model_name(f"{namespace}/{name}")
    return model if head(model) == key else None


def alias(model: ModelName, name: AliasName) -> str:
    """Return the key of an alias's register."""
    return f"{aliases(model)}{name}.json"


def aliases(model: ModelName) -> str:
    """Return the prefix of a model's alias registers."""
    return f"{ALIASES}{_folder(model)}/"


def alias_of_key(model: ModelName, key: str) -> AliasName:
    """Return the alias whose register lies at the key; raise `UsageError` for any other key."""
    return parse_alias(key.removeprefix(aliases(model)).removesuffix(".json"))


def find_alias_place(key: str) -> tuple[ModelName, AliasName] | None:
    """Return whose alias's register lies at the key, or None for a key that is nobody's."""
    folder, _, _ = key.removeprefix(ALIASES).rpartition("/")
    try:
        model = parse_model_name(folder)
        name = alias_of_key(model, key)
    except UsageError:
        return None
    return (model, name) if alias(model, name) == key else None


def manifest(model: ModelName, digest: Digest) -> str:
    """Return the key of a manifest."""
    return f"{MANIFESTS}{_folder(model)}/{digest}.json"


def manifests(model: ModelName) -> str:
    """Return the prefix of a model's manifests."""
    return f"{MANIFESTS}{_folder(model)}/"


def blob(model: ModelName, epoch: int, digest: Digest) -> str:
    """Return the key of an artifact's bytes, placed under an epoch of the model."""
    return f"{blob_epoch(model, epoch)}{digest}"


def blobs(model: ModelName) -> str:
    """Return the prefix of a model's blobs."""
    return f"{BLOBS}{_folder(model)}/"


def epoch_of_blob(model: ModelName, key: str) -> int | None:
    """Return the epoch under which a blob of the model lies, or None for any other key."""
    number, _, digest = key.removeprefix(blobs(model)).partition("/")
    return int(number) if _is_count(number) and key == f"{blobs(model)}{number}/{digest}" else None


def blob_epoch(model: ModelName, epoch: int) -> str:
    """Return the prefix of a model's blobs that were placed under one epoch."""
    return f"{blobs(model)}{epoch}/"


def find_blob_place(model: ModelName, key: str) -> tuple[int, Digest] | None:
    """Return the epoch and the digest of the model's blob at the key, or None for a key that is no blob's."""
    found = _EPOCH_AND_DIGEST.fullmatch(key, len(blobs(model)))
    return (int(found[1]), Digest(found[2])) if found else None


def blobs_of_key(key: str) -> str:
    """Return the prefix of all blobs of the model whose blob lies at the key; fast, and of no use for any other key."""
    return key[: key.find("/", key.find("/", len(BLOBS)) + 1) + 1]


def find_model_of_blobs(prefix: str) -> ModelName | None:
    """Return whose blobs lie below the prefix, or None for a prefix that is nobody's."""
    try:
        model = parse_model_name(prefix.removeprefix(BLOBS).removesuffix("/"))
    except UsageError:
        return None
    return model if prefix == blobs(model) else None


def page(model: ModelName, digest: Digest) -> str:
    """Return the key of a sealed page, a page directory, a dossier or a note."""
    return f"{PAGES}{_folder(model)}/{digest}.json"


def histories(model: ModelName) -> str:
    """Return the prefix of the sealed audit records of a model's head and of its aliases."""
    return f"{HISTORY}{_folder(model)}/"


def head_history(model: ModelName, first_generation: int) -> str:
    """Return the key of the sealed block of the head's audit records that begins with this generation."""
    return f"{HISTORY}{_folder(model)}/{first_generation}.json"


def alias_history(model: ModelName, name: AliasName, first_generation: int) -> str:
    """Return the key of the sealed block of an alias's audit records that begins with this generation."""
    return f"{alias_histories(model, name)}{first_generation}.json"


def alias_histories(model: ModelName, name: AliasName) -> str:
    """Return the prefix of the sealed audit records of one alias."""
    return f"{histories(model)}{name}/"


def registry_history(first_generation: int) -> str:
    """Return the key of the sealed block of the registry document's own audit records."""
    return f"{HISTORY}{first_generation}.json"


def evidences(model: ModelName) -> str:
    """Return the prefix of the evaluations that were added to a model's versions."""
    return f"{EVIDENCE}{_folder(model)}/"


def evidence(model: ModelName, manifest: Digest, digest: Digest) -> str:
    """Return the key of one evaluation of a version, named by the SHA-256 of its bytes."""
    return f"{evidences(model)}{manifest}/{digest}.json"


def review(model: ModelName, manifest: Digest, digest: Digest) -> str:
    """Return the key of one decision about a version, or of its publish signature, named by its SHA-256."""
    return f"{REVIEWS}{_folder(model)}/{manifest}/{digest}.json"


def is_cited_key(key: str, digest: Digest) -> bool:
    """Return whether an evaluation or a decision with this SHA-256 can lie at the key."""
    parts = key.split("/")
    if len(parts) != CITED_KEY_PARTS:
        return False
    kind, namespace, name, manifest_digest, _ = parts
    try:
        of_model, of_manifest = parse_model_name(f"{namespace}/{name}"), parse_digest(manifest_digest)
    except UsageError:
        return False
    spell = {EVIDENCE: evidence, REVIEWS: review}.get(f"{kind}/")
    return spell is not None and spell(of_model, of_manifest, digest) == key


def model_of_key(key: str) -> ModelName:
    """Return below which model's folder a key lies, of any kind that has one; raise `UsageError`."""
    parts = key.split("/")
    return parse_model_name("/".join(parts[1:3]) if len(parts) > 3 else key)


def prefix_of_model(key: str, model: ModelName) -> str:
    """Return the prefix of all objects of a key's kind that belong to the model, or of all of a kind without models."""
    kind = f"{key.partition('/')[0]}/"
    own = f"{kind}{_folder(model)}/"
    return own if key.startswith(own) else kind


def policy(digest: Digest) -> str:
    """Return the key of a policy document."""
    return f"{POLICIES}{digest}.json"


def digest_of_policy(key: str) -> Digest | None:
    """Return the digest of the policy that lies at the key, or None for a key that is no policy's."""
    try:
        digest = parse_digest(key.removeprefix(POLICIES).removesuffix(".json"))
    except UsageError:
        return None
    return digest if policy(digest) == key else None


def is_registry_history(key: str) -> bool:
    """Return whether a block of the registry document's own audit records lies at the key."""
    number = key.removeprefix(HISTORY).removesuffix(".json")
    return _is_count(number) and registry_history(int(number)) == key


def is_explained(key: str) -> bool:
    """Return whether a sealed block, or a document in `pages/`, of any model can lie at the key."""
    kind, _, rest = key.partition("/")
    if is_registry_history(key):
        return True
    parts = rest.removesuffix(".json").split("/")
    try:
        parse_model_name("/".join(parts[:2]))
        if f"{kind}/" == PAGES:
            return len(parts) == 3 and key.endswith(".json") and bool(parse_digest(parts[2]))
        is_alias = len(parts) == 4 and bool(parse_alias(parts[2]))
    except UsageError:
        return False
    return key.endswith(".json") and (len(parts) == 3 or is_alias) and _is_count(parts[-1])


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= LONGEST_GENERATION


def deployments(model: ModelName) -> str:
    """Return the prefix of what servers report about a model."""
    return f"{DEPLOYMENTS}{_folder(model)}/"


def deployment(model: ModelName, environment: str, instance: str) -> str:
    """Return the key of what one instance in an environment reports; both are names in the registry's grammar."""
    return f"{deployments(model)}{environment}/{instance}.json"


def serve_folders(model: ModelName) -> str:
    """Return the prefix of the folders that hold a model's versions under the files' own names."""
    return f"{SERVE}{_folder(model)}/"


def serve_folder(model: ModelName, version: int, selection: str = "") -> str:
    """Return the prefix of a version's files under their own names; each selection of files has one of its own."""
    return f"{serve_folders(model)}{version}{selection and f'-{selection}'}/"


def find_serve_place(key: str) -> tuple[ModelName, int, str] | None:
    """Return the model, the version and the folder of a key below `serve/`, or None for a key that is nobody's."""
    found = _SERVE_FOLDER.match(key)
    try:
        model = parse_model_name(found[1]) if found else None
    except UsageError:
        return None
    return (model, int(found[2]), found[0]) if found and model and found[0].startswith(serve_folders(model)) else None


def ready(folder: str) -> str:
    """Return the key of what says that all files of a folder are there; no artifact can lie below `.bucketry/`."""
    return f"{folder}.bucketry/ready.json"


def collection(digest: Digest) -> str:
    """Return the key of what one garbage collection found to be clean, named by the SHA-256 of its bytes."""
    return f"{COLLECTIONS}{digest}.json"


def seen_by_mirror(number: int) -> str:
    """Return the key of a document of what the mirror saw of the registers of both sides; they count from 0."""
    return f"{REPLICA}{number}.json"


def number_of_seen(key: str) -> int | None:
    """Return which of the documents of what the mirror saw lies at the key, or None for any other key."""
    number = key.removeprefix(REPLICA).removesuffix(".json")
    return int(number) if (number == "0" or _is_count(number)) and seen_by_mirror(int(number)) == key else None


def work_plan(work: str) -> str:
    """Return the key of the plan of a piece of shared work, whose id is `<kind>-<date>t<time>z-<8 digits>`."""
    return f"{WORK}{work}/plan.json"


def work_shard(work: str, number: int) -> str:
    """Return the key of one shard of a piece of shared work: what is to be done."""
    return f"{WORK}{work}/shards/{number}.json"


def work_results(work: str) -> str:
    """Return the prefix of what the shards of a piece of shared work came to."""
    return f"{WORK}{work}/results/"


def work_result(work: str, number: int) -> str:
    """Return the key of what one shard came to."""
    return f"{work_results(work)}{number}.json"


@frozen
class WorkPlace:
    """Which document of which piece of shared work lies at a key: its plan, or that with a number."""

    work: str
    kind: Literal["plan", "shards", "results"]
    number: int = 0


def find_work_place(key: str) -> WorkPlace | None:
    """Return which document of shared work lies at the key, or None for a key of none."""
    found = _WORK_FILE.fullmatch(key)
    if found is None:
        return None
    if found[2]:
        return WorkPlace(found[1], "plan")
    return WorkPlace(found[1], "shards" if found[3] == "shards" else "results", int(found[4]))


def _folder(model: ModelName) -> str:
    return f"{model.namespace}/{model.name}"
