"""Which registry do the tests from end to end stand on? One on a real S3 server, of two people, far from both."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from unittest import mock

from bucketry.client import Registry, open_registry
from bucketry.registry.core.opening import create_registry, record_conformance
from bucketry.registry.review.policies import set_policy
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import ModelName
from servers.far import Distance, run_far
from tui.model_files import CARD
from tui.panes import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from servers.far import FarServer
    from servers.process import S3Server

RISK = ModelName("default", "credit-risk")
TRAINER, OPS, REVIEWER = "ci-2@example.org", "ops@example.org", "rev1@example.org"
OLDER, SERVING, CANDIDATE = 2, 3, 4
LATENCY_SECONDS = 0.05
FILES = 3
POLICY = """
approvals_required = 2
separate_duties = true
protected_aliases = ["production"]

[[gate]]
metric = "auc"
at_least = 0.9
"""
CONFIG = """
[tui]
refresh_seconds = 600  # nothing that a test waits for comes with the next round
"""
BANDS = {"18-25": 3_120, "26-40": 19_870, "66+": 118}


@dataclass(frozen=True, slots=True)
class FarRegistry:
    """A registry, the server that it lies on, and how far that is for those who look at it in the screens."""

    far: FarServer
    folder: Path

    @property
    def url(self) -> str:
        return f"s3://{self.far.server.bucket}/{self.folder.name}"

    @property
    def published(self) -> Path:
        """Where the files of the candidate lie, from which it was published."""
        return self.folder / "published" / str(RISK) / str(CANDIDATE)

    def environment(self, identity: str, server: S3Server | None = None) -> dict[str, str]:
        """Return what one of its people has set, who reaches the server from afar or at another address."""
        reached = server or self.far.server
        return {
            "AWS_ACCESS_KEY_ID": reached.access_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": reached.endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": reached.secret_key,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "BUCKETRY_CACHE": str(self.folder / identity / "cache"),
            "BUCKETRY_CONFIG": str(self.folder / "config.toml"),
            "BUCKETRY_IDENTITY": identity,
            "BUCKETRY_REGISTRY": self.url,
            "BUCKETRY_STATE": str(self.folder / identity / "state"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "SSH_AUTH_SOCK": "",
        }

    @contextmanager
    def opened(self, identity: str) -> Iterator[Registry]:
        """Open the registry beside the server, as one of its people."""
        nearby = mock.patch.dict(os.environ, self.environment(identity, self.far.upstream))
        with nearby, closing(open_registry(identity=identity)) as registry:
            yield registry

    def tell(self, *arguments: str) -> Mapping[str, Any]:
        """Run a command beside the server and return what it prints."""
        environment = dict(os.environ) | self.environment(OPS, self.far.upstream)
        ran = subprocess.run(
            [*PROGRAM, *arguments, "--json"], env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert isinstance(told, dict)
        return told


@contextmanager
def far_registry(server: S3Server, folder: Path, *, bytes_per_second: float, file_bytes: int) -> Iterator[FarRegistry]:
    """Create a registry behind a latency: four versions, the third serves, the newest waits for review."""
    (folder / "config.toml").write_text(CONFIG)
    with run_far(server, Distance(LATENCY_SECONDS, bytes_per_second), folder) as far:
        registry = FarRegistry(far, folder)
        _create(registry)
        contents = {f"model-{n:05}.bin": Random(n).randbytes(file_bytes) for n in range(1, FILES + 1)}
        _publish(registry, "acme/chat", 1, {"model.bin": b"chat"})
        for version in range(1, CANDIDATE):
            _publish(registry, str(RISK), version, {"model.bin": b"%d" % version})
        _publish(registry, str(RISK), CANDIDATE, {**contents, "README.md": CARD.encode()})
        _serve(registry)
        yield registry


def _create(registry: FarRegistry) -> None:
    with mock.patch.dict(os.environ, registry.environment(OPS, registry.far.upstream)):
        probed = create_registry(identity=OPS).conformance
    with mock.patch.dict(os.environ, registry.environment(OPS)), closing(open_registry(identity=OPS)) as opened:
        record_conformance(opened.session, probed)  # it is the same server, and to probe it from afar takes long


def _serve(registry: FarRegistry) -> None:
    with registry.opened(OPS) as ops, registry.opened(REVIEWER) as reviewer:
        set_policy(ops.session, RISK, parse_policy_toml(POLICY, what="policy"))
        for version in (OLDER, SERVING):
            for person in (ops, reviewer):
                person.review(f"{RISK}:{version}", "approve", comment="measured twice")
            ops.promote(f"{RISK}:{version}", "production")


def _publish(registry: FarRegistry, name: str, version: int, files: Mapping[str, bytes]) -> None:
    folder = registry.folder / "published" / name / str(version)
    folder.mkdir(parents=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    with registry.opened(TRAINER) as opened:
        opened.publish(
            name,
            [folder],
            evidence=[_evidence(version)],
            parameters={"lr": 0.001 / version, "seed": 7},
            request_review=version == CANDIDATE,
        )


def _evidence(version: int) -> Evidence:
    auc, recall = 0.9 + version / 200, 0.65 - (0.02 if version == CANDIDATE else version / 1000)
    metrics = (
        Metric("auc", auc, direction="higher", confidence=Confidence(auc - 0.001, auc + 0.001, 0.95), samples=45_112),
        Metric("logloss", 0.25 - version / 3000, direction="lower", confidence=Confidence(0.23, 0.26, 0.95)),
        Metric("recall", recall, direction="higher", confidence=Confidence(recall - 0.001, recall + 0.001, 0.95)),
        Metric("p95_ms", 40.0 + version, unit="ms", direction="lower"),
        *(
            Metric(
                "recall",
                recall - place / 50,
                direction="higher",
                slice={"age_band": band},
                confidence=Confidence(recall - place / 50 - 0.001, recall - place / 50 + 0.001, 0.95),
                samples=count,
            )
            for place, (band, count) in enumerate(BANDS.items())
        ),
    )
    return Evidence("automated", metrics, by="ci-2", at="2026-11-20T08:00:00Z", dataset={"name": "fraud-2026-10"})
