"""Are the documents that give roles their rights up to date, well formed, and do they mean what the table says?

Conditional denials are judged by an evaluator of our own: nothing of it has been tried on AWS.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bucketry.schema import keys
from bucketry.schema.roles import RECORDS, ROLES, Role
from infra.policy_evaluator import Asked, is_allowed, is_denied
from infra.role_documents import ACCOUNT, EXAMPLES, INFRA, PRODUCTION, Office, filled, load_script, work_in_all_roles
from servers.fault_proxy import run_fault_proxy

if TYPE_CHECKING:
    from cli.harness import Program
    from servers.misbehaving import Asked as Request
    from servers.process import S3Server

BUCKET, PREFIX = "models", "prod/"
COPY = "copy/"
"""Where the replica is."""
PLUGINS = Path("/opt/tf-plugins")
"""Where a machine without a way to the registry of Terraform may keep its providers."""
USUAL = [role for role in ROLES if role.usual]


def policy_of(role: Role, prefix: str = PREFIX) -> Any:
    return filled(f"policies/{role.name}.json", Bucket=BUCKET, Prefix=prefix)


def bucket_policy(prefix: str = PREFIX) -> Any:
    return filled("aws/bucket-policy.json", Bucket=BUCKET, Prefix=prefix)


def arn(key: str) -> str:
    return f"arn:aws:s3:::{BUCKET}/{PREFIX}{key}"


def principal(name: str) -> dict[str, str]:
    return {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/bucketry-{name}"}


def test_the_documents_are_those_that_the_script_makes() -> None:
    for path, text in load_script().documents().items():
        assert (INFRA / path).read_text("utf-8") == text, f"{path}: run `python infra/roles.py`"


def test_every_kind_of_key_has_its_place_in_the_table() -> None:
    spelled = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    kinds = {f"{value.partition('/')[0]}/" for value in spelled if value.endswith("/")} | {keys.REGISTRY}
    assert kinds == set(keys.KINDS) == set(EXAMPLES)
    for kind, key in EXAMPLES.items():
        assert key.startswith(kind)
    for role in ROLES:
        assert {*role.writes, *role.deletes} <= set(keys.KINDS)
        assert not set(role.deletes) & set(RECORDS), "a record is never deleted"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_policy_allows_what_the_table_says_and_nothing_else(role: Role) -> None:
    policies = [policy_of(role)]
    for kind, key in EXAMPLES.items():
        assert is_allowed(policies, Asked("s3:GetObject", arn(key)))
        for action in ("s3:PutObject", "s3:ListMultipartUploadParts"):
            may = kind in role.writes or (kind in role.deletes and action != "s3:PutObject")
            assert is_allowed(policies, Asked(action, arn(key))) is may, (action, key)
        assert is_allowed(policies, Asked("s3:DeleteObject", arn(key))) is (kind in role.deletes), key
        assert not is_allowed(policies, Asked("s3:PutObject", f"arn:aws:s3:::{BUCKET}/other/{key}"))
        assert not is_allowed(policies, Asked("s3:GetObject", f"arn:aws:s3:::{BUCKET}/other/{key}"))
        assert not is_allowed(policies, Asked("s3:PutBucketPolicy", f"arn:aws:s3:::{BUCKET}"))
    assert is_allowed(policies, Asked("s3:PutObject", arn(PRODUCTION))) is role.moves_protected
    listing = f"arn:aws:s3:::{BUCKET}"
    assert is_allowed(policies, Asked("s3:ListBucket", listing, {"s3:prefix": f"{PREFIX}heads/"}))
    assert not is_allowed(policies, Asked("s3:ListBucket", listing, {"s3:prefix": "other/"}))
    assert is_allowed(policies, Asked("s3:GetBucketPolicy", listing)) is role.describes
    uploads = role.describes or {keys.BLOBS, keys.SERVE}.intersection(role.writes) != set()
    assert is_allowed(policies, Asked("s3:ListBucketMultipartUploads", listing)) is uploads


IF_MATCH, IF_ABSENT = {"s3:if-match": "etag"}, {"s3:if-none-match": "*"}
CREATES, IS_PART = {"s3:ObjectCreationOperation": "true"}, {"s3:ObjectCreationOperation": "false"}
COPIES = {"s3:x-amz-copy-source": "models/prod/blobs/x"}
DENIED, PASSED = True, False


@pytest.mark.parametrize(
    ("kind", "context", "denied"),
    [
        (keys.HEADS, CREATES, DENIED),
        (keys.HEADS, CREATES | IF_MATCH, PASSED),
        (keys.HEADS, CREATES | IF_ABSENT, PASSED),
        (keys.HEADS, CREATES | COPIES, DENIED),  # a copy over a register would be as bad as any other write
        (keys.ALIASES, CREATES, DENIED),
        (keys.REGISTRY, CREATES, DENIED),
        (keys.REGISTRY, CREATES | IF_MATCH, PASSED),
        *((kind, CREATES, DENIED) for kind in RECORDS),
        *((kind, CREATES | IF_ABSENT, PASSED) for kind in RECORDS),
        (keys.MANIFESTS, CREATES | IF_MATCH, DENIED),  # nobody replaces a document
        (keys.REVIEWS, CREATES | COPIES, DENIED),
        (keys.BLOBS, CREATES, DENIED),
        (keys.BLOBS, CREATES | IF_MATCH, DENIED),
        (keys.BLOBS, CREATES | IF_ABSENT, PASSED),
        (keys.BLOBS, IS_PART, PASSED),
        (keys.BLOBS, IS_PART | COPIES, PASSED),
        (keys.BLOBS, CREATES | COPIES, PASSED),
        (keys.SERVE, CREATES | COPIES, PASSED),
        (keys.SERVE, CREATES, DENIED),
        (keys.SERVE, CREATES | IF_ABSENT, PASSED),
        (keys.SERVE, IS_PART, PASSED),
        (keys.PROBE, IS_PART, PASSED),
        (keys.WORK, IS_PART, PASSED),
        (keys.SERVE, CREATES | IF_MATCH, PASSED),
        (keys.DEPLOYMENTS, CREATES, PASSED),
        (keys.WORK, CREATES, DENIED),
        (keys.REPLICA, CREATES, DENIED),
        (keys.REPLICA, CREATES | IF_MATCH, PASSED),
        (keys.PROBE, CREATES, DENIED),
        (keys.PROBE, CREATES | IF_MATCH, PASSED),
    ],
)
def test_the_bucket_refuses_writes_without_their_condition(kind: str, context: dict[str, str], *, denied: bool) -> None:
    asked = Asked("s3:PutObject", arn(EXAMPLES[kind]), context | principal("promoter"))
    assert is_denied([bucket_policy()], asked) is denied


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_production_is_kept_for_those_who_promote_or_refuse(role: Role) -> None:
    context = CREATES | IF_MATCH
    assert is_denied([bucket_policy()], Asked("s3:PutObject", arn(PRODUCTION), context | principal(role.name))) is (
        not role.moves_protected
    )
    staging = arn(EXAMPLES[keys.ALIASES])
    assert not is_denied([bucket_policy()], Asked("s3:PutObject", staging, context | principal(role.name)))


@pytest.mark.parametrize("who", ["arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/admin", None])
def test_an_owner_of_the_account_moves_no_production_and_deletes_no_record(who: str | None) -> None:
    known = {"aws:PrincipalArn": who} if who else {}
    assert is_denied([bucket_policy()], Asked("s3:PutObject", arn(PRODUCTION), CREATES | IF_MATCH | known))
    for kind, key in EXAMPLES.items():
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert is_denied([bucket_policy()], Asked(action, arn(key), known)) is (kind in RECORDS)
        assert is_denied([bucket_policy()], Asked("s3:GetObject", arn(key), {"aws:SecureTransport": "false"}))
        assert not is_denied([bucket_policy()], Asked("s3:GetObject", arn(key), {"aws:SecureTransport": "true"}))


def test_what_the_program_really_sends_passes_the_policies_of_its_role_and_of_the_bucket(
    program: Program, weed: S3Server, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request of a whole story is recorded and judged: no role lacks a right, and no write its condition."""
    registry, replica = f"s3://{weed.bucket}/{PREFIX}", f"s3://{weed.bucket}/{COPY}"
    monkeypatch.setenv("BUCKETRY_REGISTRY", registry)
    asked: list[tuple[str, Request]] = []
    with run_fault_proxy(weed) as proxy:

        class Recording(Office):
            def does(self, name: str, *arguments: str | Path) -> Any:
                proxy.asked.clear()
                result = Office.does(self, name, *arguments)
                asked.extend((name, request) for request in proxy.asked)
                return result

            def may_not(self, name: str, *_: str | Path) -> str:
                """Refuse nobody here: all are the owner."""
                return PRODUCTION.replace("acme/tried", "acme/chat") if name == "publisher" else ""

        everybody = dict.fromkeys(["owner", *(role.name for role in ROLES)], weed)
        office = Recording(program, proxy.server, everybody, monkeypatch)
        office.act_as("owner")
        program.ok("init", registry)
        work_in_all_roles(office, files, tmp_path)
        office.does("collector", "doctor")
        office.does("mirror", "mirror", registry, replica)
    judged = Counter(name for name, request in asked if is_judged(name, as_iam_sees(request, name, weed.bucket)))
    assert all(judged[role.name] for role in ROLES if role.name != "signing-publisher"), judged


