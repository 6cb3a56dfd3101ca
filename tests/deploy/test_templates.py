"""The translated templates, with conditions and parameters filled in as CloudFormation does it."""

import io
import json
import re
import sys
import tomllib
import types

import pytest

from translate import APP_INSTANCE, EVERYTHING, PSEUDO, ROOT, SNIPPETS, TEMPLATES, Stack, read

ON_DEMAND = ["http-api", "rest-api"]
NUMBERS = [
    "ChimeCallsPerSecond",
    "ConcurrencyPerEnvironment",
    "LatencyAlarmMilliseconds",
    "MaxEnvironments",
    "MaxVCpus",
    "MaxWaitSeconds",
    "MinEnvironments",
    "ReservedConcurrency",
    "ThrottleBurst",
    "ThrottleRate",
]
ROLES_OF = {
    "http-api": {"FunctionRole", "SmokeTestRole", "DeploymentRole"},
    "rest-api": {"FunctionRole", "SmokeTestRole", "DeploymentRole"},
    "managed-instances": {"FunctionRole", "OperatorRole"},
}


@pytest.fixture(scope="session")
def default():
    return {name: Stack(path) for name, path in TEMPLATES.items()}


@pytest.fixture(scope="session")
def everything():
    return {name: Stack(path, EVERYTHING) for name, path in TEMPLATES.items()}


def throttle(stack):
    for stage in stack.of_type("AWS::ApiGatewayV2::Stage").values():
        settings = stage["DefaultRouteSettings"]
    for stage in stack.of_type("AWS::ApiGateway::Stage").values():
        [settings] = stage["MethodSettings"]
    return int(settings["ThrottlingRateLimit"]), int(settings["ThrottlingBurstLimit"])


def version_of(stack):
    [(name, version)] = stack.of_type("AWS::Lambda::Version").items()
    return name, version


def policies(role):
    return {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in role["Policies"]}


def fully_matches(pattern, text):
    """As CloudFormation: the whole value, and each item of a list."""
    return re.fullmatch(f"(?:{pattern})", text) is not None


# Capacity


@pytest.mark.parametrize("name", ON_DEMAND)
def test_with_the_defaults_callers_hold_at_most_half_of_1000_environments(default, name):
    rate, burst = throttle(default[name])
    variables = default[name].properties("MessageStatusFunction")["Environment"]["Variables"]
    # A wait ends with one more call, which times out after 2 s.
    longest = int(variables["MAX_WAIT_SECONDS"]) + 2
    assert rate * longest + burst <= 500


@pytest.mark.parametrize("name", ON_DEMAND)
def test_an_account_with_a_quota_of_10_can_deploy_the_defaults(default, name):
    # Lambda refuses a reserve that leaves less than 100 (10 in small accounts) to all other functions.
    assert "ReservedConcurrentExecutions" not in default[name].properties("MessageStatusFunction")
    [alias] = default[name].of_type("AWS::Lambda::Alias").values()
    assert "ProvisionedConcurrencyConfig" not in alias


@pytest.mark.parametrize("name", ON_DEMAND)
def test_a_reserve_bounds_the_function(everything, name):
    assert everything[name].properties("MessageStatusFunction")["ReservedConcurrentExecutions"] == "100"


def test_managed_instances_are_bounded_in_environments_and_in_vcpus(default):
    stack = default["managed-instances"]
    config = stack.properties("MessageStatusFunction")
    managed = config["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"]
    assert managed["PerExecutionEnvironmentMaxConcurrency"] == "200"
    _, version = version_of(stack)
    most = int(version["FunctionScalingConfig"]["MaxExecutionEnvironments"])
    provider = stack.properties("CapacityProvider")
    # Two versions run while one replaces the other.
    assert int(provider["CapacityProviderScalingConfig"]["MaxVCpuCount"]) >= 2 * most
    assert len(provider["VpcConfig"]["SubnetIds"]) == 3


# Versions and rollouts


@pytest.mark.parametrize("name", ON_DEMAND)
def test_the_previous_version_survives_every_deployment(default, name):
    version, _ = version_of(default[name])
    # UpdateReplacePolicy for a new description (a parameter), DeletionPolicy for a new logical id (code).
    assert default[name].resources[version]["UpdateReplacePolicy"] == "Retain"
    assert default[name].resources[version]["DeletionPolicy"] == "Retain"


