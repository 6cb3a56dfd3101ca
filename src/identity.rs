//! Authorizer context → [`Caller`]: the only source of a Chime bearer.
//!
//! Values come from the authorizer context of the event and from nowhere else. The pattern decides which
//! part of the context is read, before any name is looked up. So a name that is missing in one place is
//! never found in a second one. A context that can be read in two ways is refused.
//!
//! The context is raw JSON, and only the values that the pattern names are decoded. So no other claim can
//! make a request fail, whatever it contains.
//!
//! Only this module can make a [`Caller`], and a Chime call needs one:
//!
//! ```compile_fail
//! fn forge(user: chime_message_status::arn::AppInstanceUserArn) {
//!     let _ = chime_message_status::identity::Caller { user };
//! }
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::arn::AppInstanceUserArn;
use crate::event::{Event, Gateway};
use crate::json::{self, Object};
use crate::session_role::{RoleSession, SessionRole};
use crate::user_arn::{MappingError, MappingErrorKind, UserArnPattern};

/// Placeholder for the identity of a Cognito identity pool.
const COGNITO_IDENTITY_ID: &str = "cognitoIdentityId";
/// Placeholder for the session name of an IAM role.
const ROLE_SESSION_NAME: &str = "roleSessionName";
const SIGNER_NAMES: [&str; 2] = [COGNITO_IDENTITY_ID, ROLE_SESSION_NAME];

/// The operator's rule that maps an identity to an AppInstanceUser.
pub struct UserMapping {
    pattern: UserArnPattern,
    source: Source,
}

/// The part of an event that holds the values of a pattern.
enum Source {
    /// Claims, or the context of a Lambda authorizer. With an issuer, claims of this issuer only.
    Authorizer { issuer: Option<String> },
    /// The IAM principal that signed the request. With a role, sessions of this role only.
    Signer { role: Option<SessionRole> },
}

/// The reason why the settings of a mapping do not fit together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UserMappingError {
    #[error("it mixes {{cognitoIdentityId}} or {{roleSessionName}} with names of claims")]
    MixedNames,
    #[error("APP_INSTANCE_USER_ARN uses names of IAM signers, which have no issuer")]
    IssuerOfSigner,
    /// Without the role, any role that may call the API could choose the user.
    #[error("it is required, because APP_INSTANCE_USER_ARN uses {{roleSessionName}}")]
    MissingRole,
}

impl UserMapping {
    /// Combines the pattern with the trusted issuer and the trusted role. The role has no effect on a pattern
    /// that does not use `{roleSessionName}`.
    pub fn new(
        pattern: UserArnPattern,
        issuer: Option<String>,
        role: Option<SessionRole>,
    ) -> Result<Self, UserMappingError> {
        let names = pattern.names();
        let is_of_signer = |name: &&str| SIGNER_NAMES.contains(name);
        let source = if !names.iter().any(is_of_signer) {
            Source::Authorizer { issuer }
        } else if !names.iter().all(is_of_signer) {
            return Err(UserMappingError::MixedNames);
        } else if issuer.is_some() {
            return Err(UserMappingError::IssuerOfSigner);
        } else if names.contains(&ROLE_SESSION_NAME) {
            let role = Some(role.ok_or(UserMappingError::MissingRole)?);
            Source::Signer { role }
        } else {
            Source::Signer { role: None }
        };
        Ok(Self { pattern, source })
    }

    pub fn pattern(&self) -> &UserArnPattern {
        &self.pattern
    }
}

/// An authenticated caller and the AppInstanceUser that it maps to.
pub struct Caller {
    user: AppInstanceUserArn,
    authorizer: Authorizer,
}

/// The kind of authorizer that authenticated a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorizer {
    Claims,
    Lambda,
    Iam,
}

impl Caller {
    /// Identifies the caller of a request.
    pub fn identify(event: &Event<'_>, mapping: &UserMapping) -> Result<Self, IdentityError> {
        let identity = Identity::read(event, &mapping.source)?;
        let user = mapping.pattern.fill(|name| identity.value(name))?;
        Ok(Self {
            user,
            authorizer: identity.authorizer(),
        })
    }

