//! Authorizer context → [`Caller`]: the only source of a Chime bearer.
//!
//! Values come from the authorizer context of the event and from nowhere else. The shape of the context
//! decides which part is read, before any name is looked up. So a name that is missing in one place is
//! never found in a second one. Anything ambiguous is refused.
//!
//! Only this module can make a [`Caller`], and a Chime call needs one:
//!
//! ```compile_fail
//! fn forge(user: chime_message_status::domain::AppInstanceUserArn) {
//!     let _ = chime_message_status::caller::Caller { user };
//! }
//! ```

use std::borrow::Cow;
use std::fmt;

use crate::domain::{
    AppInstanceUserArn, MappingError, MappingErrorKind, RoleSession, SessionRole, UserArnPattern,
};
use crate::event::{AuthorizerData, Event};
use crate::json::{Json, Members};

/// Placeholder for the session name of an IAM role. It needs `SESSION_ROLE_ARN`.
pub(crate) const ROLE_SESSION_NAME: &str = "roleSessionName";
const COGNITO_IDENTITY_ID: &str = "cognitoIdentityId";
/// Keys that a gateway writes: the `claims` object, and the keys beside it.
const GATEWAY_KEYS: [&str; 3] = ["claims", "scopes", "integrationLatency"];

/// The operator's rule that maps an identity to an AppInstanceUser.
pub struct UserMapping {
    pattern: UserArnPattern,
    session_role: Option<SessionRole>,
}

impl UserMapping {
    /// Combines the pattern and the trusted role. Returns `None` if the pattern uses
    /// `{roleSessionName}` without a role, because any role that may call the API could then choose the
    /// user.
    pub fn new(pattern: UserArnPattern, session_role: Option<SessionRole>) -> Option<Self> {
        let needs_role = pattern.names().any(|name| name == ROLE_SESSION_NAME);
        (session_role.is_some() || !needs_role).then_some(Self {
            pattern,
            session_role,
        })
    }

    /// The pattern of `APP_INSTANCE_USER_ARN`.
    pub fn pattern(&self) -> &UserArnPattern {
        &self.pattern
    }
}

/// An authenticated caller and the AppInstanceUser that it maps to.
pub struct Caller {
    user: AppInstanceUserArn,
}

impl Caller {
    /// Identifies the caller of a request, and the source of the event.
    ///
    /// # Errors
    /// [`IdentityError`] if the request is not authenticated, or the mapping does not lead to a user.
    pub fn identify(
        event: &Event<'_>,
        mapping: &UserMapping,
    ) -> (EventSource, Result<Self, IdentityError>) {
        let (source, identity) = Identity::of(event);
        let caller = identity.and_then(|identity| identity.caller(mapping));
        (source, caller)
    }

    /// The AppInstanceUser that is sent as the Chime bearer.
    pub fn user(&self) -> &AppInstanceUserArn {
        &self.user
    }
}

/// The reason why a request has no caller.
#[derive(Debug)]
pub enum IdentityError {
    /// The request has no authenticated identity.
    Unauthenticated(UnauthenticatedReason),
    /// The identity does not map to an AppInstanceUser.
    Unmapped(MappingError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated(reason) => reason.fmt(formatter),
            Self::Unmapped(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for IdentityError {}

/// The reason why a request is not authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnauthenticatedReason {
    /// The event has no authorizer context, or an empty one. Usually the route has no authorizer.
    NoAuthorizer,
    /// The authorizer context can be read in two ways.
    Ambiguous,
    /// The Cognito identity is an unauthenticated (guest) identity.
    GuestIdentity,
    /// The request was signed in a session of a role other than `SESSION_ROLE_ARN`.
    UntrustedRole,
}

impl fmt::Display for UnauthenticatedReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoAuthorizer => "the event has no authorizer context",
            Self::Ambiguous => {
                "the authorizer context has a name twice, two authorizers, or other keys beside claims"
            }
            Self::GuestIdentity => "the Cognito identity is unauthenticated",
            Self::UntrustedRole => "the role of the session is not SESSION_ROLE_ARN",
        })
    }
}

/// The gateway and the kind of authorizer that a request came through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventSource {
    gateway: &'static str,
    authorizer: &'static str,
}

impl EventSource {
    /// `http-api`, `http-api-1.0` (payload format 1.0), `rest-api` or `function-url`.
    pub fn gateway(&self) -> &'static str {
        self.gateway
    }

    /// `claims`, `lambda`, `iam` or `none`.
    pub fn authorizer(&self) -> &'static str {
        self.authorizer
    }
}

/// An authenticated identity, before it is mapped to a user.
pub struct Identity<'e>(AuthContext<'e>);