def is_judged(name: str, seen: Asked) -> bool:
    """Judge a request of a role; return False for one by which `doctor` asks in order to be refused."""
    doctor_asks = "bucketry-doctor" in seen.resource or seen.resource.endswith("/unconditional")
    doctor_records = name == "collector" and seen.resource == arn(keys.REGISTRY)
    if doctor_asks or doctor_records:
        return False
    role = next(role for role in ROLES if role.name == name)
    reads = next(role for role in ROLES if role.name == "auditor")
    policies = [policy_of(role, COPY), policy_of(reads)] if name == "mirror" else [policy_of(role)]
    assert is_allowed(policies, seen), (name, seen)
    assert not is_denied([bucket_policy(), bucket_policy(COPY)], seen), (name, seen)
    return True


def as_iam_sees(request: Request, name: str, bucket: str) -> Asked:
    """Return what AWS would ask IAM about a request, as its documentation tells."""
    url = urlsplit(request.path)
    query = parse_qs(url.query, keep_blank_values=True)
    key = unquote(url.path).removeprefix(f"/{bucket}").removeprefix("/")
    context = {"aws:SecureTransport": "true", **principal(name)}
    for header, known in (
        ("if-match", "s3:if-match"),
        ("if-none-match", "s3:if-none-match"),
        ("x-amz-copy-source", "s3:x-amz-copy-source"),
    ):
        if header in request.headers:
            context[known] = request.headers[header]
    resource = f"arn:aws:s3:::{BUCKET}/{key}" if key else f"arn:aws:s3:::{BUCKET}"
    is_part = "partNumber" in query or "uploads" in query
    match request.method:
        case "GET" if not key:
            settings = {
                "uploads": "s3:ListBucketMultipartUploads",
                "versioning": "s3:GetBucketVersioning",
                "lifecycle": "s3:GetLifecycleConfiguration",
                "policy": "s3:GetBucketPolicy",
                "encryption": "s3:GetEncryptionConfiguration",
                "object-lock": "s3:GetBucketObjectLockConfiguration",
            }
            action = next((action for word, action in settings.items() if word in query), "s3:ListBucket")
            context["s3:prefix"] = query.get("prefix", [""])[0]
        case "GET" if "uploadId" in query:
            action = "s3:ListMultipartUploadParts"
        case "GET" | "HEAD":
            action = "s3:GetObject"
        case "PUT" | "POST":
            action = "s3:PutObject"
            context["s3:ObjectCreationOperation"] = "false" if is_part else "true"
        case "DELETE":
            action = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
        case _:
            raise AssertionError(request)
    return Asked(action, resource, context)


