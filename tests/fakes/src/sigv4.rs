//! Verifier of AWS Signature Version 4, in headers and in URLs.
//!
//! AWS's own signer signs what was received once more, and the signatures must be the same. That the
//! signer is right is for other signers to show: `tests/interop/check.py` sends requests of the AWS CLI,
//! boto3 and the SDK for JavaScript.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Identity;
use aws_sigv4::SigningOutput;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningInstructions, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::http::HttpRequest;
use crate::service_error::ServiceError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "chime";
/// How far the signature's date may be from ours, in both directions.
const MAX_SKEW: Duration = Duration::from_secs(300);
const DATE_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// The query parameters that the signer adds.
const ADDED_PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

/// The only valid credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// If set, requests must have it in `x-amz-security-token`; otherwise they must have none.
    pub session_token: Option<String>,
}

/// Verifies requests to Chime in one region.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pub(crate) credentials: Credentials,
    pub(crate) region: String,
}

/// A signature, and what it says about itself.
struct Signature {
    credential: String,
    signed_headers: String,
    value: String,
    date: String,
    session_token: Option<String>,
    /// The lifetime, if the signature is in the URL.
    lifetime: Option<Duration>,
}

impl Signature {
    fn read(request: &HttpRequest) -> Result<Signature, ServiceError> {
        let is_in_url = request.parameter("X-Amz-Signature").is_some();
        let authorization = request.header("authorization");
        if !is_in_url && authorization.is_none() {
            let message = "Missing Authentication Token";
            return Err(refusal("MissingAuthenticationToken", message));
        }
        let in_authorization = |name: &str| {
            let parts = authorization?.strip_prefix(ALGORITHM)?.split(',');
            let mut parts = parts.filter_map(|part| part.trim().split_once('='));
            let (_, value) = parts.find(|(n, _)| *n == name)?;
            Some(value.to_owned())
        };
        let part = |name: &str| match name {
            _ if is_in_url => request.parameter(&format!("X-Amz-{name}")),
            "Date" | "Security-Token" => request.header(&format!("x-amz-{name}")).map(String::from),
            _ => in_authorization(name),
        };
        let incomplete = |name: &str| {
            let message = format!("The signature requires a valid '{name}'.");
            refusal("IncompleteSignature", message)
        };
        let required = |name: &str| part(name).ok_or_else(|| incomplete(name));
        let lifetime = match is_in_url {
            true => Some(
                required("Expires")?
                    .parse()
                    .map_err(|_| incomplete("Expires"))?,
            ),
            false => None,
        };
        Ok(Signature {
            credential: required("Credential")?,
            signed_headers: required("SignedHeaders")?,
            value: required("Signature")?,
            date: required("Date")?,
            session_token: part("Security-Token"),
            lifetime: lifetime.map(Duration::from_secs),
        })
    }
}

impl Verifier {
    /// Whether the request was signed with our credentials, for this region and time, and is unchanged.
    ///
    /// # Errors
    /// The first reason for which AWS refuses it.
    pub(crate) fn verify(
        &self,
        request: &HttpRequest,
        now: SystemTime,
    ) -> Result<(), ServiceError> {
        let invalid = |message: String| Err(refusal("InvalidSignature", message));
        let given = Signature::read(request)?;
        let Credentials {
            access_key_id,
            session_token,
            ..
        } = &self.credentials;

        let key = given.credential.split('/').next();
        if key != Some(access_key_id) || given.session_token != *session_token {
            let message = "The security token included in the request is invalid.";
            return Err(refusal("UnrecognizedClient", message));
        }
        let Ok(signed_at) = PrimitiveDateTime::parse(&given.date, DATE_FORMAT) else {
            return Err(refusal(
                "IncompleteSignature",
                "Date must be in ISO-8601 'basic format'.",
            ));
        };
        let scope = format!(
            "{}/{}/{SERVICE}/aws4_request",
            &given.date[..8],
            self.region
        );
        if given.credential != format!("{access_key_id}/{scope}") {
            return invalid(format!("Credential should be scoped to '{scope}'."));
        }
        let (signed_at, now) = (signed_at.assume_utc(), OffsetDateTime::from(now));
        if now > signed_at + given.lifetime.unwrap_or(MAX_SKEW) {
            return invalid(format!(
                "Signature expired: {} is too long before {now}",
                given.date
            ));
        }
        if now < signed_at - MAX_SKEW {
            return invalid(format!(
                "Signature not yet current: {} is after {now}",
                given.date
            ));
        }
        let signed: Vec<&str> = given.signed_headers.split(';').collect();
        for required in ["host", "x-amz-chime-bearer"] {
            if request.header(required).is_some() && !signed.contains(&required) {
                return invalid(format!("'{required}' must be a 'SignedHeader'."));
            }
        }

        let headers = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = headers.filter(|(name, _)| signed.contains(name)).collect();
        let mut target = request.target.clone();
        if given.lifetime.is_some() {
            let is_added = |pair: &&str| ADDED_PARAMETERS.iter().any(|name| pair.starts_with(name));
            let pairs: Vec<_> = request
                .query()
                .split('&')
                .filter(|pair| !is_added(pair))
                .collect();
            target = format!("{}?{}", request.path(), pairs.join("&"));
        }
        let (method, body) = (&request.method, &request.body);
        let expected = self.sign(
            method,
            &target,
            &headers,
            body,
            signed_at.into(),
            given.lifetime,
        );
        if expected.is_ok_and(|expected| expected.signature() == given.value) {
            return Ok(());
        }
        // AWS repeats what was signed, ids, ARNs and session token included.
        invalid(format!(
            "The request signature we calculated does not match the signature you provided. The \
             Canonical String for this request should have been\n'{method}\n{target}\n{headers:?}'"
        ))
    }

