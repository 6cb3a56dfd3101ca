"""The templates as CloudFormation gets them: translated by SAM, then with parameters and conditions filled in."""

import copy
import functools
import os
import re
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = {
    "http-api": ROOT / "template.yaml",
    "rest-api": ROOT / "deploy/rest-api.yaml",
    "monitoring": ROOT / "deploy/monitoring.yaml",
}
APIS = ["http-api", "rest-api"]
SNIPPETS = {path.stem: path for path in sorted((ROOT / "deploy/snippets").glob("*.yaml"))}

APP_INSTANCE = "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21"
ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Xy7PqR2sT"
# Values for parameters without a default.
REQUIRED = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:111122223333:on-call",
    "ApiId": "a1b2c3d4e5",
    "AppInstanceArn": APP_INSTANCE,
    "AppInstanceArns": ",".join(APP_INSTANCE.replace("7f1c2a9e", name) for name in ("blue", "green")),
    "Audience": "4h57kf2example",
    "AuthorizerArn": "arn:aws:lambda:us-east-1:111122223333:function:authorizer",
    "AuthorizerId": "abc123",
    "CallerRoleArn": "arn:aws:iam::111122223333:role/chat-user",
    "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/2f0a8e10-0000-0000-0000-000000000000",
    "DomainName": "chat.example.com",
    "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:chat",
    "FunctionName": "chat",
    "FunctionRoleName": "chat-role",
    "Issuer": ISSUER,
    "RootResourceId": "xyz789",
    "SecurityGroupId": "sg-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1,subnet-0123456789abcdef2",
    "UserPoolArn": "arn:aws:cognito-idp:us-east-1:111122223333:userpool/us-east-1_Xy7PqR2sT",
}
# Every optional part switched on.
EVERYTHING = {
    "AccessLogging": "true",
    "AllowedOrigins": "https://chat.example.com,capacitor://localhost",
    "Api": "a1b2c3d4e5",
    "AppInstanceUserArn": f"{APP_INSTANCE}/user/u-{{sub}}",
    # The Control Tower rules require a year.
    "LogRetentionDays": "365",
    "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/boundary",
    "ReservedConcurrency": "100",
}
PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:111122223333:stack/chat/2f0a8e10-0000-0000-0000-000000000000",
    "AWS::StackName": "chat",
    "AWS::URLSuffix": "amazonaws.com",
}
REMOVED = object()


class _ManagedPolicies:
    @staticmethod
    def load():
        return {}


def read(path):
    """A template as written, with short intrinsics (`!Sub`) in their long form."""
    return yaml_parse(Path(path).read_text())


def parameters(template, given=None):
    """The value of each parameter: given, required or default."""
    values = {}
    for name, parameter in template.get("Parameters", {}).items():
        value = (given or {}).get(name, REQUIRED.get(name, parameter.get("Default")))
        if value is None:
            raise KeyError(f"{name} has no value")
        values[name] = str(value)
    return values


def translate(path, given=None):
    """The output of SAM for a template. Code that SAM would upload already has an address."""
    return copy.deepcopy(_translate(path, tuple(sorted((given or {}).items()))))


@functools.cache
def _translate(path, given):
    os.environ.setdefault("AWS_DEFAULT_REGION", PSEUDO["AWS::Region"])
    template = copy.deepcopy(read(path))
    for resource in template["Resources"].values():
        if isinstance(resource.get("Properties", {}).get("CodeUri"), str):
            resource["Properties"]["CodeUri"] = "s3://artifacts/code"
    return transform(template, parameters(template, dict(given)), _ManagedPolicies())


class Stack:
    """A translated template with every condition and every value known before creation filled in.

    A value that is known only after creation becomes `<Resource>` or `<Resource.Attribute>`. With `keep_references`, it
    stays an intrinsic if it is a whole value, because the linters need that.
    """

    def __init__(self, path, given=None, keep_references=False):
        self.translated = translate(path, given)
        self.keep_references = keep_references
        declared = self.translated.get("Parameters", {})
        self.parameters = {}
        for name, value in parameters(read(path), given).items():
            kind = declared[name]["Type"]
            self.parameters[name] = value.split(",") if "List" in kind else int(value) if kind == "Number" else value
        self.conditions = {}
        self.resources = {
            name: self.resolve({key: value for key, value in resource.items() if key != "Condition"})
            for name, resource in self.translated["Resources"].items()
            if self._holds(resource.get("Condition"))
        }

    def template(self):
        """The whole template, as a linter gets it."""
        resources = {name: {k: v for k, v in r.items() if k != "Metadata"} for name, r in self.resources.items()}
        return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}

    def of_type(self, kind):
        return {name: r["Properties"] for name, r in self.resources.items() if r["Type"] == kind}

    def properties(self, name):
        return self.resources[name]["Properties"]

    def _holds(self, condition):
        if condition is None:
            return True
        if condition not in self.conditions:
            self.conditions[condition] = self.resolve(self.translated["Conditions"][condition])
        return self.conditions[condition]

    def resolve(self, value):
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function == "Ref":
                return self._ref(argument)
            if function == "Fn::If":
                condition, yes, no = argument
                return self.resolve(yes if self._holds(condition) else no)
            if function.startswith("Fn::"):
                return getattr(self, "_" + function[4:].lower())(argument)
        members = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in members.items() if item is not REMOVED}

    def _ref(self, name):
        if name == "AWS::NoValue":
            return REMOVED
        if name in self.parameters:
            return self.parameters[name]
        if name in PSEUDO:
            return PSEUDO[name]
        return self._place({"Ref": name}, name)

    def _getatt(self, argument):
        name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
        return self._place({"Fn::GetAtt": [name, attribute]}, name, attribute)

    def _place(self, intrinsic, name, *attribute):
        if name not in self.translated["Resources"]:
            raise KeyError(f"{name} does not exist")
        return intrinsic if self.keep_references else f"<{'.'.join([name, *attribute])}>"

    @staticmethod
    def _text(value):
        if isinstance(value, dict):
            [(_, place)] = value.items()
            return f"<{'.'.join(place) if isinstance(place, list) else place}>"
        return str(value)

    def _sub(self, argument):
        text, values = (argument, {}) if isinstance(argument, str) else argument

        def fill(match):
            name = match.group(1)
            if name in values:
                return self._text(self.resolve(values[name]))
            return self._text(self._getatt(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^!}][^}]*)\}", fill, text)

    def _join(self, argument):
        separator, items = argument
        return separator.join(map(self._text, self.resolve(items)))

    def _split(self, argument):
        separator, text = argument
        return self.resolve(text).split(separator)

    def _equals(self, argument):
        left, right = map(self.resolve, argument)
        return str(left) == str(right)

    def _not(self, argument):
        return not self.resolve(argument[0])
