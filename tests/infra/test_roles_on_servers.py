"""Does each role do its work on real servers, and is it refused everything else?

SeaweedFS takes our identities and their policies as they are. moto enforces IAM, but knows no condition in it: there
the policies are tried without theirs.
"""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from bucketry.errors import DeniedError
from bucketry.maintenance.doctor.rights import find_rights, judge_rights
from bucketry.schema import keys
from bucketry.schema.roles import ROLES
from bucketry.store.contract import IfAbsent
from bucketry.store.description import NotKnown
from infra.role_documents import EXAMPLES, INFRA, PRODUCTION, Office, filled, load_script, work_in_all_roles
from servers import weed as weed_server
from servers.moto import run_moto
from servers.weed import run_weed
from store.s3_stores import open_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program
    from servers.process import S3Server

USUAL = [role for role in ROLES if role.usual]
PREFIX = "prod/"
OWNER_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@contextmanager
def weed_with_roles(folder: Path) -> Iterator[dict[str, S3Server]]:
    script = load_script()
    secrets = {"Owner": (weed_server.ACCESS_KEY, weed_server.SECRET_KEY)}
    for role in USUAL:
        secrets[role.name.capitalize()] = (f"AKIA{role.name.upper():0<16}", f"{role.name}/secret+{'s' * 24}")
    values = {f"{name}AccessKey": access for name, (access, _) in secrets.items()}
    values |= {f"{name}SecretKey": secret for name, (_, secret) in secrets.items()}
    values |= {"Bucket": weed_server.BUCKET, "Prefix": PREFIX, "ProtectedAlias": "production"}
    configuration = script.fill((INFRA / "seaweedfs" / "identities.json").read_text("utf-8"), values)
    with run_weed(folder, configuration) as server:
        yield {
            name.lower(): replace(server, access_key=access, secret_key=secret)
            for name, (access, secret) in secrets.items()
        }


@contextmanager
def moto_with_roles(folder: Path) -> Iterator[dict[str, S3Server]]:
    with run_moto(folder) as server:
        iam = boto3.client(
            "iam",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )
        users = {}
        for name in ("owner", *(role.name for role in USUAL)):
            policy = OWNER_POLICY if name == "owner" else without_conditions(name, server.bucket)
            iam.create_user(UserName=name)
            iam.put_user_policy(UserName=name, PolicyName="registry", PolicyDocument=json.dumps(policy))
            key = iam.create_access_key(UserName=name)["AccessKey"]
            users[name] = replace(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
        iam.close()
        begin = f"{server.endpoint_url}/moto-api/reset-auth"  # from here on everybody is asked for their rights
        asked = urllib.request.Request(begin, data=b"0", headers={"Content-Type": "text/plain"}, method="POST")
        urllib.request.urlopen(asked, timeout=10).close()
        yield users


def without_conditions(name: str, bucket: str) -> Any:
    policy = filled(f"policies/{name}.json", Bucket=bucket, Prefix=PREFIX)
    return policy | {
        "Statement": [{key: value for key, value in each.items() if key != "Condition"} for each in policy["Statement"]]
    }


@pytest.fixture(scope="module", params=["weed", "moto"])
def users(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3Server]]:
    serve = weed_with_roles if request.param == "weed" else moto_with_roles
    with serve(tmp_path_factory.mktemp("roles")) as users:
        yield users


def test_each_role_does_its_work_and_is_refused_that_of_others(
    program: Program, users: dict[str, S3Server], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(program, users["owner"], users, monkeypatch)
    url = f"s3://{users['owner'].bucket}/{PREFIX.strip('/')}"
    monkeypatch.setenv("BUCKETRY_REGISTRY", url)
    office.act_as("owner")
    assert program.json("init", url)["created"]
    work_in_all_roles(office, files, tmp_path)

    office.act_as("server")
    seen = program.json("doctor")
    assert seen["roles"] == ["server"]
    assert seen["passed"] is None
    office.act_as("auditor")
    assert program.json("doctor")["roles"] == ["auditor"]
    office.act_as("collector")
    found = program.json("doctor")
    assert found["roles"] == ["collector", "auditor"]
    assert found["passed"]
    assert "record" in [finding["name"] for finding in found["findings"]]


@pytest.mark.parametrize("role", USUAL, ids=lambda role: role.name)
def test_each_right_is_there_or_is_not_as_the_table_says(users: dict[str, S3Server], role: Any) -> None:
    with open_s3(users[role.name], PREFIX) as store, open_s3(users["owner"], PREFIX) as owner:
        found = find_rights(store, keeps_versions=False)
        for kind in keys.KINDS:
            wanted = {"list": True, "read": True, "write": kind in role.writes, "delete": kind in role.deletes}
            if kind == keys.REGISTRY:
                wanted.pop("delete")
            for right, may in wanted.items():
                answer = found.may(right, kind)  # type: ignore[arg-type]
                assert answer is may or (may and is_at_a_loss(answer)), (right, kind)
        moves = found.protected.rights["write"]
        assert moves is role.moves_protected or (role.moves_protected and is_at_a_loss(moves))
        assert f"can work as {role.name}: " in judge_rights(found).message
        for kind, key in [*EXAMPLES.items(), (keys.ALIASES, PRODUCTION)]:
            writes = kind in role.writes and (key != PRODUCTION or role.moves_protected)
            if kind == keys.REGISTRY:
                key = f"{key}.tried"  # noqa: PLW2901 - the registry itself stays
            if writes:
                store.put(key, b"{}", IfAbsent())
            else:
                with pytest.raises(DeniedError):
                    store.put(key, b"{}", IfAbsent())
                owner.put(key, b"{}", IfAbsent())
            assert store.get(key).body == b"{}"
            if kind in role.deletes:
                store.delete(key)
            else:
                with pytest.raises(DeniedError):
                    store.delete(key)
                owner.delete(key)


def is_at_a_loss(answer: object) -> bool:
    """Whether it is moto's answer to the completion of an upload that it does not know, once the right was there."""
    return isinstance(answer, NotKnown) and "(500)" in answer.reason


def test_an_owner_is_told_that_this_is_more_than_jobs_need(users: dict[str, S3Server]) -> None:
    with open_s3(users["owner"], "elsewhere/") as store:
        finding = judge_rights(find_rights(store, keeps_versions=False))
        assert "the rights of an owner" in finding.message
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []


def test_asking_for_rights_leaves_nothing_behind(users: dict[str, S3Server]) -> None:
    with open_s3(users["owner"], "untouched/") as store:
        for kind in keys.KINDS:
            for right in ("list", "read", "write", "delete"):
                with suppress(DeniedError):
                    store.may(right, kind)
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []
