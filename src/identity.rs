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
    /// Names of signers beside other names.
    #[error("it mixes {{cognitoIdentityId}} or {{roleSessionName}} with names of claims")]
    MixedNames,
    /// An issuer, but no claims.
    #[error("APP_INSTANCE_USER_ARN uses names of IAM signers, which have no issuer")]
    IssuerOfSigner,
    /// Without the role, any role that may call the API could choose the user.
    #[error("it is required, because APP_INSTANCE_USER_ARN uses {{roleSessionName}}")]
    MissingRole,
}

impl UserMapping {
    /// Combines the pattern with the trusted issuer and the trusted role. The role has no effect on a pattern
    /// that does not use `{roleSessionName}`.
    ///
    /// # Errors
    /// [`UserMappingError`] if they do not fit together.
    pub fn new(
        pattern: UserArnPattern,
        issuer: Option<String>,
        role: Option<SessionRole>,
    ) -> Result<Self, UserMappingError> {
        let names = pattern.names();
        let is_of_signer = |name: &&str| [COGNITO_IDENTITY_ID, ROLE_SESSION_NAME].contains(name);
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

    /// The pattern of `APP_INSTANCE_USER_ARN`.
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
    /// Claims of a token, checked by a JWT or Cognito authorizer.
    Claims,
    /// Context of a Lambda authorizer.
    Lambda,
    /// A signature of an IAM principal.
    Iam,
}

impl Caller {
    /// Identifies the caller of a request.
    ///
    /// # Errors
    /// [`IdentityError`] if the request is not authenticated, or the mapping does not lead to a user.
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

    /// The kind of authorizer.
    pub fn authorizer(&self) -> Authorizer {
        self.authorizer
    }
}

/// What an event offers to a pattern, for tools that explain a mapping. It makes no [`Caller`].
pub struct Offer {
    /// The kind of authorizer.
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
        identities.map(|identity| identity.offer()).collect()
    }
}

/// The reason why a request has no caller.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IdentityError {
    /// The request has no authenticated identity.
    #[error("{0}")]
    Unauthenticated(Unauthenticated),
    /// The identity does not map to an AppInstanceUser.
    #[error("{0}")]
    Unmapped(#[from] MappingError),
}

/// The reason why a request is not authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unauthenticated {
    /// The part of the event that the pattern names is missing or empty. Usually the route has no authorizer,
    /// or one of another kind.
    #[error("the event has no authorizer context for the names in APP_INSTANCE_USER_ARN")]
    NoContext,
    /// The authorizer context can be read in two ways.
    #[error("the authorizer context has two authorizers, or other keys beside claims")]
    Ambiguous,
    /// The claims are of another issuer, or there are no claims.
    #[error("the identity is not a token of TOKEN_ISSUER")]
    OtherIssuer,
    /// The Cognito identity is an unauthenticated (guest) identity.
    #[error("the Cognito identity is unauthenticated")]
    Guest,
    /// The request was signed in a session of a role other than `SESSION_ROLE_ARN`.
    #[error("the role of the session is not SESSION_ROLE_ARN")]
    OtherRole,
}

impl From<Unauthenticated> for IdentityError {
    fn from(reason: Unauthenticated) -> Self {
        Self::Unauthenticated(reason)
    }
}

