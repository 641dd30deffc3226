"""Make the documents that give each role its rights, from the one table in src/bucketry/schema/roles.py.

    python infra/roles.py                    write them anew below infra/ (the tests hold that they are up to date)
    python infra/roles.py fill FILE NAME=VALUE...   print one with its placeholders filled in

A placeholder is ${Bucket}, ${Prefix} (empty, or ending in a slash), ${ProtectedAlias} (production, or a pattern) and so
on. Terraform and CloudFormation fill in the same ones by themselves.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from bucketry.schema import keys
from bucketry.schema.roles import CREATED_ONCE, PROTECTED_ALIAS, RECORDS, ROLES, Role

Json = dict[str, Any]
FOLDER = Path(__file__).parent
BUCKET = "arn:aws:s3:::${Bucket}"
REGISTRY = f"{BUCKET}/${{Prefix}}"
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")

UPLOADS_DAYS = 7
"""After so long an upload that was begun and not completed is given up: a resumed publish comes within days."""
FREED_DAYS = 7
"""How long bytes that were freed can be brought back from the bucket's older versions."""
REGISTER_DAYS = 90
"""How long an older state of a register stays: what `fsck --repair` mends a lost one from."""
FREED = (keys.BLOBS, keys.SERVE, keys.WORK, keys.PROBE, keys.DEPLOYMENTS)
REPLACED = (keys.HEADS, keys.ALIASES, keys.REGISTRY)
LOCKED = (keys.HISTORY, keys.REVIEWS)
DESCRIBING = (
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPolicy",
)


