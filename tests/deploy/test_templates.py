"""The translated templates and snippets, with conditions and parameters filled in as CloudFormation does it."""

import itertools
import json
import re
import types

import pytest

from translate import APIS, APP_INSTANCE, EVERYTHING, ISSUER, ROOT, SNIPPETS, TEMPLATES, Stack, read

FUNCTION = "MessageStatusFunction"
ALL = {**TEMPLATES, **SNIPPETS}
STACKS = {(name, full): (path, EVERYTHING if full else {}) for name, path in ALL.items() for full in (False, True)}


@pytest.fixture(scope="session")
def stacks():
    return {key: Stack(*arguments) for key, arguments in STACKS.items()}


def variables(stack):
    return stack.properties(FUNCTION)["Environment"]["Variables"]


def paths(stack):
    apis = {**stack.of_type("AWS::ApiGateway::RestApi"), **stack.of_type("AWS::ApiGatewayV2::Api")}
    return [api["Body"]["paths"] for api in apis.values()]


# The function


@pytest.mark.parametrize("name", APIS)
def test_the_function_gets_its_issuer_and_only_the_variables_that_have_a_value(stacks, name):
    assert variables(stacks[name, False]) == {
        "APP_INSTANCE_USER_ARN": f"{APP_INSTANCE}/user/{{sub}}",
        "TOKEN_ISSUER": ISSUER,
        "MAX_WAIT_SECONDS": "20",
    }
    full = variables(stacks[name, True])
    assert full["APP_INSTANCE_USER_ARN"] == f"{APP_INSTANCE}/user/u-{{sub}}"
    assert full.get("ALLOWED_ORIGINS") == (EVERYTHING["AllowedOrigins"] if name == "rest-api" else None)


def test_every_variable_has_a_row_in_the_page_of_the_configuration(stacks):
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/configuration.md").read_text(), re.M))
    used = set().union(*(variables(stack) for stack in stacks.values() if FUNCTION in stack.resources))
    assert used <= rows and {"TOKEN_ISSUER", "SESSION_ROLE_ARN", "ALLOWED_ORIGINS"} <= used


def test_every_function_is_built_for_arm64_and_has_time_for_the_longest_wait(stacks):
    functions = [stack.properties(FUNCTION) for stack in stacks.values() if FUNCTION in stack.resources]
    assert len(functions) >= 12
    for function in functions:
        assert function["Architectures"] == ["arm64"]
        # The longest wait, a last call of 2 s, and a second to spare; at most the 29 s of a REST API.
        assert 25 + 2 + 1 <= function["Timeout"] <= 29


@pytest.mark.parametrize("name", APIS)
def test_the_role_allows_one_action_of_chime_in_one_app_instance(stacks, name):
    role = stacks[name, True].properties("FunctionRole")
    [policy] = role["Policies"]
    chime, logs = policy["PolicyDocument"]["Statement"]
    assert (chime["Action"], logs["Resource"]) == ("chime:GetChannelMessageStatus", "<FunctionLogs.Arn>")
    assert chime["Resource"] == [f"{APP_INSTANCE}/user/*", f"{APP_INSTANCE}/channel/*"]
    assert role["PermissionsBoundary"] == EVERYTHING["PermissionsBoundaryArn"]
    assert list(stacks[name, True].of_type("AWS::IAM::Role")) == ["FunctionRole"]


@pytest.mark.parametrize("name", APIS)
def test_with_the_defaults_callers_hold_at_most_half_of_1000_environments(stacks, name):
    for stage in stacks[name, False].of_type("AWS::ApiGatewayV2::Stage").values():
        settings = stage["DefaultRouteSettings"]
    for stage in stacks[name, False].of_type("AWS::ApiGateway::Stage").values():
        [settings] = stage["MethodSettings"]
    # A wait ends with one more call, which times out after 2 s.
    longest = int(variables(stacks[name, False])["MAX_WAIT_SECONDS"]) + 2
    assert int(settings["ThrottlingRateLimit"]) * longest + int(settings["ThrottlingBurstLimit"]) <= 500
    assert "ReservedConcurrentExecutions" not in stacks[name, False].properties(FUNCTION)
    assert stacks[name, True].properties(FUNCTION)["ReservedConcurrentExecutions"] == "100"


# The APIs


