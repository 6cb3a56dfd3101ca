//! What the authorizer said, and what the template makes of it.

use chime_message_status::caller::{EventSource, Identity, IdentityError, UnauthenticatedReason};
use chime_message_status::config::Config;
use chime_message_status::domain::{AppInstanceUserArn, IdFault, MappingError, MappingErrorKind};

use crate::page::{say, shown};

/// Chime messaging exists in these and no others.
const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];

/// The standard attributes of a user pool. Its users may write them, unless the app client may not.
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

/// The name of the session in which an identity pool's users assume their role: all of them in the same.
const POOL_SESSION: &str = "CognitoIdentityCredentials";

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
        _ => "nobody who is vouched for",
    };
    say("front door", &format!("{gateway}, {authorizer}"));
}

pub fn values(identity: &Identity<'_>, with_values: bool) {
    if !with_values {
        let names: Vec<_> = identity.names().into_iter().map(shown).collect();
        say("it gave", &names.join(", "));
        return;
    }
    for (index, name) in identity.names().into_iter().enumerate() {
        let label = if index == 0 { "it gave" } else { "" };
        let value = identity.value(name).map_or_else(
            || "(neither a string nor a whole number)".to_owned(),
            |value| shown(&value),
        );
        say(label, &format!("{} = {value}", shown(name)));
    }
}

pub fn template(config: &Config, identity: &Identity<'_>, with_values: bool) {
    let text = std::env::var("APP_INSTANCE_USER_ARN").unwrap_or_default();
    say("template", &shown(&text));
    for name in config.user_arn().names() {
        let filling = match identity.value(name) {
            Some(value) if with_values => shown(&value),
            Some(value) => format!("{} characters", value.chars().count()),
            None if identity.names().contains(&name) => {
                "there, but neither a string nor a whole number".to_owned()
            }
            None => "not there".to_owned(),
        };
        say("", &format!("{{{}}}: {filling}", shown(name)));
    }
}

/// Why there is no user, beyond what the function itself says of it.
pub fn refusal(refusal: &IdentityError, identity: Option<&Identity<'_>>) {
    match refusal {
        IdentityError::Unauthenticated(UnauthenticatedReason::NoAuthorizer) => {
            say(
                "no user",
                "The route has no authorizer that let somebody in. Attach one to it.",
            );
            say(
                "",
                "A token in a header counts for nothing; what the authorizer makes of it does.",
            );
        }
        IdentityError::Unauthenticated(UnauthenticatedReason::Ambiguous) => {
            say(
                "no user",
                "Something stands twice in the authorizer's part of the event.",
            );
            say("", "No gateway writes that. How was this event made?");
        }
        IdentityError::Unauthenticated(UnauthenticatedReason::NoCognitoUser) => {
            say(
                "no user",
                "The identity pool gave credentials to somebody who has not logged in.",
            );
            say("", "Let the front end log in before it signs.");
        }
        IdentityError::Unmapped(unmapped) => {
            let name = unmapped.name();
            let Some(identity) = identity else { return };
            say("no user", &fault(unmapped, identity));
            let other_case = identity
                .names()
                .into_iter()
                .find(|known| *known != name && known.eq_ignore_ascii_case(name));
            if let Some(other) = other_case {
                let hint = format!("There is {{{}}}: upper and lower case count.", shown(other));
                say("", &hint);
            }
        }
    }
}

fn fault(unmapped: &MappingError, identity: &Identity<'_>) -> String {
    let name = shown(unmapped.name());
    let value = identity.value(unmapped.name()).unwrap_or_default();
    match unmapped.why() {
        MappingErrorKind::Missing if identity.names().contains(&unmapped.name()) => {
            format!("{{{name}}} has to be a string or a whole number, and is something else.")
        }
        MappingErrorKind::Missing => {
            format!("{{{name}}} is not among the names that the authorizer gave.")
        }
        MappingErrorKind::NotAnId(IdFault::TooLong) => {
            let length = value.chars().count();
            format!("The value of {{{name}}} has {length} characters; an id has at most 64.")
        }
        MappingErrorKind::NotAnId(IdFault::Character(character)) => {
            let place = value.chars().take_while(|c| *c != character).count();
            let place = place.saturating_add(1);
            format!(
                "Character {place} of the value of {{{name}}} is {character:?}, which is not legal \
                 there. Legal are letters and digits of ASCII and - _ . @, in a user's id also :"
            )
        }
        MappingErrorKind::NotAnId(IdFault::Ends) if value.is_empty() => {
            format!("The value of {{{name}}} is empty.")
        }
        MappingErrorKind::NotAnId(IdFault::Ends) => format!(
            "The value of {{{name}}} has to begin and to end with a letter or a digit of ASCII."
        ),
        MappingErrorKind::NotAUserArn => format!(
            "The whole has to be arn:aws:chime:REGION:ACCOUNT:app-instance/ID/user/ID, each id with \
             1 to 64 characters; with {{{name}}} filled in, it is not."
        ),
    }
}

/// What works, or would work, and should not be relied upon.
pub fn warnings(
    config: &Config,
    event_source: EventSource,
    identity: Option<&Identity<'_>>,
    user: Option<&AppInstanceUserArn>,
) {
    for name in config.user_arn().names() {
        for warning in name_warnings(name, event_source, identity) {
            say("warning", &warning);
        }
    }
    if !REGIONS.contains(&config.region()) {
        let region = shown(config.region());
        let warning = format!(
            "Chime is asked in {region}, and its messaging exists in {} only.",
            REGIONS.join(" and ")
        );
        say("warning", &warning);
    }
    let users_region = user.and_then(|user| user.as_str().split(':').nth(3));
    if let Some(region) = users_region
        && region != config.region()
    {
        let warning = format!(
            "The user is of {region}, and Chime is asked in {}: set AWS_REGION.",
            config.region()
        );
        say("warning", &warning);
    }
}

fn name_warnings(
    name: &str,
    event_source: EventSource,
    identity: Option<&Identity<'_>>,
) -> Vec<String> {
    let shown = shown(name);
    let mut warnings = Vec::new();
    let is_claim = event_source.authorizer() == "claims";
    if is_claim && is_attribute(name) {
        warnings.push(format!(
            "Users can commonly write {{{shown}}} themselves, and then be anybody. It is safe only \
             if no app client has write access to it: see docs/user-mapping.md."
        ));
    }
    let is_access_token = |identity: &Identity<'_>| {
        identity.value("token_use").as_deref() == Some("access") && identity.value(name).is_none()
    };
    if is_claim && is_attribute(name) && identity.is_some_and(is_access_token) {
        warnings.push(format!(
            "This is an access token, and {{{shown}}} is in ID tokens: send the ID token, or use \
             {{sub}}, which is in both."
        ));
    }
    if name == "roleSessionName" {
        warnings.push(
            "Whoever assumes a role chooses the session's name. {roleSessionName} is safe only if \
             nobody but a service of yours can assume it."
                .to_owned(),
        );
    }
    let value = identity.and_then(|identity| identity.value(name));
    if value.is_some_and(|value| value.ends_with(POOL_SESSION)) {
        warnings.push(format!(
            "All users of an identity pool have the same {{{shown}}}, and would be one user: take \
             {{cognitoIdentityId}}."
        ));
    }
    warnings
}