    /// The AppInstanceUser that is sent as the Chime bearer.
    pub fn user(&self) -> &AppInstanceUserArn {
        &self.user
    }

    pub fn authorizer(&self) -> Authorizer {
        self.authorizer
    }
}

/// The reason why a request has no caller. All but [`Unmapped`](Self::Unmapped) mean that it is not authenticated.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IdentityError {
    /// Usually the route has no authorizer, or one of another kind.
    #[error("the event has no authorizer context for the names in APP_INSTANCE_USER_ARN")]
    NoContext,
    #[error("the authorizer context has two authorizers, or other keys beside claims")]
    Ambiguous,
    #[error("the identity is not a token of TOKEN_ISSUER")]
    OtherIssuer,
    #[error("the Cognito identity is unauthenticated")]
    Guest,
    #[error("the role of the session is not SESSION_ROLE_ARN")]
    OtherRole,
    #[error(transparent)]
    Unmapped(#[from] MappingError),
}

/// What an event offers to a pattern, for tools that explain a mapping. It makes no [`Caller`].
pub struct Offer {
    pub authorizer: Authorizer,
    /// The names that a pattern can use, each with its value if that is a string.
    pub values: BTreeMap<String, Option<String>>,
}

impl Offer {
    /// Reads all offers of an event. An event that identifies no one has none.
    pub fn all(event: &Event<'_>) -> Vec<Self> {
        let sources = [
            Source::Authorizer { issuer: None },
            Source::Signer { role: None },
        ];
        let identities = sources
            .iter()
            .filter_map(|source| Identity::read(event, source).ok());
        let offers = identities.map(|identity| {
            let with_value = |name: &str| (name.to_owned(), identity.value(name).ok());
            let values = match &identity {
                Identity::Claims(members) | Identity::LambdaContext(members) => members
                    .members()
                    .filter(|(name, _)| !SIGNER_NAMES.contains(name))
                    .map(|(name, _)| with_value(name))
                    .collect(),
                Identity::Signer(_) => SIGNER_NAMES
                    .map(with_value)
                    .into_iter()
                    .filter(|(_, value)| value.is_some())
                    .collect(),
            };
            Self {
                authorizer: identity.authorizer(),
                values,
            }
        });
        offers.collect()
    }
}