def test_cfn_lint_finds_nothing_in_the_templates() -> None:
    linter = shutil.which("cfn-lint")
    if linter is None or subprocess.run([linter, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("cfn-lint is not installed")
    for name in ("cloudformation.yaml", "batch.yaml"):
        done = subprocess.run(
            [linter, "--non-zero-exit-code", "informational", INFRA / "aws" / name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_terraform_accepts_the_module_and_has_written_it_in_its_own_style(tmp_path: Path) -> None:
    terraform = shutil.which("terraform") or shutil.which("tofu")
    if terraform is None:
        pytest.skip("terraform is not installed")
    if not PLUGINS.is_dir():
        pytest.skip(f"there are no providers in {PLUGINS}")
    module = tmp_path / "infra" / "aws" / "terraform"
    shutil.copytree(INFRA / "aws", tmp_path / "infra" / "aws")
    shutil.copytree(INFRA / "policies", tmp_path / "infra" / "policies")
    environment = {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path)}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [terraform, f"-chdir={module}", *arguments], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run("fmt", "-check", "-diff")
    run("init", "-backend=false", "-input=false", f"-plugin-dir={PLUGINS}")
    run("validate")


def test_no_placeholder_is_without_a_value() -> None:
    script = load_script()
    with pytest.raises(SystemExit, match="no value for Bucket"):
        script.fill("${Bucket}", {})
    names = set()
    for path in script.documents():
        if path.endswith(".json") and not path.startswith("seaweedfs"):
            names |= set(re.findall(r"\$\{(\w+)\}", (INFRA / path).read_text("utf-8")))
    main = (INFRA / "aws" / "terraform" / "main.tf").read_text("utf-8")
    assert names == set(re.findall(r"^    (\w+) +=", main.partition("filled = {")[2].partition("}")[0], re.MULTILINE))
