//! Who a gateway vouches for, read off its event in the most oracle way: every place where any kind
//! of gateway puts a name, in order, and no question asked.
//!
//! It shares nothing with the function's own reading. Whatever the function makes of an event, a
//! bearer that this does not lead to is somebody else's.

use serde_json::Value;

/// The value of `name`, as an authorizer of whatever kind gives it.
pub fn authorized(event: &Value, name: &str) -> Option<String> {
    let context = &event["requestContext"];
    let authorizer = &context["authorizer"];
    let places = match event["version"].as_str() {
        Some("2.0") => [
            &authorizer["jwt"]["claims"][name],
            &authorizer["lambda"][name],
            match name {
                "cognitoIdentityId" => &authorizer["iam"]["cognitoIdentity"]["identityId"],
                _ => &authorizer["iam"][name],
            },
        ],
        _ => [
            &authorizer["claims"][name],
            &authorizer[name],
            match name {
                "userId" => &context["identity"]["user"],
                "callerId" => &context["identity"]["caller"],
                _ => &context["identity"][name],
            },
        ],
    };
    places.into_iter().find_map(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