/// An authenticated identity, before it is mapped to a user.
enum Identity<'e> {
    Claims(Object<'e>),
    LambdaContext(Object<'e>),
    Signer(Signer<'e>),
}

impl<'e> Identity<'e> {
    fn read(event: &Event<'e>, source: &Source) -> Result<Self, IdentityError> {
        let has_format_2 = event.gateway.has_format_2();
        match source {
            Source::Authorizer { issuer } => {
                let identity = if has_format_2 {
                    Self::of_format_2(event)?
                } else {
                    Self::of_format_1(event)?
                };
                identity.check_issuer(issuer.as_deref())
            }
            Source::Signer { role } => {
                let signer = if has_format_2 {
                    Signer::of_format_2(event)?
                } else {
                    Signer::of_format_1(event)?
                };
                signer.check_role(role.as_ref()).map(Self::Signer)
            }
        }
    }

    fn of_format_2(event: &Event<'e>) -> Result<Self, IdentityError> {
        let identity = match authorizer_of_format_2(event)? {
            (Authorizer::Claims, jwt) => jwt.get("claims").and_then(non_empty).map(Self::Claims),
            (Authorizer::Lambda, context) => Some(Self::LambdaContext(context)),
            (Authorizer::Iam, _) => None,
        };
        identity.ok_or(IdentityError::NoContext)
    }

    /// Reads an event of a REST API, or of an HTTP API with payload format 1.0.
    ///
    /// In a REST event, an object `claims` is the gateway's own: Lambda authorizers cannot return objects. An
    /// HTTP API with format 1.0 passes on what its authorizer returned, so there the author of other keys is
    /// unknown.
    fn of_format_1(event: &Event<'e>) -> Result<Self, IdentityError> {
        let context = event.authorizer.and_then(non_empty);
        let context = context.ok_or(IdentityError::NoContext)?;
        let Some(claims) = context.get("claims").and_then(Object::parse) else {
            return Ok(Self::LambdaContext(context));
        };
        let has_other_keys = context
            .members()
            .any(|(name, value)| value.get() != "null" && !["claims", "scopes"].contains(&name));
        if has_other_keys && event.gateway == Gateway::HttpApiFormat1 {
            return Err(IdentityError::Ambiguous);
        }
        if claims.is_empty() {
            return Err(IdentityError::NoContext);
        }
        Ok(Self::Claims(claims))
    }

    /// Checks the issuer, if one is required. `sub` is unique within one issuer only.
    fn check_issuer(self, required: Option<&str>) -> Result<Self, IdentityError> {
        match (required, &self) {
            (None, _) => Ok(self),
            (issuer, Self::Claims(claims)) if claims.string("iss").as_deref() == issuer => Ok(self),
            _ => Err(IdentityError::OtherIssuer),
        }
    }

    /// The value of a name, which must be a string: `"42"` and `42` may be two users.
    fn value(&self, name: &str) -> Result<String, MappingErrorKind> {
        let value = match self {
            Self::Claims(members) | Self::LambdaContext(members) => members.string(name),
            Self::Signer(signer) if name == ROLE_SESSION_NAME => return signer.session_name(),
            Self::Signer(signer) => signer.cognito_identity_id.clone(),
        };
        value.map(Cow::into_owned).ok_or(MappingErrorKind::Missing)
    }

    fn authorizer(&self) -> Authorizer {
        match self {
            Self::Claims(_) => Authorizer::Claims,
            Self::LambdaContext(_) => Authorizer::Lambda,
            Self::Signer(_) => Authorizer::Iam,
        }
    }
}

/// The one authorizer of an event with payload format 2.0. Local gateways send `{}` for one that is absent.
fn authorizer_of_format_2<'e>(
    event: &Event<'e>,
) -> Result<(Authorizer, Object<'e>), IdentityError> {
    let all = event.authorizer.and_then(Object::parse);
    let all = all.ok_or(IdentityError::NoContext)?;
    let is_absent = |value: &RawValue| {
        Object::parse(value).is_some_and(|object| object.members().next().is_none())
    };
    let present = |name| all.get(name).filter(|value| !is_absent(value));
    let (kind, context) = match (present("jwt"), present("lambda"), present("iam")) {
        (Some(jwt), None, None) => (Authorizer::Claims, jwt),
        (None, Some(lambda), None) => (Authorizer::Lambda, lambda),
        (None, None, Some(iam)) => (Authorizer::Iam, iam),
        (None, None, None) => return Err(IdentityError::NoContext),
        _ => return Err(IdentityError::Ambiguous),
    };
    let context = non_empty(context).ok_or(IdentityError::NoContext)?;
    Ok((kind, context))
}

/// An IAM principal that signed a request.
struct Signer<'e> {
    user_arn: Option<Cow<'e, str>>,
    cognito_identity_id: Option<Cow<'e, str>>,
}

impl<'e> Signer<'e> {
    fn of_format_2(event: &Event<'e>) -> Result<Self, IdentityError> {
        let (Authorizer::Iam, iam) = authorizer_of_format_2(event)? else {
            return Err(IdentityError::NoContext);
        };
        let mut signer = Self {
            user_arn: iam.string("userArn"),
            cognito_identity_id: None,
        };
        if let Some(cognito) = iam.get("cognitoIdentity") {
            let cognito = Object::parse(cognito).ok_or(IdentityError::Guest)?;
            if !cognito.get("amr").is_some_and(is_authenticated) {
                return Err(IdentityError::Guest);
            }
            // Function URLs report no Cognito identity.
            if event.gateway != Gateway::FunctionUrl {
                signer.cognito_identity_id = cognito.string("identityId");
            }
        }
        Ok(signer)
    }