/// An authenticated identity, before it is mapped to a user.
enum Identity<'e> {
    Claims(Object<'e>),
    LambdaContext(Object<'e>),
    Signer(Signer<'e>),
}

impl<'e> Identity<'e> {
    fn read(event: &Event<'e>, source: &Source) -> Result<Self, Unauthenticated> {
        match source {
            Source::Authorizer { issuer } => {
                let identity = if event.gateway.has_format_2() {
                    Self::of_format_2(event)?
                } else {
                    Self::of_format_1(event)?
                };
                identity.check_issuer(issuer.as_deref())
            }
            Source::Signer { role } => {
                let signer = if event.gateway.has_format_2() {
                    Signer::of_format_2(event)?
                } else {
                    Signer::of_format_1(event)?
                };
                signer.check_role(role.as_ref()).map(Self::Signer)
            }
        }
    }

    fn of_format_2(event: &Event<'e>) -> Result<Self, Unauthenticated> {
        let identity = match Format2::read(event)? {
            Format2::Jwt(jwt) => jwt.get("claims").and_then(non_empty).map(Self::Claims),
            Format2::Lambda(context) => Some(Self::LambdaContext(context)),
            Format2::Iam(_) => None,
        };
        identity.ok_or(Unauthenticated::NoContext)
    }

    /// Reads an event of a REST API, or of an HTTP API with payload format 1.0.
    ///
    /// In a REST event, an object `claims` is the gateway's own: Lambda authorizers cannot return objects. An
    /// HTTP API with format 1.0 passes on what its authorizer returned, so there the author of other keys is
    /// unknown.
    fn of_format_1(event: &Event<'e>) -> Result<Self, Unauthenticated> {
        let context = event.authorizer.and_then(non_empty);
        let context = context.ok_or(Unauthenticated::NoContext)?;
        let Some(claims) = context.get("claims").and_then(Object::parse) else {
            return Ok(Self::LambdaContext(context));
        };
        let has_other_keys = context
            .members()
            .any(|(name, value)| value.get() != "null" && !["claims", "scopes"].contains(&name));
        if has_other_keys && event.gateway == Gateway::HttpApiFormat1 {
            return Err(Unauthenticated::Ambiguous);
        }
        if claims.is_empty() {
            return Err(Unauthenticated::NoContext);
        }
        Ok(Self::Claims(claims))
    }

    /// Checks the issuer, if one is required. `sub` is unique within one issuer only.
    fn check_issuer(self, required: Option<&str>) -> Result<Self, Unauthenticated> {
        let Some(required) = required else {
            return Ok(self);
        };
        match &self {
            Self::Claims(claims) if claims.string("iss").as_deref() == Some(required) => Ok(self),
            _ => Err(Unauthenticated::OtherIssuer),
        }
    }

    /// The value of a name, which must be a string: `"42"` and `42` may be two users.
    fn value(&self, name: &str) -> Result<String, MappingErrorKind> {
        match self {
            Self::Claims(members) | Self::LambdaContext(members) => {
                let value = members.string(name).ok_or(MappingErrorKind::Missing)?;
                Ok(value.into_owned())
            }
            Self::Signer(signer) => match name {
                ROLE_SESSION_NAME => signer.session_name(),
                _ => {
                    let id = signer.cognito_identity_id.as_deref();
                    id.map(str::to_owned).ok_or(MappingErrorKind::Missing)
                }
            },
        }
    }

    fn offer(&self) -> Offer {
        let signer_names = [COGNITO_IDENTITY_ID, ROLE_SESSION_NAME];
        let with_value = |name: &str| (name.to_owned(), self.value(name).ok());
        let values = match self {
            Self::Claims(members) | Self::LambdaContext(members) => members
                .members()
                .filter(|(name, value)| value.get() != "null" && !signer_names.contains(name))
                .map(|(name, _)| with_value(name))
                .collect(),
            Self::Signer(_) => signer_names
                .map(with_value)
                .into_iter()
                .filter(|(_, value)| value.is_some())
                .collect(),
        };
        Offer {
            authorizer: self.authorizer(),
            values,
        }
    }

    fn authorizer(&self) -> Authorizer {
        match self {
            Self::Claims(_) => Authorizer::Claims,
            Self::LambdaContext(_) => Authorizer::Lambda,
            Self::Signer(_) => Authorizer::Iam,
        }
    }
}

/// The authorizer of an event with payload format 2.0.
enum Format2<'e> {
    Jwt(Object<'e>),
    Lambda(Object<'e>),
    Iam(Object<'e>),
}

impl<'e> Format2<'e> {
    /// Reads the one authorizer that is present. Local gateways send `{}` for one that is absent.
    fn read(event: &Event<'e>) -> Result<Self, Unauthenticated> {
        let authorizer = event.authorizer.and_then(Object::parse);
        let authorizer = authorizer.ok_or(Unauthenticated::NoContext)?;
        let is_absent = |value: &RawValue| {
            Object::parse(value).is_some_and(|object| object.members().next().is_none())
        };
        let present = |name| authorizer.get(name).filter(|value| !is_absent(value));
        let identity = match (present("jwt"), present("lambda"), present("iam")) {
            (Some(jwt), None, None) => non_empty(jwt).map(Self::Jwt),
            (None, Some(lambda), None) => non_empty(lambda).map(Self::Lambda),
            (None, None, Some(iam)) => non_empty(iam).map(Self::Iam),
            (None, None, None) => None,
            _ => return Err(Unauthenticated::Ambiguous),
        };
        identity.ok_or(Unauthenticated::NoContext)
    }
}

/// An IAM principal that signed a request.
struct Signer<'e> {
    user_arn: Option<Cow<'e, str>>,
    cognito_identity_id: Option<Cow<'e, str>>,
}

impl<'e> Signer<'e> {
    fn of_format_2(event: &Event<'e>) -> Result<Self, Unauthenticated> {
        let Format2::Iam(iam) = Format2::read(event)? else {
            return Err(Unauthenticated::NoContext);
        };
        let cognito_identity_id = match iam.get("cognitoIdentity") {
            None => None,
            Some(cognito) => {
                let cognito = Object::parse(cognito).ok_or(Unauthenticated::Guest)?;
                if !cognito.get("amr").is_some_and(is_authenticated) {
                    return Err(Unauthenticated::Guest);
                }
                cognito.string("identityId")
            }
        };
        Ok(Self {
            user_arn: iam.string("userArn"),
            // Function URLs report no Cognito identity.
            cognito_identity_id: cognito_identity_id
                .filter(|_| event.gateway != Gateway::FunctionUrl),
        })
    }

    fn of_format_1(event: &Event<'e>) -> Result<Self, Unauthenticated> {
        let identity = event.identity.and_then(Object::parse);
        let identity = identity.ok_or(Unauthenticated::NoContext)?;
        // Every event has an identity with the client's address. Only a signed request has these.
        let is_signed = [COGNITO_IDENTITY_ID, "userArn", "caller"]
            .iter()
            .any(|name| identity.get(name).is_some());
        if !is_signed {
            return Err(Unauthenticated::NoContext);
        }
        // REST APIs report the type. HTTP APIs with payload format 1.0 report the `amr` claim.
        let evidence = ["cognitoAuthenticationType", "cognitoAmr"]
            .iter()
            .filter_map(|name| identity.get(name))
            .collect::<Vec<_>>();
        let is_cognito = identity.get(COGNITO_IDENTITY_ID).is_some();
        if !evidence.iter().copied().all(is_authenticated) || is_cognito && evidence.is_empty() {
            return Err(Unauthenticated::Guest);
        }
        Ok(Self {
            user_arn: identity.string("userArn"),
            cognito_identity_id: identity.string(COGNITO_IDENTITY_ID),
        })
    }

    /// Checks that a session belongs to the trusted role. A signer that is not a session has no session name.
    fn check_role(self, trusted: Option<&SessionRole>) -> Result<Self, Unauthenticated> {
        match (trusted, self.session()) {
            (Some(role), Some(session)) if !role.is_role_of(&session) => {
                Err(Unauthenticated::OtherRole)
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