def test_managed_instances_delete_the_previous_version_because_it_would_keep_its_environments(default):
    version, _ = version_of(default["managed-instances"])
    assert default["managed-instances"].resources[version].get("UpdateReplacePolicy") is None
    assert default["managed-instances"].resources[version]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_each_parameter_that_changes_the_function_makes_a_new_version(default, name):
    changes = {**EVERYTHING, "MaxWaitSeconds": "5", "Tracing": "PassThrough", "UserIdClaim": "custom:chatUserId"}
    changes |= {"AppInstanceArn": APP_INSTANCE[:-1] + "9", "ConcurrencyPerEnvironment": "64"}
    changes |= {"MinEnvironments": "4", "MaxEnvironments": "9"}
    reserve_is_not_part_of_a_version = {"ReservedConcurrency"}
    _, before = version_of(default[name])
    for parameter, value in changes.items():
        if parameter not in default[name].parameters or parameter in reserve_is_not_part_of_a_version:
            continue
        after = Stack(TEMPLATES[name], {parameter: value})
        function_changes = after.properties("MessageStatusFunction") != default[name].properties("MessageStatusFunction")
        scaling_changes = version_of(after)[1].get("FunctionScalingConfig") != before.get("FunctionScalingConfig")
        assert (version_of(after)[1]["Description"] != before["Description"]) == (function_changes or scaling_changes), parameter


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_description_of_a_version_has_at_most_256_characters(name):
    longest = {
        "AppInstanceArn": "arn:aws:chime:us-east-1:111122223333:app-instance/" + "a" * 64,
        "UserIdClaim": "c" * 64,
        "SessionRoleArn": "arn:aws:iam::111122223333:role/".ljust(110, "r"),
        "MaxWaitSeconds": "25",
        "ChimeCallsPerSecond": "50",
        "ConcurrencyPerEnvironment": "1600",
        "MinEnvironments": "1000",
        "MaxEnvironments": "9999",
    }
    if name == "rest-api":
        longest |= {"SessionRoleArn": "", "AllowedOrigins": ",".join(["https://" + "o" * 24 + ".example"] * 3)}
    for pattern in ("", "p" * 128):
        _, version = version_of(Stack(TEMPLATES[name], {**longest, "AppInstanceUserArn": pattern}))
        assert len(version["Description"]) <= 256


@pytest.mark.parametrize("name", ON_DEMAND)
def test_a_rollout_tests_the_new_version_and_watches_alarms_of_the_function_only(default, name):
    stack = default[name]
    alias = stack.resources["MessageStatusFunctionAliaslive"]
    hook = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]
    assert hook == "<SmokeTestFunction>"
    [group] = stack.of_type("AWS::CodeDeploy::DeploymentGroup").values()
    watched = {alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert watched == {"<MisconfiguredAlarm>", "<InternalErrorAlarm>", "<InvocationErrorAlarm>"}
    assert group["DeploymentConfigName"].endswith("LambdaCanary10Percent5Minutes")
    version, _ = version_of(stack)
    assert stack.properties("SmokeTestFunction")["Environment"]["Variables"]["NEW_VERSION"] == f"<{version}>"


@pytest.mark.parametrize("name", ON_DEMAND)
def test_without_gradual_deployment_nothing_of_codedeploy_is_left(name):
    stack = Stack(TEMPLATES[name], {"GradualDeployment": "false"})
    assert "codedeploy" not in json.dumps(stack.resources).lower()
    assert "UpdatePolicy" not in stack.resources["MessageStatusFunctionAliaslive"]
    assert not [r for r in stack.resources if r.startswith(("SmokeTest", "DeploymentRole"))]


def smoke_test(stack, reply):
    """Runs the hook's code against fakes; returns the payload that it sent and the status that it reported."""
    function = stack.properties("SmokeTestFunction")
    sent, reported = {}, {}

    def invoke(**arguments):
        sent.update(arguments)
        if isinstance(reply, Exception):
            raise reply
        return reply

    clients = {
        "lambda": types.SimpleNamespace(invoke=invoke),
        "codedeploy": types.SimpleNamespace(put_lifecycle_event_hook_execution_status=lambda **a: reported.update(a)),
    }
    module = {}
    boto3 = types.SimpleNamespace(client=clients.__getitem__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "boto3", boto3)
        for variable, value in function["Environment"]["Variables"].items():
            patch.setenv(variable, value)
        exec(function["Code"]["ZipFile"], module)  # noqa: S102
        event = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}
        try:
            module["handler"](event, None)
        except Exception:
            assert reported["status"] == "Failed"
    assert reported["deploymentId"] == "d-1" and reported["lifecycleEventHookExecutionId"] == "hook-1"
    return sent, reported["status"]