def role_policy(role: Role) -> Json:
    """Return what one role may do, in the words of AWS, which MinIO and SeaweedFS know as well."""
    versions = ["s3:ListBucketVersions"] if role.describes else []
    older = ["s3:GetObjectVersion"] if role.describes else []
    statements = [
        _statement("List", ["s3:ListBucket", *versions], [BUCKET], {"StringLike": {"s3:prefix": ["${Prefix}*"]}}),
        _statement("Read", ["s3:GetObject", *older], [f"{REGISTRY}*"]),
        _statement(
            "Write", ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], below(role.writes)
        ),
    ]
    if role.describes or keys.BLOBS in role.writes or keys.SERVE in role.writes:
        statements.append(_statement("Uploads", ["s3:ListBucketMultipartUploads"], [BUCKET]))
    if role.deletes:
        deleting = ["s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
        statements.append(_statement("Delete", deleting, below(role.deletes)))
    if role.describes:
        statements.append(_statement("Describe", list(DESCRIBING), [BUCKET]))
    if keys.ALIASES in role.writes and not role.moves_protected:
        statements.append(_statement("KeepProtectedAlias", ["s3:PutObject"], [_protected()], effect="Deny"))
    return {"Version": "2012-10-17", "Statement": statements}


def bucket_policy() -> Json:
    """Return what nobody may do in the bucket, whatever else he may: only AWS knows the conditions in it."""
    unconditional: Json = {"s3:if-match": "true", "s3:if-none-match": "true"}
    creates = {"Bool": {"s3:ObjectCreationOperation": "true"}}
    # A part of an upload is no creation. Bytes may be copied within the store, for which S3 long knew no condition.
    no_copy: Json = {"s3:x-amz-copy-source": "true"}
    create_only: Json = {"s3:if-none-match": "true"}
    keepers = [f"arn:aws:iam::${{Account}}:role/${{RolePrefix}}{role.name}" for role in ROLES if role.moves_protected]
    denied = [
        _statement("DenyWithoutTls", ["s3:*"], [BUCKET, f"{BUCKET}/*"], {"Bool": {"aws:SecureTransport": "false"}}),
        _statement(
            "DenyUnconditionalRegisters",
            ["s3:PutObject"],
            below((*REPLACED, keys.REPLICA, keys.PROBE)),
            {"Null": unconditional, **creates},
        ),
        _statement("DenyReplacingDocuments", ["s3:PutObject"], below(CREATED_ONCE), {"Null": create_only, **creates}),
        _statement(
            "DenyReplacingBlobs", ["s3:PutObject"], below((keys.BLOBS,)), {"Null": create_only | no_copy, **creates}
        ),
        _statement(
            "DenyUnconditionalCopies",
            ["s3:PutObject"],
            below((keys.SERVE,)),
            {"Null": unconditional | no_copy, **creates},
        ),
        _statement(
            "KeepProtectedAlias", ["s3:PutObject"], [_protected()], {"ArnNotLike": {"aws:PrincipalArn": keepers}}
        ),
        _statement("DenyDeletingRecords", ["s3:DeleteObject", "s3:DeleteObjectVersion"], below(RECORDS)),
    ]
    forall = [{"Sid": each["Sid"], "Effect": "Deny", "Principal": "*", **_without_head(each)} for each in denied]
    return {"Version": "2012-10-17", "Statement": forall}


def key_policy() -> Json:
    """Return what every role needs besides where the bucket is encrypted by a key of KMS."""
    return {
        "Version": "2012-10-17",
        "Statement": [_statement("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], ["${KmsKeyArn}"])],
    }


def lifecycle() -> Json:
    """Return the rules that help: no rule expires what is current, since only the registry knows what is needed."""
    uploads = {
        "ID": "abandoned-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": "${Prefix}"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOADS_DAYS},
    }
    older = [
        {
            "ID": f"older-{prefix.strip('/').removesuffix('.json')}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"${{Prefix}}{prefix}"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        }
        for days, prefixes in ((FREED_DAYS, FREED), (REGISTER_DAYS, REPLACED))
        for prefix in prefixes
    ]
    return {"Rules": [uploads, *older]}


def seaweedfs_identities() -> Json:
    """Return a configuration for `weed s3 -config`: an owner, and an identity for each role with its policy."""
    owner = {"name": "owner", "credentials": [_credentials("Owner")], "actions": ["Admin"]}
    identities = [
        {
            "name": f"bucketry-{role.name}",
            "credentials": [_credentials(_camel(role.name))],
            "policyNames": [f"bucketry-{role.name}"],
        }
        for role in ROLES
        if role.usual
    ]
    policies = [
        {"name": f"bucketry-{role.name}", "content": json.dumps(role_policy(role))} for role in ROLES if role.usual
    ]
    return {"identities": [owner, *identities], "policies": policies}


def below(prefixes: tuple[str, ...]) -> list[str]:
    """Return the resources below prefixes; one that is a whole key is that key alone."""
    return [f"{REGISTRY}{prefix}{'*' if prefix.endswith('/') else ''}" for prefix in prefixes]


def _statement(
    sid: str, actions: list[str], resources: list[str], condition: Json | None = None, *, effect: str = "Allow"
) -> Json:
    statement: Json = {"Sid": sid, "Effect": effect, "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def _without_head(statement: Json) -> Json:
    return {name: value for name, value in statement.items() if name not in {"Sid", "Effect"}}


def _protected() -> str:
    return f"{REGISTRY}{keys.ALIASES}*/${{ProtectedAlias}}.json"


def _credentials(name: str) -> Json:
    return {"accessKey": f"${{{name}AccessKey}}", "secretKey": f"${{{name}SecretKey}}"}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def cloudformation() -> Json:
    """Return the template: the bucket, its policy, a role for each row of the table, and a locked copy if asked for."""
    roles = {_camel(role.name): _role_resource(role) for role in ROLES}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A Bucketry registry: its bucket, and a role for each part in it (made by infra/roles.py)",
        "Parameters": _parameters(),
        "Conditions": _conditions(),
        "Resources": {
            "Registry": _registry_bucket(),
            "RegistryPolicy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "Registry"}, "PolicyDocument": substituted(bucket_policy())},
            },
            **_locked_copy(),
            **roles,
        },
        "Outputs": {
            "Url": {
                "Description": "What BUCKETRY_REGISTRY is set to",
                "Value": {"Fn::Sub": "s3://${Bucket}/${Prefix}"},
            },
            **{
                f"{_camel(role.name)}Arn": {"Value": {"Fn::GetAtt": [_camel(role.name), "Arn"]}}
                for role in ROLES
                if role.usual
            },
        },
    }


def _parameters() -> Json:
    def text(description: str, default: str | None = None, **more: str) -> Json:
        return {
            "Type": "String",
            "Description": description,
            **({} if default is None else {"Default": default}),
            **more,
        }

    yes_or_no = {"AllowedValues": ["true", "false"]}
    return {
        "Bucket": text("The bucket, which is made"),
        "Prefix": text(
            "Where in the bucket the registry is: empty, or ending in a slash", "", AllowedPattern="^$|^.+/$"
        ),
        "ProtectedAlias": text("The alias that is kept for promoters; a pattern keeps several", PROTECTED_ALIAS),
        "RolePrefix": text("What the names of the roles begin with", "bucketry-"),
        "KmsKeyArn": text("A key of KMS that encrypts the bucket; empty: keys of S3", ""),
        "LockDays": {
            "Type": "Number",
            "Description": "For how many days a copy of history and reviews cannot be changed by anybody; 0: no copy",
            "Default": 0,
            "MinValue": 0,
        },
        "SignedPublishes": text("Whether there is a role that signs what it publishes", "false", **yes_or_no),
        "Replica": text("Whether this is the bucket of a replica, which a mirror writes", "false", **yes_or_no),
        **{
            f"{_camel(role.name)}Principals": {
                "Type": "CommaDelimitedList",
                "Description": f"ARNs of who may take the role; empty: whoever this account lets. It {role.task}",
                "Default": "",
            }
            for role in ROLES
        },
    }


def _conditions() -> Json:
    def is_not(name: str, value: str | int) -> Json:
        return {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, value]}]}

    named = {
        f"Has{_camel(role.name)}Principals": {
            "Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": f"{_camel(role.name)}Principals"}]}, ""]}]
        }
        for role in ROLES
    }
    return {
        "HasKey": is_not("KmsKeyArn", ""),
        "IsLocked": is_not("LockDays", 0),
        "HasSignedPublishes": is_not("SignedPublishes", "false"),
        "IsReplica": is_not("Replica", "false"),
        **named,
    }