    fn of_format_1(event: &Event<'e>) -> Result<Self, IdentityError> {
        let identity = event.identity.and_then(Object::parse);
        let identity = identity.ok_or(IdentityError::NoContext)?;
        // Every event has an identity with the client's address. Only a signed request has these.
        let mut of_signer = [COGNITO_IDENTITY_ID, "userArn", "caller"].iter();
        if !of_signer.any(|name| identity.get(name).is_some()) {
            return Err(IdentityError::NoContext);
        }
        // REST APIs report the type. HTTP APIs with payload format 1.0 report the `amr` claim.
        let evidence: Vec<_> = ["cognitoAuthenticationType", "cognitoAmr"]
            .iter()
            .filter_map(|name| identity.get(name))
            .collect();
        let is_cognito = identity.get(COGNITO_IDENTITY_ID).is_some();
        if !evidence.iter().copied().all(is_authenticated) || is_cognito && evidence.is_empty() {
            return Err(IdentityError::Guest);
        }
        Ok(Self {
            user_arn: identity.string("userArn"),
            cognito_identity_id: identity.string(COGNITO_IDENTITY_ID),
        })
    }

    /// Checks that a session belongs to the trusted role. A signer that is not a session has no session name.
    fn check_role(self, trusted: Option<&SessionRole>) -> Result<Self, IdentityError> {
        match (trusted, self.session()) {
            (Some(role), Some(session)) if !role.is_role_of(&session) => {
                Err(IdentityError::OtherRole)
            }
            _ => Ok(self),
        }
    }

    fn session(&self) -> Option<RoleSession<'_>> {
        RoleSession::parse(self.user_arn.as_deref()?)
    }

    fn session_name(&self) -> Result<String, MappingErrorKind> {
        let session = self.session().ok_or(MappingErrorKind::NoRoleSession)?;
        let name = session.user_name().ok_or(MappingErrorKind::SharedSession)?;
        Ok(name.to_owned())
    }
}

/// An object with members that are not all null.
fn non_empty(value: &RawValue) -> Option<Object<'_>> {
    Object::parse(value).filter(|object| !object.is_empty())
}

/// Whether Cognito reports a login: `"authenticated"`, or a list that contains it.
fn is_authenticated(value: &RawValue) -> bool {
    let is_login = |value: &RawValue| json::string(value).as_deref() == Some("authenticated");
    let items = json::array(value).unwrap_or_default();
    is_login(value) || items.into_iter().any(is_login)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(pattern: &str, issuer: bool, role: bool) -> Result<(), UserMappingError> {
        let user = format!("arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{pattern}");
        let pattern = UserArnPattern::parse(&user).expect("a pattern");
        let issuer = issuer.then(|| "https://issuer.example".to_owned());
        let role = role.then_some("arn:aws:iam::111122223333:role/chat");
        UserMapping::new(pattern, issuer, role.and_then(SessionRole::parse)).map(|_| ())
    }

    #[test]
    fn settings_that_do_not_fit_together_are_errors() {
        for (name, issuer, role, expected) in [
            ("{sub}", false, false, Ok(())),
            ("{sub}", true, true, Ok(())),
            ("{cognitoIdentityId}", false, false, Ok(())),
            ("{cognitoIdentityId}", false, true, Ok(())),
            ("{roleSessionName}", false, true, Ok(())),
            (
                "{roleSessionName}",
                false,
                false,
                Err(UserMappingError::MissingRole),
            ),
            (
                "{roleSessionName}",
                true,
                true,
                Err(UserMappingError::IssuerOfSigner),
            ),
            (
                "{cognitoIdentityId}",
                true,
                false,
                Err(UserMappingError::IssuerOfSigner),
            ),
        ] {
            assert_eq!(
                mapping(name, issuer, role),
                expected,
                "{name} {issuer} {role}"
            );
        }
        let mixed =
            "arn:aws:chime:us-east-1:111122223333:app-instance/{tenant}/user/{roleSessionName}";
        let mixed = UserArnPattern::parse(mixed).expect("a pattern");
        let error = UserMapping::new(mixed, None, None).err();
        assert_eq!(error, Some(UserMappingError::MixedNames));
    }
}