def response(status, **more):
    return {"Payload": io.BytesIO(json.dumps({"statusCode": status}).encode()), **more}


@pytest.mark.parametrize("name", ON_DEMAND)
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        pytest.param(response(401), "Succeeded", id="the version responds with 401"),
        pytest.param(response(500), "Failed", id="the version responds with 500"),
        pytest.param(response(200), "Failed", id="the version accepts a request without an identity"),
        pytest.param(
            {"Payload": io.BytesIO(b'{"errorType":"Runtime.ExitError"}'), "FunctionError": "Unhandled"},
            "Failed",
            id="the version does not start",
        ),
        pytest.param(TimeoutError("invoke"), "Failed", id="the invocation fails"),
    ],
)
def test_the_smoke_test_reports(default, name, reply, status):
    if isinstance(reply, dict):
        reply["Payload"].seek(0)
    sent, reported = smoke_test(default[name], reply)
    assert reported == status
    assert sent["FunctionName"] == f"<{version_of(default[name])[0]}>"


@pytest.mark.parametrize("name", ON_DEMAND)
def test_the_smoke_test_fits_into_a_template(default, name):
    assert len(default[name].properties("SmokeTestFunction")["Code"]["ZipFile"]) <= 4096


# Parameters


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_whole_numbers_are_whole(name):
    declared = read(TEMPLATES[name])["Parameters"]
    numbers = [parameter for parameter in NUMBERS if parameter in declared]
    for parameter in numbers:
        pattern = declared[parameter]["AllowedPattern"]
        default = str(declared[parameter]["Default"])
        assert fully_matches(pattern, default), parameter
        for wrong in ("1.5", "2.0", "-1", "1e3", "0x10", " 1", "1 ", "+1", "ten", "100000"):
            assert not fully_matches(pattern, wrong), (parameter, wrong)
    others = [p for p, d in declared.items() if d["Type"] == "Number" and "AllowedValues" not in d]
    assert others == [], "a parameter of type Number accepts fractions"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_architecture_is_not_a_parameter(name):
    template = read(TEMPLATES[name])
    assert "Architecture" not in template["Parameters"]
    assert template["Resources"]["MessageStatusFunction"]["Properties"]["Architectures"] == ["arm64"]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
@pytest.mark.parametrize(
    ("region", "allowed"),
    [("us-east-1", True), ("eu-central-1", True), ("us-gov-west-1", False), ("us-gov-east-1", False),
     ("cn-north-1", False), ("cn-northwest-1", False)],
)
def test_govcloud_and_china_are_refused(default, monkeypatch, name, region, allowed):
    monkeypatch.setitem(PSEUDO, "AWS::Region", region)
    [rule] = default[name].translated["Rules"].values()
    [assertion] = rule["Assertions"]
    assert default[name].resolve(assertion["Assert"]) is allowed


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_optional_variables_are_set_only_with_a_value(default, everything, name):
    def variables(stack):
        return stack.properties("MessageStatusFunction")["Environment"]["Variables"]

    assert variables(default[name]) == {
        "APP_INSTANCE_USER_ARN": f"{APP_INSTANCE}/user/{{sub}}",
        "MAX_WAIT_SECONDS": "20",
    }
    full = variables(everything[name])
    assert full["APP_INSTANCE_USER_ARN"] == EVERYTHING["AppInstanceUserArn"]
    assert full["SESSION_ROLE_ARN"] == EVERYTHING["SessionRoleArn"]
    assert full["CHIME_CALLS_PER_SECOND"] == EVERYTHING["ChimeCallsPerSecond"]
    if name == "rest-api":
        assert full["ALLOWED_ORIGINS"] == EVERYTHING["AllowedOrigins"]