def _registry_bucket() -> Json:
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": {"Ref": "Bucket"},
            **_closed(),
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {"Rules": [_lifecycle_rule(rule) for rule in lifecycle()["Rules"]]},
            "ReplicationConfiguration": _if(
                "IsLocked",
                {
                    "Role": {"Fn::GetAtt": ["Replication", "Arn"]},
                    "Rules": [_replication_rule(number, prefix) for number, prefix in enumerate(LOCKED, 1)],
                },
            ),
        },
    }


def _closed() -> Json:
    encryption = _if(
        "HasKey",
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "KmsKeyArn"}},
        {"SSEAlgorithm": "AES256"},
    )
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": encryption}
            ]
        },
    }


def _lifecycle_rule(rule: Json) -> Json:
    """Return a rule in the words of CloudFormation, which are not quite those of S3."""
    ours = {"Id": rule["ID"], "Status": rule["Status"], "Prefix": substituted(rule["Filter"]["Prefix"])}
    return ours | {name: value for name, value in rule.items() if name not in {"ID", "Status", "Filter"}}


def _replication_rule(number: int, prefix: str) -> Json:
    return {
        "Id": f"locked-{prefix.strip('/')}",
        "Priority": number,
        "Status": "Enabled",
        "Filter": {"Prefix": substituted(f"${{Prefix}}{prefix}")},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "SourceSelectionCriteria": _if("HasKey", {"SseKmsEncryptedObjects": {"Status": "Enabled"}}),
        "Destination": {
            "Bucket": {"Fn::GetAtt": ["Locked", "Arn"]},
            "EncryptionConfiguration": _if("HasKey", {"ReplicaKmsKeyID": {"Ref": "KmsKeyArn"}}),
        },
    }


