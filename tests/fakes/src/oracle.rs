//! The caller of an event, read from the contract in the simplest way.
//!
//! It shares no code with the function. If the function's bearer is not this caller, it belongs to
//! another user.

use serde_json::{Map, Value};

/// The prefix of the ARNs of trusted sessions. Tests set `SESSION_ROLE_ARN` to [`SESSION_ROLE`].
pub const TRUSTED_SESSIONS: &str = "arn:aws:sts::111122223333:assumed-role/chat-user/";
/// The role of [`TRUSTED_SESSIONS`], with a path that sessions do not show.
pub const SESSION_ROLE: &str = "arn:aws:iam::111122223333:role/chat/chat-user";

/// The value of `name`, which is the only name in the pattern. `None` if the event has no such caller.
pub fn authorized(event: &Value, name: &str) -> Option<String> {
    match name {
        "cognitoIdentityId" => cognito_identity(event),
        "roleSessionName" => {
            let session = text(&signer(event)?["userArn"])?;
            let name = session.strip_prefix(TRUSTED_SESSIONS)?;
            // All users of an identity pool share this one.
            (name != "CognitoIdentityCredentials").then(|| name.to_owned())
        }
        _ => text(context(event)?.get(name)?),
    }
}

/// A value is a string. Anything else is refused, never converted.
fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The claims, or the context of a Lambda authorizer.
fn context(event: &Value) -> Option<&Map<String, Value>> {
    let authorizer = &event["requestContext"]["authorizer"];
    if event["version"] == "2.0" {
        return match only_authorizer(authorizer)? {
            ("jwt", jwt) => jwt["claims"].as_object(),
            ("lambda", lambda) => lambda.as_object(),
            _ => None,
        };
    }
    let Some(claims) = authorizer["claims"].as_object() else {
        return authorizer.as_object();
    };
    let is_foreign =
        |(key, value): (&String, &Value)| key != "claims" && key != "scopes" && !value.is_null();
    let has_other_keys = authorizer.as_object()?.iter().any(is_foreign);
    (event["version"] != "1.0" || !has_other_keys).then_some(claims)
}

/// The signer of the request. A guest of a Cognito identity pool is none.
fn signer(event: &Value) -> Option<&Value> {
    let context = &event["requestContext"];
    let (signer, is_cognito, logins) = if event["version"] == "2.0" {
        let ("iam", signer) = only_authorizer(&context["authorizer"])? else {
            return None;
        };
        let identity = &signer["cognitoIdentity"];
        (signer, !identity.is_null(), vec![&identity["amr"]])
    } else {
        let signer = &context["identity"];
        let logins = ["cognitoAuthenticationType", "cognitoAmr"].map(|name| &signer[name]);
        let logins: Vec<_> = logins
            .into_iter()
            .filter(|login| !login.is_null())
            .collect();
        let is_cognito = !signer["cognitoIdentityId"].is_null() || !logins.is_empty();
        (signer, is_cognito, logins)
    };
    let is_login = |login: &&Value| {
        let mut items = login.as_array().into_iter().flatten().chain([*login]);
        items.any(|item| item == "authenticated")
    };
    let is_user = !logins.is_empty() && logins.iter().all(is_login);
    (!is_cognito || is_user).then_some(signer)
}

fn cognito_identity(event: &Value) -> Option<String> {
    let signer = signer(event)?;
    if event["version"] != "2.0" {
        return text(&signer["cognitoIdentityId"]);
    }
    let domain = event["requestContext"]["domainName"].as_str();
    let is_function_url = domain.is_some_and(|domain| domain.contains(".lambda-url."));
    text(&signer["cognitoIdentity"]["identityId"]).filter(|_| !is_function_url)
}

/// The authorizer of an event in format 2.0. Those that are null or empty are absent, and two are none.
fn only_authorizer(authorizer: &Value) -> Option<(&'static str, &Value)> {
    let is_present = |value: &Value| match value {
        Value::Object(members) => !members.is_empty(),
        other => !other.is_null(),
    };
    let mut present = ["jwt", "lambda", "iam"]
        .into_iter()
        .map(|kind| (kind, &authorizer[kind]))
        .filter(|(_, value)| is_present(value));
    present.next().filter(|_| present.next().is_none())
}