# Roles


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_role_follows_the_app_instances(default, everything, name):
    [statement] = policies(default[name].properties("FunctionRole"))["GetMessageStatus"]
    assert statement["Resource"] == [f"{APP_INSTANCE}/user/*", f"{APP_INSTANCE}/channel/*"]
    assert "GetMessageStatusOfFurtherAppInstances" not in policies(default[name].properties("FunctionRole"))
    further = policies(everything[name].properties("FunctionRole"))["GetMessageStatusOfFurtherAppInstances"]
    arns = EVERYTHING["FurtherAppInstanceArns"].split(",")
    assert [s["Resource"] for s in further] == [[f"{a}/user/*" for a in arns], [f"{a}/channel/*" for a in arns]]
    assert {s["Action"] for s in further} == {"chime:GetChannelMessageStatus"}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_role_has_the_permissions_boundary(default, everything, name):
    roles = everything[name].of_type("AWS::IAM::Role")
    assert set(roles) == ROLES_OF[name]
    for role in roles.values():
        assert role["PermissionsBoundary"] == EVERYTHING["PermissionsBoundaryArn"]
    for role in default[name].of_type("AWS::IAM::Role").values():
        assert "PermissionsBoundary" not in role


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_only_actions_without_resources_are_allowed_on_everything(everything, name):
    anywhere = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "cloudwatch:DescribeAlarms"}
    for role in everything[name].of_type("AWS::IAM::Role").values():
        for statement in sum(policies(role).values(), []) if "Policies" in role else []:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Resource"] == "*":
                assert set(actions) <= anywhere
            assert not any("*" in action for action in actions)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_apis_may_invoke_the_alias_only_and_only_from_their_own_routes(everything, name):
    permissions = everything[name].of_type("AWS::Lambda::Permission").values()
    assert len(permissions) == (4 if name == "rest-api" else 3)
    for permission in permissions:
        assert permission["FunctionName"] == "<MessageStatusFunctionAliaslive>"
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert re.search(r":<(HttpApi|RestApi)>/\*/(GET|HEAD|POST|OPTIONS)/message-status$", permission["SourceArn"])


# The REST API's own parts


def methods(stack):
    [api] = stack.of_type("AWS::ApiGateway::RestApi").values()
    return set(api["Body"]["paths"]["/message-status"])


def test_options_exists_only_where_an_origin_is_allowed(default, everything):
    assert methods(default["rest-api"]) == {"get", "head", "post"}
    assert "PreflightPermission" not in default["rest-api"].resources
    assert methods(everything["rest-api"]) == {"get", "head", "post", "options"}
    assert "PreflightPermission" in everything["rest-api"].resources


def test_every_method_of_the_rest_api_invokes_the_alias(everything):
    [api] = everything["rest-api"].of_type("AWS::ApiGateway::RestApi").values()
    for operation in api["Body"]["paths"]["/message-status"].values():
        uri = operation["x-amazon-apigateway-integration"]["uri"]
        assert uri.endswith("/functions/<MessageStatusFunctionAliaslive>/invocations")


def test_the_default_gateway_responses_keep_the_status_of_each_type(default):
    [api] = default["rest-api"].of_type("AWS::ApiGateway::RestApi").values()
    responses = api["Body"]["x-amazon-apigateway-gateway-responses"]
    for kind in ("DEFAULT_4XX", "DEFAULT_5XX"):
        assert "statusCode" not in responses[kind]
        body = json.loads(responses[kind]["responseTemplates"]["application/json"])
        assert body["type"] == "about:blank" and "status" not in body
    # The status that API Gateway documents for each type.
    documented = {
        "ACCESS_DENIED": 403, "API_CONFIGURATION_ERROR": 500, "AUTHORIZER_CONFIGURATION_ERROR": 500,
        "BAD_REQUEST_BODY": 400, "BAD_REQUEST_PARAMETERS": 400, "INTEGRATION_TIMEOUT": 504,
        "QUOTA_EXCEEDED": 429, "REQUEST_TOO_LARGE": 413, "RESOURCE_NOT_FOUND": 404, "THROTTLED": 429,
        "UNAUTHORIZED": 401, "UNSUPPORTED_MEDIA_TYPE": 415,
    }
    # API Gateway's own 403 for an unknown path would tell front ends that the user is not allowed.
    changed = {"MISSING_AUTHENTICATION_TOKEN": 404}
    statuses = {kind: r["statusCode"] for kind, r in responses.items() if "statusCode" in r}
    assert statuses == documented | changed


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_no_route_but_a_preflight_is_open(everything, name):
    apis = {**everything[name].of_type("AWS::ApiGateway::RestApi"), **everything[name].of_type("AWS::ApiGatewayV2::Api")}
    [api] = apis.values()
    for path in api["Body"]["paths"].values():
        for method, operation in path.items():
            assert bool(operation["security"]) == (method != "options"), method