def _locked_copy() -> Json:
    """Return a second bucket that keeps what it gets: Object Lock is a whole bucket's, and gc must be able to free."""
    copied = [f"{REGISTRY}{prefix}*" for prefix in LOCKED]
    reading = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    locked = "arn:aws:s3:::${Bucket}-locked"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            _statement("Look", ["s3:GetReplicationConfiguration", "s3:ListBucket"], [BUCKET]),
            _statement("Read", reading, copied),
            _statement("Copy", ["s3:ReplicateObject", "s3:ReplicateTags"], [f"{locked}/*"]),
        ],
    }
    return {
        "Locked": {
            "Type": "AWS::S3::Bucket",
            "Condition": "IsLocked",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketName": {"Fn::Sub": "${Bucket}-locked"},
                **_closed(),
                "VersioningConfiguration": {"Status": "Enabled"},
                "ObjectLockEnabled": True,
                "ObjectLockConfiguration": {
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": {"Ref": "LockDays"}}},
                },
            },
        },
        "Replication": {
            "Type": "AWS::IAM::Role",
            "Condition": "IsLocked",
            "Properties": {
                "AssumeRolePolicyDocument": _assumed_by({"Service": "s3.amazonaws.com"}),
                "Policies": [
                    {"PolicyName": "replication", "PolicyDocument": substituted(policy)},
                    _if("HasKey", {"PolicyName": "key", "PolicyDocument": substituted(_replication_key_policy())}),
                ],
            },
        },
    }


def _replication_key_policy() -> Json:
    return {
        "Version": "2012-10-17",
        "Statement": [_statement("UseKey", ["kms:Decrypt", "kms:Encrypt"], ["${KmsKeyArn}"])],
    }


def _role_resource(role: Role) -> Json:
    name = _camel(role.name)
    account = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}
    condition = {"signing-publisher": "HasSignedPublishes", "mirror": "IsReplica"}.get(role.name)
    return {
        "Type": "AWS::IAM::Role",
        **({"Condition": condition} if condition else {}),
        "Properties": {
            "RoleName": {"Fn::Sub": f"${{RolePrefix}}{role.name}"},
            "Description": f"Bucketry: {role.task}",
            "AssumeRolePolicyDocument": _assumed_by(
                {"AWS": _if(f"Has{name}Principals", {"Ref": f"{name}Principals"}, account)}
            ),
            "Policies": [
                {"PolicyName": "registry", "PolicyDocument": substituted(role_policy(role))},
                _if("HasKey", {"PolicyName": "key", "PolicyDocument": substituted(key_policy())}),
            ],
        },
    }


def _assumed_by(principal: Json) -> Json:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }


def _if(condition: str, then: object, otherwise: object = None) -> Json:
    return {"Fn::If": [condition, then, {"Ref": "AWS::NoValue"} if otherwise is None else otherwise]}


def substituted(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a document in which CloudFormation fills in the placeholders."""
    if isinstance(document, dict):
        return {name: substituted(value) for name, value in document.items()}
    if isinstance(document, list):
        return [substituted(value) for value in document]
    if isinstance(document, str) and PLACEHOLDER.search(document):
        return {"Fn::Sub": document.replace("${Account}", "${AWS::AccountId}")}
    return document


class _Plain(yaml.SafeDumper):
    """Without anchors, which CloudFormation takes and people do not."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - yaml's own
        return True


def documents() -> dict[str, str]:
    """Return the text of every file, by its path below infra/."""
    as_json = {
        **{f"policies/{role.name}.json": role_policy(role) for role in ROLES},
        "policies/key.json": key_policy(),
        "aws/bucket-policy.json": bucket_policy(),
        "aws/lifecycle.json": lifecycle(),
        "seaweedfs/identities.json": seaweedfs_identities(),
    }
    template = yaml.dump(cloudformation(), Dumper=_Plain, sort_keys=False, width=120)
    return {
        **{path: f"{json.dumps(document, indent=2)}\n" for path, document in as_json.items()},
        "aws/cloudformation.yaml": template,
    }


def fill(text: str, values: dict[str, str]) -> str:
    """Return a text with its placeholders filled in; exit naming those for which there is no value."""
    missing = sorted({name for name in PLACEHOLDER.findall(text) if name not in values})
    if missing:
        sys.exit(f"no value for {', '.join(missing)}: give NAME=VALUE")
    return PLACEHOLDER.sub(lambda found: values[found[1]], text)


def main(arguments: list[str]) -> None:
    """Write all documents, or print one with its placeholders filled in."""
    match arguments:
        case ["fill", path, *pairs]:
            defaults = {"Prefix": "", "ProtectedAlias": PROTECTED_ALIAS, "RolePrefix": "bucketry-"}
            values = dict(pair.split("=", 1) for pair in pairs)
            print(fill(Path(path).read_text("utf-8"), defaults | values), end="")
        case []:
            for path, text in documents().items():
                (FOLDER / path).write_text(text, "utf-8")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