    /// A path and query that are signed for `GET` on this host for so long.
    pub(crate) fn signed_url(
        &self,
        host: &str,
        path: &str,
        parameters: &[(&str, &str)],
        lifetime: Duration,
        now: SystemTime,
    ) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let token = self.credentials.session_token.iter();
        query.extend_pairs(token.map(|token| ("X-Amz-Security-Token", token)));
        let unsigned = format!("{path}?{}", query.finish());
        let signed = self.sign(
            "GET",
            &unsigned,
            &[("host", host)],
            b"",
            now,
            Some(lifetime),
        );
        let (instructions, _) = signed.expect("a request that can be signed").into_parts();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(instructions.params());
        format!("{unsigned}&{}", query.finish())
    }

    /// Signs exactly these headers, the date included. With a lifetime, the signature is for a URL.
    fn sign(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        at: SystemTime,
        lifetime: Option<Duration>,
    ) -> Result<SigningOutput<SigningInstructions>, Box<dyn std::error::Error>> {
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        settings.expires_in = lifetime;
        if lifetime.is_some() {
            settings.signature_location = SignatureLocation::QueryParams;
        }
        // Without the session token, which is signed as one of the headers or parameters.
        let (key, secret) = (
            &self.credentials.access_key_id,
            &self.credentials.secret_access_key,
        );
        let identity = Identity::new(key, secret, None, None, "fake").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(at)
            .settings(settings)
            .build()?
            .into();
        // The host in this URL has no effect, because the host is among the headers.
        let url = format!("http://localhost{target}");
        let headers = headers.iter().copied();
        let request = SignableRequest::new(method, url, headers, SignableBody::Bytes(body))?;
        Ok(sign(request, &parameters)?)
    }
}