# Processor failures


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_rule_matches_the_documented_event_of_a_failed_processor(default, everything, name):
    # As in the developer guide of the Chime SDK.
    event = {
        "detail-type": "Chime ChannelFlow Processing Status",
        "source": "aws.chime",
        "detail": {"eventType": "ProcessorInvocationFailure", "failureReason": "User is not authorized"},
    }
    pattern = everything[name].properties("ProcessorFailureRule")["EventPattern"]

    def matches(pattern, event):
        return all(
            matches(part, event[key]) if isinstance(part, dict) else event[key] in part for key, part in pattern.items()
        )

    assert matches(pattern, event)
    assert not matches(pattern, {**event, "source": "aws.ec2"})
    policy = everything[name].properties("ProcessorFailureLogsPolicy")["PolicyDocument"]
    assert [s["Action"] for s in json.loads(policy)["Statement"]] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert not [r for r in default[name].resources if r.startswith("ProcessorFailure")]


# Copies


def shared(template):
    """The parts that the templates have in common, by name."""
    parts = {}
    for section in ("Parameters", "Conditions", "Rules", "Outputs", "Resources"):
        for name, part in template[section].items():
            parts[f"{section}.{name}"] = part
    for name, value in parts.pop("Resources.MessageStatusFunction")["Properties"].items():
        parts[f"MessageStatusFunction.{name}"] = value
    return parts


# What differs on purpose.
DIFFERENT = {
    "MessageStatusFunction.CodeUri", "MessageStatusFunction.Environment", "MessageStatusFunction.Events",
    "MessageStatusFunction.MemorySize", "MessageStatusFunction.VersionDescription",
    "Outputs.AccessLogGroup", "Outputs.ApiId", "Outputs.ApiStage", "Outputs.CurlCommand", "Outputs.MessageStatusUrl",
    "Parameters.AllowedOrigins", "Parameters.RequiredScopes", "Parameters.ThrottleBurst", "Parameters.ThrottleRate",
    "Parameters.Tracing",
    "Resources.AccessLogs", "Resources.ConcurrencyAlarm", "Resources.Dashboard", "Resources.LambdaThrottleAlarm",
    "Resources.ServerErrorAlarm",
}


def test_what_the_templates_share_is_the_same_in_each():
    copies = [shared(read(path)) for path in TEMPLATES.values()]
    names = set().union(*copies)
    different = {
        name for name in names if len({json.dumps(copy[name], sort_keys=True) for copy in copies if name in copy}) > 1
    }
    assert different == DIFFERENT


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_what_differs_for_the_gateway_is_the_same_for_each_http_api(name):
    if name == "rest-api":
        name = "http-api"
    copies = [shared(read(TEMPLATES[n])) for n in ("http-api", name)]
    for part in ("Resources.HttpApi", "Resources.AccessLogs", "Resources.ServerErrorAlarm", "MessageStatusFunction.Events"):
        assert copies[0][part] == copies[1][part]


# Publication and nesting


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_metadata_for_the_serverless_application_repository_is_complete(name):
    metadata = read(TEMPLATES[name])["Metadata"]["AWS::ServerlessRepo::Application"]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert metadata["SemanticVersion"] == version
    assert metadata["SpdxLicenseId"] == "Apache-2.0"
    assert re.fullmatch(r"[A-Za-z0-9-]{1,140}", metadata["Name"])
    assert len(metadata["Description"]) <= 256
    for file in ("LicenseUrl", "ReadmeUrl"):
        assert (TEMPLATES[name].parent / metadata[file]).is_file()
    names = {read(path)["Metadata"]["AWS::ServerlessRepo::Application"]["Name"] for path in TEMPLATES.values()}
    assert len(names) == len(TEMPLATES)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_two_stacks_and_nested_stacks_do_not_collide(everything, monkeypatch, name):
    # The longest name that CloudFormation gives to a nested stack.
    monkeypatch.setitem(PSEUDO, "AWS::StackName", "s" * 128)
    other = Stack(TEMPLATES[name], EVERYTHING)
    named = {"FunctionName", "RoleName", "LogGroupName", "DashboardName", "AlarmName", "TopicName", "PolicyName"}
    for resource, properties in {n: r.get("Properties", {}) for n, r in other.resources.items()}.items():
        for key in named & set(properties):
            before = everything[name].properties(resource)[key]
            if isinstance(before, str) and not before.startswith("<"):
                assert before != properties[key], f"{resource}.{key} is the same in each stack"
                assert len(properties[key]) <= {"DashboardName": 255}.get(key, 512), f"{resource}.{key}"