enum AuthContext<'e> {
    /// Claims of a JWT.
    Claims(&'e Members<'e>),
    /// Context of a Lambda authorizer.
    Context(&'e Members<'e>),
    /// IAM principal that signed the request.
    Signer(Signer<'e>),
}

/// An IAM principal.
struct Signer<'e> {
    cognito_identity_id: Option<&'e Json<'e>>,
    user_arn: Option<&'e Json<'e>>,
}

const NO_AUTHORIZER: IdentityError =
    IdentityError::Unauthenticated(UnauthenticatedReason::NoAuthorizer);
const AMBIGUOUS: IdentityError = IdentityError::Unauthenticated(UnauthenticatedReason::Ambiguous);
const GUEST_IDENTITY: IdentityError =
    IdentityError::Unauthenticated(UnauthenticatedReason::GuestIdentity);
const UNTRUSTED_ROLE: IdentityError =
    IdentityError::Unauthenticated(UnauthenticatedReason::UntrustedRole);

impl<'e> Identity<'e> {
    /// Reads the authorizer context of an event.
    ///
    /// # Errors
    /// [`IdentityError::Unauthenticated`] if it contains no identity.
    pub fn of(event: &'e Event<'_>) -> (EventSource, Result<Self, IdentityError>) {
        let (gateway, context) = match &event.authorizer {
            AuthorizerData::V2 {
                authorizer,
                is_function_url,
            } => {
                let gateway = if *is_function_url {
                    "function-url"
                } else {
                    "http-api"
                };
                let context = AuthContext::from_v2(authorizer.as_ref(), *is_function_url);
                (gateway, context)
            }
            AuthorizerData::V1 {
                authorizer,
                identity,
                is_http_api,
            } => {
                let gateway = if *is_http_api {
                    "http-api-1.0"
                } else {
                    "rest-api"
                };
                let context = AuthContext::from_v1(authorizer.as_ref(), identity.as_ref());
                (gateway, context)
            }
        };
        let authorizer = context.as_ref().map_or("none", AuthContext::authorizer);
        let source = EventSource {
            gateway,
            authorizer,
        };
        (source, context.map(Self))
    }

    fn caller(&self, mapping: &UserMapping) -> Result<Caller, IdentityError> {
        if let AuthContext::Signer(signer) = &self.0
            && let Some(role) = &mapping.session_role
            && mapping
                .pattern
                .names()
                .any(|name| name == ROLE_SESSION_NAME)
            && signer
                .session()
                .is_some_and(|session| !role.is_role_of(&session))
        {
            return Err(UNTRUSTED_ROLE);
        }
        let user = mapping
            .pattern
            .fill(|name| self.value(name))
            .map_err(IdentityError::Unmapped)?;
        Ok(Caller { user })
    }

    /// The names that a pattern could use with this identity, whatever their values are.
    pub fn names(&self) -> Vec<&'e str> {
        match &self.0 {
            AuthContext::Claims(members) | AuthContext::Context(members) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, _)| name)
                .collect(),
            AuthContext::Signer(_) => [COGNITO_IDENTITY_ID, ROLE_SESSION_NAME]
                .into_iter()
                .filter(|name| self.value(name).is_ok())
                .collect(),
        }
    }

    /// The value of a name: a string or a whole number.
    ///
    /// # Errors
    /// The reason why the name has no usable value.
    pub fn value(&self, name: &str) -> Result<Cow<'e, str>, MappingErrorKind> {
        let value = match &self.0 {
            AuthContext::Claims(members) | AuthContext::Context(members) => members.get(name),
            AuthContext::Signer(signer) => match name {
                COGNITO_IDENTITY_ID => signer.cognito_identity_id,
                ROLE_SESSION_NAME => return signer.session_name().map(Cow::Borrowed),
                _ => None,
            },
        };
        match value {
            Some(Json::String(text)) => Ok(Cow::Borrowed(text)),
            Some(Json::Integer(digits)) => Ok(Cow::Borrowed(digits)),
            _ => Err(MappingErrorKind::Missing),
        }
    }
}

impl<'e> AuthContext<'e> {
    /// Reads an event of an HTTP API with payload format 2.0, or of a function URL.
    fn from_v2(
        authorizer: Option<&'e Json<'e>>,
        is_function_url: bool,
    ) -> Result<Self, IdentityError> {
        let authorizer = authorizer.and_then(Json::as_object).ok_or(NO_AUTHORIZER)?;
        if authorizer.is_ambiguous() {
            return Err(AMBIGUOUS);
        }
        let member = |name: &str| authorizer.get(name);
        match (member("jwt"), member("lambda"), member("iam")) {
            (Some(jwt), None, None) => {
                let claims = jwt.as_object().and_then(|jwt| jwt.get("claims"));
                Ok(Self::Claims(non_empty(claims)?))
            }
            (None, Some(context), None) => Ok(Self::Context(non_empty(Some(context))?)),
            (None, None, Some(iam)) => {
                let mut signer = Signer::from_v2(non_empty(Some(iam))?)?;
                if is_function_url {
                    signer.cognito_identity_id = None;
                }
                Ok(Self::Signer(signer))
            }
            (None, None, None) => Err(NO_AUTHORIZER),
            _ => Err(AMBIGUOUS),
        }
    }

