//! From what the gateway's authorizer says to the [`Caller`]. Nothing outside this room reads an
//! authorizer's words, and nothing else leads to a bearer.
//!
//! Values come from the authorizer context of the event and from nowhere else; which part of it is
//! decided by its shape alone, before any name is looked up, so that a name that is missing in the
//! first place is never found in a second. Whatever is doubtful is refused.

use std::borrow::Cow;
use std::fmt;

use crate::domain::{AppInstanceUserArn, MappingError, UserArnPattern};
use crate::event::{Authorization, Event};
use crate::json::{Json, Members};

/// Somebody whom an authorizer has let in, as Chime knows them.
pub struct Caller {
    pub(crate) user: AppInstanceUserArn,
}

impl Caller {
    /// In whose name Chime is asked.
    pub fn user(&self) -> &AppInstanceUserArn {
        &self.user
    }
}

/// Why there is no caller.
#[derive(Debug)]
pub enum IdentityError {
    /// No authorizer vouches for anybody.
    Unauthenticated(UnauthenticatedReason),
    /// Somebody is vouched for who is no AppInstanceUser.
    Unmapped(MappingError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated(why) => why.fmt(formatter),
            Self::Unmapped(unmapped) => unmapped.fmt(formatter),
        }
    }
}

impl std::error::Error for IdentityError {}

/// Why nobody is vouched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnauthenticatedReason {
    /// The gateway had no authorizer for the request, or one with nothing to say.
    NoAuthorizer,
    /// Two readers of it could come to two results.
    Ambiguous,
    /// An identity of a pool that lets people in who have not logged in.
    NoCognitoUser,
}

impl fmt::Display for UnauthenticatedReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoAuthorizer => "no authorizer said anything",
            Self::Ambiguous => "the authorizer context has a name twice, or two authorizers",
            Self::NoCognitoUser => "the Cognito identity is an unauthenticated one",
        })
    }
}

/// Which gateway and which kind of authorizer a request came through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventSource {
    pub(crate) gateway: &'static str,
    pub(crate) authorizer: &'static str,
}

impl EventSource {
    /// `http-api`, `http-api-1.0` (its payload format 1.0), `rest-api` or `function-url`.
    pub fn gateway(&self) -> &'static str {
        self.gateway
    }

    /// `claims`, `lambda`, `iam` or `none`.
    pub fn authorizer(&self) -> &'static str {
        self.authorizer
    }
}

impl Caller {
    /// Finds out who is calling.
    ///
    /// # Errors
    /// [`IdentityError`], when nobody is vouched for or the mapping does not lead to a user.
    pub fn identify(
        event: &Event<'_>,
        template: &UserArnPattern,
    ) -> (EventSource, Result<Self, IdentityError>) {
        let (event_source, identity) = Identity::of(event);
        let caller = identity.and_then(|identity| {
            let user = template
                .fill(|name| identity.value(name))
                .map_err(IdentityError::Unmapped)?;
            Ok(Self { user })
        });
        (event_source, caller)
    }
}

/// What an authorizer vouches for, before it is mapped to anybody.
pub struct Identity<'e>(AuthContext<'e>);

enum AuthContext<'e> {
    /// A user pool's or an OIDC issuer's claims.
    Claims(&'e Members<'e>),
    /// What a Lambda authorizer returned.
    Context(&'e Members<'e>),
    /// Who signed the request.
    Signer(Signer<'e>),
}

/// An IAM principal, in the terms in which HTTP APIs and function URLs report it.
struct Signer<'e> {
    cognito_identity_id: Option<&'e Json<'e>>,
    user_arn: Option<&'e Json<'e>>,
    user_id: Option<&'e Json<'e>>,
    caller_id: Option<&'e Json<'e>>,
    account_id: Option<&'e Json<'e>>,
}

const NO_AUTHORIZER: IdentityError =
    IdentityError::Unauthenticated(UnauthenticatedReason::NoAuthorizer);
