"""The rights of deploy/deployer-policy.json, compared with CloudFormation's own schema of each resource."""

import fnmatch
import json

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from translate import EVERYTHING, PSEUDO, ROOT, TEMPLATES, Stack

POLICY = json.loads((ROOT / "deploy/deployer-policy.json").read_text())
ALLOWED = {action for statement in POLICY["Statement"] for action in statement["Action"]}
# Actions that a schema lists for features which no template here uses.
NOT_USED = [
    "kms:*", "elasticfilesystem:*", "s3files:*", "ec2:*", "firehose:*", "s3:REST.PUT.OBJECT", "s3:getObject",
    "lambda:*CodeSigning*", "lambda:*LayerVersion", "lambda:*RecursionConfig", "lambda:AssociateRuntimeAlias",
    "lambda:*RuntimeManagementConfig", "lambda:*ProvisionedConcurrencyConfig", "lambda:*ScalingConfig",
    "lambda:PassCapacityProvider", "lambda:PublishVersion",
    "logs:*DataProtectionPolicy", "logs:*IndexPolic*", "logs:*KmsKey", "logs:PutLogGroupDeletionProtection",
    "logs:PutBearerTokenAuthentication",
]  # fmt: skip
# Actions that SAM, its bucket (`--resolve-s3`) and the runbook also need.
DEPLOYING = ["cloudformation:*", "s3:*", "logs:*LogDeliver*", "lambda:GetFunctionConfiguration"]


def needed():
    kinds = set()
    for path in TEMPLATES.values():
        for parameters in ({}, EVERYTHING):
            types = {resource["Type"] for resource in Stack(path, parameters).resources.values()}
            kinds |= {(kind, operation) for kind in types for operation in ("create", "read", "update", "delete")}
    actions = set()
    for kind, operation in kinds:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(PSEUDO["AWS::Region"], kind).schema
        actions |= set(schema["handlers"].get(operation, {}).get("permissions", []))
    return actions


def without(actions, patterns):
    return {action for action in actions if not any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)}


def test_the_rights_suffice_to_create_update_and_delete_each_resource():
    assert without(needed() - ALLOWED, NOT_USED) == set()


def test_each_right_is_needed():
    assert without(ALLOWED - needed(), DEPLOYING) == set()


def test_the_policy_fits_into_a_managed_policy_and_bounds_iam():
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 6144
    for statement in POLICY["Statement"]:
        if any(action.startswith("iam:") for action in statement["Action"]):
            assert statement["Resource"] != "*" and not any("*" in action for action in statement["Action"])