@pytest.mark.parametrize("key", STACKS, ids=str)
def test_every_api_has_both_methods_and_an_authorizer_on_all_but_preflights(stacks, key):
    for api in paths(stacks[key]):
        [(path, operations)] = api.items()
        assert path == "/message-status" and {"get", "post"} <= set(operations) <= {"get", "post", "options"}
        for method, operation in operations.items():
            assert bool(operation["security"]) == (method != "options")
            assert operation["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
    routes = stacks[key].of_type("AWS::ApiGatewayV2::Route").values()
    methods = stacks[key].of_type("AWS::ApiGateway::Method").values()
    assert {route["RouteKey"] for route in routes} in (set(), {"GET /message-status", "POST /message-status"})
    assert {method["HttpMethod"] for method in methods} in (set(), {"GET", "POST", "OPTIONS"})
    for one in [*routes, *methods]:
        assert (one["AuthorizationType"] == "NONE") == (one.get("HttpMethod") == "OPTIONS")


@pytest.mark.parametrize("key", STACKS, ids=str)
def test_a_wrong_issuer_fails_the_deployment_of_every_http_api(stacks, key):
    for api in stacks[key].of_type("AWS::ApiGatewayV2::Api").values():
        assert api["FailOnWarnings"] is True


def test_the_http_api_answers_preflights_as_the_function_does(stacks):
    [api] = stacks["http-api", True].of_type("AWS::ApiGatewayV2::Api").values()
    cors = api["Body"]["x-amazon-apigateway-cors"]
    assert cors["allowHeaders"] == ["authorization", "*"] and cors["exposeHeaders"] == ["retry-after"]
    assert cors["allowOrigins"] == EVERYTHING["AllowedOrigins"].split(",")
    [api] = stacks["http-api", False].of_type("AWS::ApiGatewayV2::Api").values()
    assert "x-amazon-apigateway-cors" not in api["Body"]


def test_a_changed_issuer_reaches_the_stage_of_the_rest_api(monkeypatch):
    # SAM names a deployment after the second of the translation.
    clock = itertools.count()
    monkeypatch.setattr("samtranslator.model.apigateway.time", types.SimpleNamespace(time=lambda: next(clock)))
    deployments = set()
    for issuer in ("https://old.example.com", "https://new.example.com/"):
        stack = Stack(TEMPLATES["rest-api"], {"Issuer": issuer})
        [api] = stack.of_type("AWS::ApiGateway::RestApi").values()
        configuration = api["Body"]["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]
        assert configuration["jwtConfiguration"]["issuers"] == [{"issuer": issuer, "audiences": ["4h57kf2example"]}]
        assert variables(stack)["TOKEN_ISSUER"] == issuer
        [deployment] = stack.of_type("AWS::ApiGateway::Deployment")
        [stage] = stack.of_type("AWS::ApiGateway::Stage").values()
        assert stage["DeploymentId"] == f"<{deployment}>"
        deployments.add(deployment)
    assert len(deployments) == 2, "a deployment is immutable, so another issuer needs another one"


def test_the_rest_apis_own_errors_are_problems_with_the_status_of_their_type(stacks):
    for full in (False, True):
        [api] = stacks["rest-api", full].of_type("AWS::ApiGateway::RestApi").values()
        responses = api["Body"]["x-amazon-apigateway-gateway-responses"]
        for kind, response in responses.items():
            body = json.loads(response["responseTemplates"]["application/json"])
            assert body["requestId"] == "$context.extendedRequestId"
            # The defaults serve several statuses. A statusCode would change all of them.
            assert body.get("status") == response.get("statusCode")
            assert ("statusCode" in response) == (not kind.startswith("DEFAULT"))
            cors = [name for name in response["responseParameters"] if ".Access-Control-" in name]
            assert bool(cors) == full


# Parameters

CLAIM = "https://chat.example.com/claims/" + "x" * 47
SAML = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
ACCEPTED = {
    "AppInstanceArn": [APP_INSTANCE],
    "Issuer": [ISSUER, "https://example.eu.auth0.com/"],
    "AppInstanceUserArn": [
        "",
        f"{APP_INSTANCE}/user/u-{{sub}}",
        f"{APP_INSTANCE}/user/{{{CLAIM}}}",
        f"arn:aws:chime:us-east-1:111122223333:app-instance/{{{CLAIM}}}/user/{{{SAML}}}",
        f"{{{SAML}}}",
    ],
    "AllowedOrigins": [
        "",
        "*",
        "https://chat.example.com",
        "http://localhost:5173",
        "capacitor://localhost",
        "http://[::1]:80",
    ],
    "MaxWaitSeconds": ["0", "20", "25"],
    "ReservedConcurrency": ["0", "100"],
    "ThrottleRate": ["20", "2500"],
}
REFUSED = {
    "AppInstanceArn": [f"{APP_INSTANCE}/user/alice", "arn:aws-cn:chime:cn-north-1:111122223333:app-instance/a", ""],
    "Issuer": ["http://example.com", "example.com", ""],
    "AppInstanceUserArn": ["sub", "{sub} ", APP_INSTANCE],
    "AllowedOrigins": [
        "chat.example.com",
        "https://chat.example.com/",
        "https://Chat.example.com",
        "https://*.example.com",
    ],
    "MaxWaitSeconds": ["26", "-1", "2.5", "", " 1"],
    "ReservedConcurrency": ["-1", "1.5", ""],
    "ThrottleRate": ["0", "1.5", "1e3"],
}


@pytest.mark.parametrize("name", APIS)
def test_parameters_accept_what_the_function_and_the_gateway_accept(name):
    declared = read(TEMPLATES[name])["Parameters"]
    for values, is_accepted in ((ACCEPTED, True), (REFUSED, False)):
        for parameter, candidates in values.items():
            for value in candidates:
                matches = re.fullmatch(declared[parameter]["AllowedPattern"], value) is not None
                assert matches == is_accepted, (parameter, value)
    assert all(parameter.get("Description") for parameter in declared.values())


def test_both_apis_have_the_same_parameters_but_for_the_access_log():
    declared = [read(TEMPLATES[name])["Parameters"] for name in APIS]
    assert declared[1] == declared[0] | {"AccessLogging": declared[1]["AccessLogging"]}


# Snippets


@pytest.mark.parametrize("key", STACKS, ids=str)
def test_gateways_invoke_only_with_their_source_arn(stacks, key):
    for permission in stacks[key].of_type("AWS::Lambda::Permission").values():
        if permission["Principal"] == "apigateway.amazonaws.com":
            assert permission["SourceArn"].startswith("arn:aws:execute-api:us-east-1:111122223333:")


def test_a_function_url_gets_both_permissions_and_an_authorizer(stacks):
    stack = stacks["function-url", False]
    permissions = {p["Action"]: p for p in stack.of_type("AWS::Lambda::Permission").values()}
    assert set(permissions) == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert permissions["lambda:InvokeFunction"]["InvokedViaFunctionUrl"] is True
    [url] = stack.of_type("AWS::Lambda::Url").values()
    assert url["AuthType"] == "AWS_IAM"


def test_the_role_for_iam_fixes_the_session_name(stacks):
    trust = stacks["iam", False].properties("UserRole")["AssumeRolePolicyDocument"]
    for statement in trust["Statement"]:
        assert statement["Condition"] == {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}


def test_tenants_get_the_rights_on_users_and_channels_of_each_app_instance(stacks):
    statements = stacks["tenants", False].properties("Tenants")["PolicyDocument"]["Statement"]
    arns = [APP_INSTANCE.replace("7f1c2a9e", name) for name in ("blue", "green")]
    assert [s["Resource"] for s in statements] == [[f"{arn}/{kind}/*" for arn in arns] for kind in ("user", "channel")]


def test_a_gradual_rollout_moves_the_alias_and_watches_its_alarm(stacks):
    stack = stacks["gradual", False]
    [group] = stack.of_type("AWS::CodeDeploy::DeploymentGroup").values()
    assert [alarm["Name"] for alarm in group["AlarmConfiguration"]["Alarms"]] == ["<RolloutAlarm>"]
    [version] = stack.of_type("AWS::Lambda::Version").values()
    [other] = (
        Stack(SNIPPETS["gradual"], {"Issuer": "https://login.example.com/"}).of_type("AWS::Lambda::Version").values()
    )
    assert version["Description"] != other["Description"]


def test_the_deployment_page_links_every_template_snippet_and_policy():
    page = (ROOT / "docs/deploy.md").read_text()
    for path in [*ALL.values(), *(ROOT / "deploy").glob("*.json")]:
        assert f"(../{path.relative_to(ROOT)})" in page, path.name