const AMBIGUOUS: IdentityError = IdentityError::Unauthenticated(UnauthenticatedReason::Ambiguous);
const NO_COGNITO_USER: IdentityError =
    IdentityError::Unauthenticated(UnauthenticatedReason::NoCognitoUser);

impl<'e> Identity<'e> {
    /// Where a request came in, and what was vouched for there.
    ///
    /// # Errors
    /// [`IdentityError::Unauthenticated`], when nobody is.
    pub fn of(event: &'e Event<'_>) -> (EventSource, Result<Self, IdentityError>) {
        let (gateway, vouched) = match &event.authorization {
            Authorization::V2 {
                authorizer,
                is_function_url,
            } => {
                let gateway = if *is_function_url {
                    "function-url"
                } else {
                    "http-api"
                };
                (gateway, AuthContext::from_v2(authorizer.as_ref()))
            }
            Authorization::V1 {
                authorizer,
                identity,
                is_http_api,
            } => {
                let gateway = if *is_http_api {
                    "http-api-1.0"
                } else {
                    "rest-api"
                };
                (
                    gateway,
                    AuthContext::from_v1(authorizer.as_ref(), identity.as_ref()),
                )
            }
        };
        let authorizer = vouched.as_ref().map_or("none", AuthContext::authorizer);
        let event_source = EventSource {
            gateway,
            authorizer,
        };
        (event_source, vouched.map(Self))
    }

    /// The names that a template could use here, whatever their values are.
    pub fn names(&self) -> Vec<&'e str> {
        match &self.0 {
            AuthContext::Claims(members) | AuthContext::Context(members) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, _)| name)
                .collect(),
            AuthContext::Signer(_) => SIGNER_NAMES
                .into_iter()
                .filter(|name| self.value(name).is_some())
                .collect(),
        }
    }

    /// The value of a name that a template uses: a string, or a whole number.
    pub fn value(&self, name: &str) -> Option<Cow<'e, str>> {
        self.0.value(name)
    }
}

/// The names that a signed request has, where it has the values.
const SIGNER_NAMES: [&str; 6] = [
    "cognitoIdentityId",
    "userArn",
    "userId",
    "callerId",
    "accountId",
    "roleSessionName",
];

impl<'e> AuthContext<'e> {
    /// HTTP APIs with payload format 2.0, and function URLs.
    fn from_v2(authorizer: Option<&'e Json<'e>>) -> Result<Self, IdentityError> {
        let authorizer = authorizer.and_then(Json::as_object).ok_or(NO_AUTHORIZER)?;
        if authorizer.is_ambiguous() {
            return Err(AMBIGUOUS);
        }
        let one = |name: &str| authorizer.get(name);
        match (one("jwt"), one("lambda"), one("iam")) {
            (Some(jwt), None, None) => {
                let claims = jwt.as_object().and_then(|jwt| jwt.get("claims"));
                Ok(Self::Claims(some_of(claims)?))
            }
            (None, Some(context), None) => Ok(Self::Context(some_of(Some(context))?)),
            (None, None, Some(iam)) => Signer::from_v2(some_of(Some(iam))?).map(Self::Signer),
            (None, None, None) => Err(NO_AUTHORIZER),
            _ => Err(AMBIGUOUS),
        }
    }