    /// Reads an event of a REST API, or of an HTTP API with payload format 1.0.
    fn from_v1(
        authorizer: Option<&'e Json<'e>>,
        identity: Option<&'e Json<'e>>,
    ) -> Result<Self, IdentityError> {
        if [authorizer, identity]
            .into_iter()
            .flatten()
            .any(Json::is_ambiguous)
        {
            return Err(AMBIGUOUS);
        }
        // Without an authorizer, gateways send no object, or one whose members are null. An empty
        // object is ambiguous, so it is refused even if the request is signed.
        let context = match authorizer {
            Some(authorizer) => Some(authorizer.as_object().ok_or(NO_AUTHORIZER)?),
            None => None,
        };
        if context.is_some_and(|context| context.iter().next().is_none()) {
            return Err(NO_AUTHORIZER);
        }
        let Some(context) = context.filter(|context| !context.has_only_nulls()) else {
            return Signer::from_v1(non_empty(identity)?).map(Self::Signer);
        };
        match context.get("claims") {
            Some(claims @ Json::Object(_)) => {
                let other_key = context
                    .iter()
                    .any(|(name, value)| !value.is_null() && !GATEWAY_KEYS.contains(&name));
                if other_key {
                    // A Lambda authorizer may have added keys beside copied claims.
                    Err(AMBIGUOUS)
                } else {
                    Ok(Self::Claims(non_empty(Some(claims))?))
                }
            }
            _ => Ok(Self::Context(context)),
        }
    }

    fn authorizer(&self) -> &'static str {
        match self {
            Self::Claims(_) => "claims",
            Self::Context(_) => "lambda",
            Self::Signer(_) => "iam",
        }
    }
}

/// An object with at least one member that is not null.
fn non_empty<'e>(value: Option<&'e Json<'e>>) -> Result<&'e Members<'e>, IdentityError> {
    value
        .and_then(Json::as_object)
        .filter(|members| !members.has_only_nulls())
        .ok_or(NO_AUTHORIZER)
}

impl<'e> Signer<'e> {
    fn from_v2(iam: &'e Members<'e>) -> Result<Self, IdentityError> {
        let cognito_identity_id = match iam.get("cognitoIdentity") {
            None => None,
            Some(cognito) => {
                let cognito = cognito.as_object().ok_or(GUEST_IDENTITY)?;
                if !cognito.get("amr").is_some_and(is_authenticated) {
                    return Err(GUEST_IDENTITY);
                }
                cognito.get("identityId")
            }
        };
        Ok(Self {
            cognito_identity_id,
            user_arn: iam.get("userArn"),
        })
    }

    fn from_v1(identity: &'e Members<'e>) -> Result<Self, IdentityError> {
        // Every REST event has an identity with the client's address. Only a signed request has these.
        let is_signed = ["cognitoIdentityId", "userArn", "caller"]
            .iter()
            .any(|name| identity.get(name).is_some());
        if !is_signed {
            return Err(NO_AUTHORIZER);
        }
        let cognito_identity_id = identity.get("cognitoIdentityId");
        // REST APIs report the type. HTTP APIs with payload format 1.0 report the `amr` claim.
        let evidence = [
            identity.get("cognitoAuthenticationType"),
            identity.get("cognitoAmr"),
        ];
        let has_evidence = evidence.iter().any(Option::is_some);
        let all_authenticated = evidence.into_iter().flatten().all(is_authenticated);
        if !all_authenticated || cognito_identity_id.is_some() && !has_evidence {
            return Err(GUEST_IDENTITY);
        }
        Ok(Self {
            cognito_identity_id,
            user_arn: identity.get("userArn"),
        })
    }

    fn session(&self) -> Option<RoleSession<'e>> {
        RoleSession::parse(self.user_arn?.as_str()?)
    }

    fn session_name(&self) -> Result<&'e str, MappingErrorKind> {
        let session = self.session().ok_or(MappingErrorKind::NoRoleSession)?;
        session.user_name().ok_or(MappingErrorKind::SharedSession)
    }
}

/// Whether Cognito reports a login: `"authenticated"`, or a list that contains it.
fn is_authenticated(value: &Json<'_>) -> bool {
    match value {
        Json::Array(items) => items
            .iter()
            .any(|item| item.as_str() == Some("authenticated")),
        value => value.as_str() == Some("authenticated"),
    }
}
