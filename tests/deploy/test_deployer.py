"""The IAM actions that a deployment needs, compared with CloudFormation's own schema of each resource."""

import fnmatch
import json

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from translate import EVERYTHING, PSEUDO, ROOT, TEMPLATES, Stack

POLICIES = {
    "http-api": ["deployer-policy.json"],
    "rest-api": ["deployer-policy.json"],
    "managed-instances": ["deployer-policy.json", "deployer-policy-network.json"],
}

# Actions that a schema lists for features which no template here uses.
NOT_USED = [
    "kms:*",  # no customer managed key
    "elasticfilesystem:*", "s3files:*", "ec2:DescribeNetworkInterfaces",  # no VPC function
    "firehose:*", "s3:REST.PUT.OBJECT", "s3:getObject",  # logs go to CloudWatch only
    "lambda:*CodeSigning*", "lambda:GetLayerVersion", "lambda:*RecursionConfig", "lambda:AssociateRuntimeAlias",
    "lambda:*RuntimeManagementConfig", "lambda:*ProvisionedConcurrencyConfig",
    "codedeploy:RegisterOnPremisesInstance", "codedeploy:*ApplicationRevision", "codedeploy:ListTagsForResource",
    "events:ListRules",
    "logs:*DataProtectionPolicy", "logs:*IndexPolic*", "logs:*KmsKey", "logs:PutLogGroupDeletionProtection",
    "logs:PutBearerTokenAuthentication", "logs:CreateLogDelivery",
    "ec2:AcceptAddressTransfer", "ec2:*PrivateNatGatewayAddress", "ec2:*NatGatewayAddress", "ec2:*SubnetCidrBlock",
    "ec2:*VpnGateway*", "ec2:*VpcEncryptionControl*", "ec2:ModifyVpcTenancy", "ec2:AssociateAddress",
]
# Actions that SAM and CloudFormation also need.
DEPLOYING = ["cloudformation:*", "s3:*", "iam:CreateServiceLinkedRole", "logs:*LogDeliver*", "ec2:CreateTags", "ec2:DeleteTags"]


def needed(name):
    actions = set()
    for parameters in ({}, EVERYTHING):
        for resource in Stack(TEMPLATES[name], parameters).resources.values():
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(PSEUDO["AWS::Region"], resource["Type"]).schema
            for operation in ("create", "read", "update", "delete"):
                actions |= set(schema["handlers"].get(operation, {}).get("permissions", []))
    return actions


def allowed(name):
    statements = sum((json.loads((ROOT / "deploy" / file).read_text())["Statement"] for file in POLICIES[name]), [])
    return {action for statement in statements for action in statement["Action"]}


def is_in(action, patterns):
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_listed_rights_suffice_to_create_update_and_delete_each_resource(name):
    own = allowed(name)
    # Only Managed Instances have a network.
    not_used = NOT_USED if name == "managed-instances" else [*NOT_USED, "ec2:*"]
    missing = {a for a in needed(name) if a not in own and not is_in(a, not_used)}
    assert missing == set()


def test_each_listed_right_is_needed():
    everything = set().union(*map(needed, TEMPLATES))
    unneeded = {
        action for action in allowed("managed-instances") if action not in everything and not is_in(action, DEPLOYING)
    }
    assert unneeded == set()


@pytest.mark.parametrize("file", POLICIES["managed-instances"])
def test_a_policy_fits_into_a_managed_policy_and_allows_no_wildcard_action_of_iam(file):
    policy = json.loads((ROOT / "deploy" / file).read_text())
    assert len(json.dumps(policy, separators=(",", ":"))) <= 6144
    for statement in policy["Statement"]:
        iam = [action for action in statement["Action"] if action.startswith("iam:")]
        assert not any("*" in action for action in iam)
        if iam:
            assert statement["Resource"] != "*"