    /// REST APIs, and HTTP APIs with payload format 1.0.
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
        // The gateway leaves an authorizer of nulls, or an empty one, where there is none.
        let authorizer = match authorizer {
            Some(authorizer) => {
                let members = authorizer.as_object().ok_or(NO_AUTHORIZER)?;
                (!members.is_empty()).then_some(members)
            }
            None => None,
        };
        match (
            authorizer,
            authorizer.and_then(|members| members.get("claims")),
        ) {
            (_, Some(claims @ Json::Object(_))) => Ok(Self::Claims(some_of(Some(claims))?)),
            (Some(context), _) => Ok(Self::Context(context)),
            (None, _) => Signer::from_v1(some_of(identity)?).map(Self::Signer),
        }
    }

    fn authorizer(&self) -> &'static str {
        match self {
            Self::Claims(_) => "claims",
            Self::Context(_) => "lambda",
            Self::Signer(_) => "iam",
        }
    }

    fn value(&self, name: &str) -> Option<Cow<'e, str>> {
        let value = match self {
            Self::Claims(members) | Self::Context(members) => members.get(name),
            Self::Signer(signer) => match name {
                "cognitoIdentityId" => signer.cognito_identity_id,
                "userArn" => signer.user_arn,
                "userId" => signer.user_id,
                // REST APIs call it `caller`.
                "callerId" | "caller" => signer.caller_id,
                "accountId" => signer.account_id,
                "roleSessionName" => return signer.role_session_name().map(Cow::Borrowed),
                _ => None,
            },
        };
        match value? {
            Json::String(text) => Some(Cow::Borrowed(text)),
            Json::Integer(digits) => Some(Cow::Borrowed(digits)),
            _ => None,
        }
    }
}

/// An object with something in it.
fn some_of<'e>(value: Option<&'e Json<'e>>) -> Result<&'e Members<'e>, IdentityError> {
    value
        .and_then(Json::as_object)
        .filter(|members| !members.is_empty())
        .ok_or(NO_AUTHORIZER)
}

impl<'e> Signer<'e> {
    fn from_v2(iam: &'e Members<'e>) -> Result<Self, IdentityError> {
        let cognito_identity_id = match iam.get("cognitoIdentity") {
            None => None,
            Some(cognito) => {
                let cognito = cognito.as_object().ok_or(NO_COGNITO_USER)?;
                if !cognito.get("amr").is_some_and(says_authenticated) {
                    return Err(NO_COGNITO_USER);
                }
                cognito.get("identityId")
            }
        };
        Ok(Self {
            cognito_identity_id,
            user_arn: iam.get("userArn"),
            user_id: iam.get("userId"),
            caller_id: iam.get("callerId"),
            account_id: iam.get("accountId"),
        })
    }

    fn from_v1(identity: &'e Members<'e>) -> Result<Self, IdentityError> {
        let signer = Self {
            cognito_identity_id: identity.get("cognitoIdentityId"),
            user_arn: identity.get("userArn"),
            user_id: identity.get("user"),
            caller_id: identity.get("caller"),
            account_id: identity.get("accountId"),
        };
        // Every REST event has an identity with the address of the client; only a signed request's
        // has more.
        let signed = [
            signer.cognito_identity_id,
            signer.user_arn,
            signer.caller_id,
        ];
        if signed.iter().all(Option::is_none) {
            return Err(NO_AUTHORIZER);
        }
        // REST APIs report the type, HTTP APIs with payload format 1.0 the `amr` claim.
        let vouchers = [
            identity.get("cognitoAuthenticationType"),
            identity.get("cognitoAmr"),
        ];
        let vouched = vouchers.iter().any(Option::is_some);
        let all_good = vouchers.into_iter().flatten().all(says_authenticated);
        if !all_good || signer.cognito_identity_id.is_some() && !vouched {
            return Err(NO_COGNITO_USER);
        }
        Ok(signer)
    }

    /// The session name in `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    fn role_session_name(&self) -> Option<&'e str> {
        let mut fields = self.user_arn?.as_str()?.splitn(6, ':');
        let [arn, _partition, service, _region, _account, resource] =
            std::array::from_fn(|_| fields.next());
        let mut segments = resource?.split('/');
        let [label, _role, session] = std::array::from_fn(|_| segments.next());
        let is_assumed_role = arn == Some("arn")
            && service == Some("sts")
            && label == Some("assumed-role")
            && segments.next().is_none();
        session.filter(|_| is_assumed_role)
    }
}

/// `"authenticated"`, or a list with it: how Cognito says that somebody logged in.
fn says_authenticated(value: &Json<'_>) -> bool {
    match value {
        Json::Array(items) => items
            .iter()
            .any(|item| item.as_str() == Some("authenticated")),
        value => value.as_str() == Some("authenticated"),
    }
}
