//! The identity of a request, and how it is mapped to a user.

use chime_message_status::caller::{EventSource, Identity, IdentityError, UnauthenticatedReason};
use chime_message_status::config::Config;
use chime_message_status::domain::{AppInstanceUserArn, IdError, MappingError, MappingErrorKind};

use crate::output::{escaped, print_line};

/// The regions of Chime messaging.
const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];

/// The standard attributes of a user pool. Users can write them if the app client has write access.
const ATTRIBUTES: [&str; 17] = [
    "address",
    "birthdate",
    "email",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

fn is_attribute(name: &str) -> bool {
    name.starts_with("custom:") || ATTRIBUTES.contains(&name)
}

pub fn event_source(event_source: EventSource) {
    let gateway = match event_source.gateway() {
        "http-api" => "an HTTP API",
        "http-api-1.0" => "an HTTP API with payload format 1.0",
        "rest-api" => "a REST API",
        "function-url" => "a function URL",
        other => other,
    };
    let authorizer = match event_source.authorizer() {
        "claims" => "the claims of a token",
        "lambda" => "the context of a Lambda authorizer",
        "iam" => "a request signed with AWS credentials",
        _ => "no authenticated identity",
    };
    print_line("source", &format!("{gateway}, {authorizer}"));
}

pub fn values(identity: &Identity<'_>, with_values: bool) {
    if identity.names().is_empty() {
        print_line("names", "(none that a pattern can use)");
        return;
    }
    if !with_values {
        let names: Vec<_> = identity.names().into_iter().map(escaped).collect();
        print_line("names", &names.join(", "));
        return;
    }
    for (index, name) in identity.names().into_iter().enumerate() {
        let label = if index == 0 { "names" } else { "" };
        let value = identity.value(name).map_or_else(
            |_| "(neither a string nor a whole number)".to_owned(),
            |value| escaped(&value),
        );
        print_line(label, &format!("{} = {value}", escaped(name)));
    }
}

pub fn pattern(config: &Config, identity: &Identity<'_>, with_values: bool) {
    let text = std::env::var("APP_INSTANCE_USER_ARN").unwrap_or_default();
    print_line("pattern", &escaped(&text));
    for name in config.mapping().pattern().names() {
        let filling = match identity.value(name) {
            Ok(value) if with_values => escaped(&value),
            Ok(value) => format!("{} characters", value.chars().count()),
            Err(_) if identity.names().contains(&name) => {
                "neither a string nor a whole number".to_owned()
            }
            Err(_) => "no value".to_owned(),
        };
        print_line("", &format!("{{{}}}: {filling}", escaped(name)));
    }
}

/// Explains why the request has no caller.
pub fn error(error: &IdentityError, identity: Option<&Identity<'_>>) {
    match error {
        IdentityError::Unauthenticated(reason) => {
            let (what, advice) = match reason {
                UnauthenticatedReason::NoAuthorizer => (
                    "The event has no identity. Usually the route has no authorizer: attach one.",
                    "A token in a header does not count. Only the authorizer's context does.",
                ),
                UnauthenticatedReason::Ambiguous => (
                    "The authorizer context can be read in two ways: a name occurs twice, there are two",
                    "authorizers, or a `claims` object is beside other keys. Lambda authorizers must not return `claims`.",
                ),
                UnauthenticatedReason::GuestIdentity => (
                    "The identity pool issued these credentials to a guest.",
                    "The front end must log the user in before it signs.",
                ),
                UnauthenticatedReason::UntrustedRole => (
                    "The request was signed in a session of a role other than SESSION_ROLE_ARN.",
                    "Account and role name must match. The path of the role does not matter.",
                ),
            };
            print_line("no user", what);
            print_line("", advice);
        }
        IdentityError::Unmapped(error) => {
            let name = error.name();
            let Some(identity) = identity else { return };
            print_line("no user", &unmapped(error, identity));
            let other_case = identity
                .names()
                .into_iter()
                .find(|known| *known != name && known.eq_ignore_ascii_case(name));
            if let Some(other) = other_case {
                let hint = format!("There is {{{}}}: names are case-sensitive.", escaped(other));
                print_line("", &hint);
            }
        }
    }
}

fn unmapped(error: &MappingError, identity: &Identity<'_>) -> String {
    let name = escaped(error.name());
    let value = identity.value(error.name()).unwrap_or_default();
    match error.kind() {
        MappingErrorKind::Missing if identity.names().contains(&error.name()) => {
            format!("{{{name}}} must be a string or a whole number.")
        }
        MappingErrorKind::Missing => {
            format!("The identity has no {{{name}}}. The line `names` lists the names it has.")
        }
        MappingErrorKind::NoRoleSession => {
            format!(
                "The request was not signed in a role session, so it has no {{{name}}}. Assume the role \
                 of SESSION_ROLE_ARN."
            )
        }
        MappingErrorKind::SharedSession => format!(
            "All users of an identity pool have the same {{{name}}}. Use {{cognitoIdentityId}}."
        ),
        MappingErrorKind::NotAnId(IdError::TooLong) => {
            let length = value.chars().count();
            format!("The value of {{{name}}} has {length} characters; an id has at most 64.")
        }
        MappingErrorKind::NotAnId(IdError::Character(character)) => {
            let place = value.chars().take_while(|c| *c != character).count();
            let place = place.saturating_add(1);
            format!(
                "Character {place} of the value of {{{name}}} is {character:?}, which is not allowed \
                 there. Allowed are ASCII letters, digits and - _ . @ (in a user id, also :)"
            )
        }
        MappingErrorKind::NotAnId(IdError::Ends) if value.is_empty() => {
            format!("The value of {{{name}}} is empty.")
        }
        MappingErrorKind::NotAnId(IdError::Ends) => {
            format!("The value of {{{name}}} must begin and end with an ASCII letter or digit.")
        }
        MappingErrorKind::NotAUserArn => format!(
            "The result must be arn:aws:chime:REGION:ACCOUNT:app-instance/ID/user/ID, each id with \
             1 to 64 characters. With {{{name}}} filled in, it is not."
        ),
    }
}

/// Warns about mappings that are valid, but are unsafe or name a region that Chime does not serve.
pub fn warnings(
    config: &Config,
    event_source: EventSource,
    identity: Option<&Identity<'_>>,
    user: Option<&AppInstanceUserArn>,
) {
    for name in config.mapping().pattern().names() {
        for warning in name_warnings(name, event_source, identity) {
            print_line("warning", &warning);
        }
    }
    if !REGIONS.contains(&config.region()) {
        let region = escaped(config.region());
        let warning = format!(
            "The function calls Chime in {region}, but Chime messaging exists in {} only.",
            REGIONS.join(" and ")
        );
        print_line("warning", &warning);
    }
    let users_region = user.and_then(|user| user.as_str().split(':').nth(3));
    if let Some(region) = users_region
        && region != config.region()
    {
        let warning = format!(
            "The user is in {region}, but the function calls Chime in {}. Set AWS_REGION.",
            config.region()
        );
        print_line("warning", &warning);
    }
}

fn name_warnings(
    name: &str,
    event_source: EventSource,
    identity: Option<&Identity<'_>>,
) -> Vec<String> {
    let shown = escaped(name);
    let mut warnings = Vec::new();
    let is_claim = event_source.authorizer() == "claims";
    if is_claim && is_attribute(name) {
        warnings.push(format!(
            "If users can write {{{shown}}}, any user can impersonate any other. It is safe only if no \
             app client has write access to it: see docs/user-mapping.md."
        ));
    }
    let is_access_token = |identity: &Identity<'_>| {
        identity.value("token_use").as_deref() == Ok("access") && identity.value(name).is_err()
    };
    if is_claim && is_attribute(name) && identity.is_some_and(is_access_token) {
        warnings.push(format!(
            "This is an access token, but only ID tokens have {{{shown}}}. Send the ID token, or use \
             {{sub}}, which both have."
        ));
    }
    if name == "roleSessionName" {
        warnings.push(
            "The caller that assumes a role chooses the session name. {roleSessionName} is safe only if \
             the trust policy of SESSION_ROLE_ARN fixes sts:RoleSessionName."
                .to_owned(),
        );
    }
    warnings
}
