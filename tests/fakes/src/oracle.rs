//! The caller of an event, read from the contract in the simplest way.
//!
//! It shares no code with the function. If the function's bearer is not this caller, it belongs to
//! another user.

use serde_json::Value;

/// The prefix of the ARNs of trusted sessions. Tests set `SESSION_ROLE_ARN` to [`SESSION_ROLE`].
pub const TRUSTED_SESSIONS: &str = "arn:aws:sts::111122223333:assumed-role/chat-user/";
/// The role of [`TRUSTED_SESSIONS`], with a path that sessions do not show.
pub const SESSION_ROLE: &str = "arn:aws:iam::111122223333:role/chat/chat-user";

/// The value of `name`, as an authorizer of any kind reports it.
pub fn authorized(event: &Value, name: &str) -> Option<String> {
    let context = &event["requestContext"];
    let authorizer = &context["authorizer"];
    let places = match event["version"].as_str() {
        Some("2.0") => [
            &authorizer["jwt"]["claims"][name],
            &authorizer["lambda"][name],
            match name {
                "cognitoIdentityId" => &authorizer["iam"]["cognitoIdentity"]["identityId"],
                "roleSessionName" => &authorizer["iam"]["userArn"],
                _ => &Value::Null,
            },
        ],
        _ => [
            claims(authorizer).map_or(&Value::Null, |claims| &claims[name]),
            &authorizer[name],
            match name {
                "cognitoIdentityId" => &context["identity"]["cognitoIdentityId"],
                "roleSessionName" => &context["identity"]["userArn"],
                _ => &Value::Null,
            },
        ],
    };
    let value = places.into_iter().find_map(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })?;
    if name == "roleSessionName" {
        return value.strip_prefix(TRUSTED_SESSIONS).map(str::to_owned);
    }
    Some(value)
}

/// The claims of a user pool. `None` if other keys are beside them, because their author is then unknown.
fn claims(authorizer: &Value) -> Option<&Value> {
    let is_from_a_gateway = |key: &str| ["claims", "scopes", "integrationLatency"].contains(&key);
    let members = authorizer.as_object()?;
    let is_ambiguous = members
        .iter()
        .any(|(key, value)| !value.is_null() && !is_from_a_gateway(key));
    if is_ambiguous {
        None
    } else {
        members.get("claims")
    }
}