# Snippets

FRAGMENTS = {path.name: read(path) for path in SNIPPETS}


@pytest.mark.parametrize("name", sorted(FRAGMENTS))
def test_a_snippet_lets_no_gateway_invoke_without_its_source_arn(name):
    for resource in FRAGMENTS[name]["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Permission" and resource["Properties"]["Principal"] == "apigateway.amazonaws.com":
            assert "SourceArn" in resource["Properties"]


@pytest.mark.parametrize("name", sorted(FRAGMENTS))
def test_a_snippet_has_all_routes_and_an_authorizer_on_each(name):
    properties = [(r["Type"], r.get("Properties", {})) for r in FRAGMENTS[name]["Resources"].values()]
    routes = {p["RouteKey"]: p for kind, p in properties if kind == "AWS::ApiGatewayV2::Route"}
    methods = {p["HttpMethod"]: p for kind, p in properties if kind == "AWS::ApiGateway::Method"}
    if routes:
        assert set(routes) == {"GET /message-status", "HEAD /message-status", "POST /message-status"}
    if methods:
        assert set(methods) == {"GET", "HEAD", "POST", "OPTIONS"}
    open_ones = [key for key, p in {**routes, **methods}.items() if p["AuthorizationType"] == "NONE"]
    assert open_ones in ([], ["OPTIONS"])


def test_a_function_url_gets_both_permissions_and_an_authorizer():
    resources = FRAGMENTS["function-url.yaml"]["Resources"]
    actions = {r["Properties"]["Action"] for r in resources.values() if r["Type"] == "AWS::Lambda::Permission"}
    assert actions == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert resources["InvokePermission"]["Properties"]["InvokedViaFunctionUrl"] is True
    assert resources["Url"]["Properties"]["AuthType"] == "AWS_IAM"


def test_the_role_for_iam_fixes_the_session_name():
    trust = FRAGMENTS["iam.yaml"]["Resources"]["UserRole"]["Properties"]["AssumeRolePolicyDocument"]
    for statement in trust["Statement"]:
        assert statement["Condition"]["StringEquals"]["sts:RoleSessionName"] == "${aws:username}"


def test_the_nested_application_uses_parameters_and_outputs_that_exist():
    fragment, template = FRAGMENTS["nested-application.yaml"], read(TEMPLATES["http-api"])
    given = set(fragment["Resources"]["MessageStatus"]["Properties"]["Parameters"])
    required = {name for name, parameter in template["Parameters"].items() if "Default" not in parameter}
    assert required <= given <= set(template["Parameters"])
    for output in fragment["Outputs"].values():
        resource, path = output["Value"]["Fn::GetAtt"]
        assert resource == "MessageStatus"
        assert path.removeprefix("Outputs.") in template["Outputs"]


# Documentation


def test_the_deployment_page_names_every_snippet_and_template():
    page = (ROOT / "docs/deploy.md").read_text()
    for path in [*SNIPPETS, *TEMPLATES.values(), *(ROOT / "deploy").glob("*.json")]:
        assert f"(../{path.relative_to(ROOT)})" in page, path.name


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_output_that_the_runbook_uses_exists(everything, name):
    page = (ROOT / "docs/operations.md").read_text()
    used = set(re.findall(r"\boutput ([A-Z]\w+)", page))
    assert len(used) >= 6
    assert used <= set(everything[name].outputs)
    for logical_id in re.findall(r"--logical-resource-id (\w+)", page):
        if name != "managed-instances":
            assert logical_id in everything[name].resources


def test_the_parameters_that_the_pages_name_exist():
    known = set().union(*(read(path)["Parameters"] for path in TEMPLATES.values()))
    for page in ("deploy", "operations"):
        overrides = re.findall(r"\b([A-Z]\w+)=", (ROOT / f"docs/{page}.md").read_text())
        shell = {"STACK", "FUNCTION", "API", "STAGE", "APPLICATION", "GROUP", "DEPLOYMENT", "VERSION", "LIVE"}
        other = {"APP_INSTANCE_USER_ARN", "ALLOWED_ORIGINS", "AdditionalVersionWeights", "OutputKey",
                 "ThrottlingRateLimit", "ThrottlingBurstLimit", "Version"}
        assert set(overrides) - shell - other <= known, page
