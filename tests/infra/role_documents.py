"""What infra/roles.py makes, for tests; and how a registry is worked on by each role through the real command line."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bucketry.schema import keys
from bucketry.schema.names import parse_alias, parse_digest, parse_model_name

if TYPE_CHECKING:
    import pytest

    from cli.harness import Program
    from servers.process import S3Server

INFRA = Path(__file__).parents[2] / "infra"
ACCOUNT = "111122223333"
MODEL = parse_model_name("acme/tried")
DIGEST = parse_digest("0" * 64)


def load_script() -> Any:
    """Return infra/roles.py as a module."""
    spec = importlib.util.spec_from_file_location("infra_roles", INFRA / "roles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled(path: str, **values: str) -> Any:
    """Return a document below infra/ with its placeholders filled in."""
    given = {"Prefix": "", "ProtectedAlias": "production", "RolePrefix": "bucketry-", "Account": ACCOUNT, **values}
    return json.loads(load_script().fill((INFRA / path).read_text("utf-8"), given))


EXAMPLES = {
    keys.REGISTRY: keys.REGISTRY,
    keys.HEADS: keys.head(MODEL),
    keys.ALIASES: keys.alias(MODEL, parse_alias("staging")),
    keys.MANIFESTS: keys.manifest(MODEL, DIGEST),
    keys.BLOBS: keys.blob(MODEL, 1, DIGEST),
    keys.PAGES: keys.page(MODEL, DIGEST),
    keys.HISTORY: keys.head_history(MODEL, 1),
    keys.EVIDENCE: keys.evidence(MODEL, DIGEST, DIGEST),
    keys.REVIEWS: keys.review(MODEL, DIGEST, DIGEST),
    keys.POLICIES: keys.policy(DIGEST),
    keys.DEPLOYMENTS: keys.deployment(MODEL, "eu", "node-1"),
    keys.SERVE: f"{keys.SERVE}acme/tried/1/model.bin",
    keys.WORK: f"{keys.WORK}one/plan.json",
    keys.REPLICA: keys.seen_by_mirror(0),
    keys.PROBE: f"{keys.PROBE}one/tried",
}
"""One key of each kind."""
PRODUCTION = keys.alias(MODEL, parse_alias("production"))


@dataclass(frozen=True, slots=True)
class Office:
    """A registry on a server, and its users: the owner, and one for each role."""

    program: Program
    server: S3Server
    users: dict[str, S3Server]
    monkeypatch: pytest.MonkeyPatch

    def act_as(self, name: str) -> None:
        user = self.users[name]
        self.monkeypatch.setenv("AWS_ENDPOINT_URL_S3", self.server.endpoint_url)
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", user.access_key)
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", user.secret_key)
        self.monkeypatch.setenv("AWS_REGION", "us-east-1")
        self.monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        self.monkeypatch.setenv("BUCKETRY_IDENTITY", f"{name}@example.org")

    def does(self, name: str, *arguments: str | Path) -> Any:
        """Run what the role is for."""
        self.act_as(name)
        return self.program.json(*arguments)

    def may_not(self, name: str, *arguments: str | Path) -> str:
        """Run what the role is refused, and return the one line that says so."""
        self.act_as(name)
        line = self.program.fails(7, *arguments)
        assert line.startswith("error[denied]: ")
        assert "does not allow this with these credentials" in line
        assert self.users[name].secret_key not in line
        return line


def work_in_all_roles(office: Office, files: Path, folder: Path) -> None:
    """Let each role do its work, and be refused that of the others."""
    model, version = "acme/chat", "acme/chat:1"
    policy = folder / "policy.toml"
    policy.write_text('approvals_required = 1\nprotected_aliases = ["production"]\n')

    assert office.does("publisher", "publish", model, files)["version"] == 1
    office.does("publisher", "promote", version, "staging")
    office.does("evaluator", "evaluate", version, "--metric", "auc=0.9")
    office.does("reviewer", "policy", "set", model, policy, "--yes")
    office.does("reviewer", "review", "approve", version)
    assert keys.alias(parse_model_name(model), parse_alias("production")) in office.may_not(
        "publisher", "promote", version, "production"
    )
    office.does("promoter", "promote", version, "production")
    pulled = office.does("server", "pull", f"{model}@production", folder / "served")
    assert pulled["size_bytes"] > 0
    office.does("server", "report", f"{model}@production", "--environment", "eu", "--path", folder / "served")
    assert office.does("auditor", "fsck", "--deep")["findings"] == []
    assert office.does("auditor", "audit", model)["records"]
    work = office.does("auditor", "work", "plan", "fsck", "--shards", "1")["work"]
    office.does("auditor", "work", "run", work, "--shard", "0")
    assert office.does("auditor", "work", "collect", work)["findings"] == []
    assert office.does("promoter", "materialize", f"{model}@production")["files"]

    for name in ("evaluator", "reviewer", "promoter", "server", "collector", "auditor"):
        (files / "weights.bin").write_bytes(f"weights of {name}".encode())
        office.may_not(name, "publish", model, files)
    for name in ("evaluator", "server", "auditor"):
        office.may_not(name, "unset", model, "production")
    for name in ("publisher", "evaluator", "reviewer", "server", "collector", "auditor"):
        office.may_not(name, "materialize", version, "--include", "README.md")
    for name in ("publisher", "evaluator", "promoter", "server", "collector", "auditor"):
        office.may_not(name, "review", "revoke", version, "--comment", "no")
    for name in ("reviewer", "promoter", "server", "collector", "auditor"):
        office.may_not(name, "evaluate", version, "--metric", f"{name}=0.5")

    (files / "weights.bin").write_bytes(b"other weights")
    assert office.does("publisher", "publish", model, files)["version"] == 2
    office.does("reviewer", "review", "reject", f"{model}:2", "--comment", "worse")
    for name in ("evaluator", "server", "auditor"):
        office.may_not(name, "delete", f"{model}:2", "--yes")
    office.does("collector", "delete", f"{model}:2", "--yes")
    for name in ("publisher", "evaluator", "reviewer", "promoter", "server", "auditor"):
        office.may_not(name, "gc", "--apply", "--grace", "0")
    assert office.does("collector", "gc", "--apply", "--grace", "0")["freed_bytes"] > 0
    assert {finding["severity"] for finding in office.does("auditor", "fsck")["findings"]} <= {"garbage"}