/// A refusal with this name, which ends in `Exception`.
fn refusal(name: &str, message: impl Into<String>) -> ServiceError {
    ServiceError::new(403, &format!("{name}Exception"), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "POST /channels/arn%3Aaws/messages/m?scope=message-status&sub-channel-id=s
host: localhost:1
content-type: application/json
x-amz-date: 20150830T123600Z
x-amz-chime-bearer: arn:aws:chime:us-east-1:111122223333:app-instance/a/user/u
user-agent: a client

{\"Content\":\"hello\"}";
    const SIGNED: [&str; 5] = [
        "content-type",
        "host",
        "x-amz-chime-bearer",
        "x-amz-date",
        "x-amz-security-token",
    ];

    /// The time in `MESSAGE`.
    const SIGNED_AT: u64 = 1_440_938_160;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn verifier() -> Verifier {
        Verifier {
            credentials: Credentials {
                access_key_id: "AKID".into(),
                secret_access_key: "secret".into(),
                session_token: None,
            },
            region: "us-east-1".into(),
        }
    }

    /// Reads a request from its text.
    fn request(text: &str) -> HttpRequest {
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.into(), v.into()));
        HttpRequest {
            method: method.into(),
            target: target.into(),
            headers: lines.filter_map(header).collect(),
            body: body.into(),
            connection: 0,
            at: std::time::Instant::now(),
        }
    }

    /// The text of a request that is signed over the named headers.
    fn signed(names: &[&str]) -> String {
        let request = request(MESSAGE);
        let headers = request
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()));
        let headers: Vec<_> = headers.filter(|(name, _)| names.contains(name)).collect();
        let (method, target, body) = (&request.method, &request.target, &request.body);
        let output = verifier().sign(method, target, &headers, body, at(SIGNED_AT), None);
        let (instructions, _) = output.unwrap().into_parts();
        let mut added = instructions.headers();
        let (_, value) = added.find(|(n, _)| *n == "authorization").unwrap();
        MESSAGE.replacen("\n\n", &format!("\nauthorization: {value}\n\n"), 1)
    }

    /// The text of a request whose URL is signed for ten seconds.
    fn signed_url() -> String {
        let parameters = [("userArn", "arn:aws:chime/user/u"), ("sessionId", "a b")];
        let (host, lifetime) = ("localhost:1", Duration::from_secs(10));
        let target = verifier().signed_url(host, "/connect", &parameters, lifetime, at(SIGNED_AT));
        format!("GET {target}\nhost: {host}\n\n")
    }

    /// The name of the refusal, without its end; empty if the request is accepted.
    fn refusal_of(text: &str, seconds: u64) -> String {
        let refused = verifier().verify(&request(text), at(seconds)).err();
        let name = refused.and_then(|error| error.name).unwrap_or_default();
        name.trim_end_matches("Exception").into()
    }

    const INVALID: &str = "InvalidSignature";
    const INCOMPLETE: &str = "IncompleteSignature";
    const MISSING: &str = "MissingAuthenticationToken";
    const UNKNOWN: &str = "UnrecognizedClient";

    /// Replaces a part of the request, and asserts the refusal.
    fn assert_changes(text: &str, changes: &[(&str, &str, &str)]) {
        for (part, changed, expected) in changes {
            assert!(text.contains(part), "{part}");
            let text = text.replace(part, changed);
            let refused = refusal_of(&text, SIGNED_AT);
            assert_eq!(refused, *expected, "{text}");
        }
    }

    #[test]
    fn changes_of_signed_parts_are_refused() {
        let changes = [
            ("a client", "another client", ""),
            ("?scope=message-status&", "?", INVALID),
            ("POST", "PUT", INVALID),
            ("/m?", "/n?", INVALID),
            ("%3A", ":", INVALID),
            ("application/json", "text/plain", INVALID),
            ("hello", "other", INVALID),
            ("T123600Z", "T123601Z", INVALID),
            ("/20150830/", "/20150829/", INVALID),
            ("/us-east-1/", "/eu-central-1/", INVALID),
            ("/chime/", "/execute-api/", INVALID),
            ("Signature=", "Signature=0", INVALID),
            ("AKID", "AKOTHER", UNKNOWN),
            ("user-agent", "x-amz-security-token", UNKNOWN),
            ("user/u", "user/v", INVALID),
            ("user-agent", "x-amz-chime-bearer", INVALID),
            ("20150830T123600Z", "today", INCOMPLETE),
            ("Signature=", "Other=", INCOMPLETE),
            ("AWS4-HMAC-SHA256", "Bearer", INCOMPLETE),
            ("authorization", "other", MISSING),
        ];
        assert_changes(&signed(&SIGNED), &changes);
    }

    #[test]
    fn changes_of_signed_urls_are_refused() {
        let changes = [
            ("connect", "connect", ""),
            ("GET", "POST", INVALID),
            ("/connect", "/other", INVALID),
            ("user%2Fu", "user%2Fv", INVALID),
            ("&X-Amz-Date", "&other=1&X-Amz-Date", INVALID),
            ("Expires=10", "Expires=99", INVALID),
            ("localhost:1", "localhost:2", INVALID),
            ("us-east-1", "eu-central-1", INVALID),
            ("AKID", "AKOTHER", UNKNOWN),
            ("&X-Amz-Date", "&X-Amz-Security-Token=t&X-Amz-Date", UNKNOWN),
            ("X-Amz-Date", "X-Other", INCOMPLETE),
            ("X-Amz-Signature", "X-Other", MISSING),
        ];
        assert_changes(&signed_url(), &changes);
    }

    #[test]
    fn signatures_without_the_bearer_or_the_host_are_refused() {
        for left_out in ["x-amz-chime-bearer", "host"] {
            let names: Vec<&str> = SIGNED
                .into_iter()
                .filter(|name| *name != left_out)
                .collect();
            let text = signed(&names);
            assert_eq!(refusal_of(&text, SIGNED_AT), INVALID);
        }
    }

    #[test]
    fn signatures_are_valid_for_five_minutes_and_urls_for_their_lifetime() {
        let (in_headers, in_url) = (signed(&SIGNED), signed_url());
        for (text, now, expected) in [
            (&in_headers, SIGNED_AT - 301, INVALID),
            (&in_headers, SIGNED_AT - 300, ""),
            (&in_headers, SIGNED_AT + 300, ""),
            (&in_headers, SIGNED_AT + 301, INVALID),
            (&in_url, SIGNED_AT + 10, ""),
            (&in_url, SIGNED_AT + 11, INVALID),
        ] {
            assert_eq!(refusal_of(text, now), expected, "{now}");
        }
    }
}
