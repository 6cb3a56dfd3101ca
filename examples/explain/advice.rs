//! What only an operator needs to know about an event: who sent it, what is unsafe, why a value is refused.

use chime_message_status::arn::PartError;
use chime_message_status::config::Config;
use chime_message_status::identity::{Authorizer, IdentityError, Offer};
use chime_message_status::user_arn::MappingErrorKind;
use serde_json::Value;

/// The standard attributes of a Cognito user pool. Users can write them if an app client has write access.
const ATTRIBUTES: &str = "address birthdate email family_name gender given_name locale middle_name \
    name nickname phone_number picture preferred_username profile updated_at website zoneinfo";

/// Members that only the events of other sources have.
const OTHER_SOURCES: [(&str, &str); 8] = [
    ("/requestContext/elb", "an Application Load Balancer"),
    ("/requestContext/connectionId", "a WebSocket API"),
    ("/requestContext/serviceNetworkArn", "VPC Lattice"),
    ("/methodArn", "a REST API, for a Lambda authorizer"),
    ("/routeArn", "an HTTP API, for a Lambda authorizer"),
    ("/Records", "SQS, SNS, S3 or another service with records"),
    ("/detail-type", "EventBridge"),
    ("/key1", "the Test button of the Lambda console"),
];

/// The source of an event that no authorizer of this function checked.
pub fn other_source(payload: &str) -> Option<&'static str> {
    let event: Value = serde_json::from_str(payload).ok()?;
    if event.pointer("/requestContext/stage") == Some(&Value::from("test-invoke-stage")) {
        return Some("the Test button of a REST API in the console, which skips the authorizer");
    }
    let mut sources = OTHER_SOURCES.iter();
    let source = sources.find(|(member, _)| event.pointer(member).is_some());
    source.map(|(_, name)| *name)
}

/// Warnings about a configuration that is valid, but may be unsafe or useless.
pub fn warnings(config: &Config, offers: &[Offer]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut authorizers = offers.iter().map(|offer| offer.authorizer);
    let has_claims = authorizers.any(|authorizer| authorizer == Authorizer::Claims);
    for name in config.mapping.pattern().names() {
        let is_standard = ATTRIBUTES.split(' ').any(|attribute| attribute == name);
        if has_claims && (is_standard || name.starts_with("custom:")) {
            warnings.push(format!(
                "If users can write {{{name}}}, any user can impersonate any other. It is safe only \
                 if no app client has write access to it: see docs/user-mapping.md."
            ));
        }
        if name == "roleSessionName" {
            let warning = "The caller that assumes a role chooses {roleSessionName}. It is safe \
                only if the trust policy of SESSION_ROLE_ARN fixes sts:RoleSessionName.";
            warnings.push(warning.to_owned());
        }
    }
    if !["us-east-1", "eu-central-1"].contains(&config.region.as_str()) {
        let warning = "Chime messaging exists in us-east-1 and eu-central-1 only, not in";
        warnings.push(format!("{warning} {}.", config.region));
    }
    warnings
}

/// The next step after a refusal, where the problem alone does not show it.
pub fn next_step(error: &IdentityError, offers: &[Offer]) -> Option<String> {
    let error = match error {
        IdentityError::Unmapped(error) => error,
        IdentityError::NoContext => {
            let step = "Attach an authorizer to the route, of the kind that the pattern needs.";
            return Some(format!("{step} A token in a header does not count."));
        }
        _ => return None,
    };
    let mut offers = offers.iter();
    let found = offers.find_map(|offer| offer.values.get(&error.name));
    let value = found.and_then(Option::as_deref).unwrap_or_default();
    Some(match error.kind {
        MappingErrorKind::Missing if found.is_none() => {
            "The identity lacks it. Case counts, and access tokens have no attributes.".to_owned()
        }
        MappingErrorKind::SharedSession => "Use {cognitoIdentityId}.".to_owned(),
        MappingErrorKind::NotLegal(PartError::Ends) => {
            "Ids begin and end with a letter or digit. A prefix may help: …/user/u-{sub}".to_owned()
        }
        MappingErrorKind::NotLegal(PartError::Length) => {
            let length = value.chars().count();
            format!("The value has {length} characters. The whole id may have 64.")
        }
        MappingErrorKind::NotLegal(PartError::Character) => {
            let is_of_id = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
            let mut characters = value.chars().zip(1..);
            let (refused, place) = characters.find(|(c, _)| !is_of_id(*c))?;
            format!("Character {place} is {refused:?}. Ids have letters, digits and - _ . @ only.")
        }
        _ => return None,
    })
}
