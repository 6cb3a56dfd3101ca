//! AWS Signature Version 4 in headers and in URLs, written from its public description.
//!
//! Only cryptographic primitives come from a library. With the SDK's signer on both sides, tests could
//! not find a mistake in it.

use std::fmt;
use std::time::SystemTime;

use ring::{digest, hmac};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::http::HttpRequest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the signature's date may be from ours, in both directions.
const MAX_SKEW: Duration = Duration::minutes(5);
/// The query parameter that a signature in a URL does not cover.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// The only valid credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// If set, requests must have it in `x-amz-security-token`; otherwise they must have none.
    pub session_token: Option<String>,
    /// Whether the session is over: every request is refused as expired.
    pub expired: bool,
}

/// Verifies requests to one service in one region.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Credentials that requests must be signed with.
    pub credentials: Credentials,
    /// The region that a signature must be scoped to.
    pub region: String,
    /// The signing name that a signature must be scoped to.
    pub service: String,
}

/// Why AWS rejects a request before it reaches the service. `Display` is the message in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The request is not signed.
    MissingAuthenticationToken,
    /// Parts of the signature are missing or unreadable. AWS names them.
    IncompleteSignature(String),
    /// The access key is not known, or the session token is not the one that belongs to it.
    UnrecognizedClient,
    /// The session is over.
    ExpiredToken,
    /// The signature does not match the request, or is for another time, region or service. AWS says
    /// which.
    InvalidSignature(String),
}

impl SignatureError {
    /// The name in `x-amzn-ErrorType`.
    pub fn name(&self) -> &'static str {
        match self {
            SignatureError::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            SignatureError::IncompleteSignature(_) => "IncompleteSignatureException",
            SignatureError::UnrecognizedClient => "UnrecognizedClientException",
            SignatureError::ExpiredToken => "ExpiredTokenException",
            SignatureError::InvalidSignature(_) => "InvalidSignatureException",
        }
    }

    /// The HTTP status, which is the same for all.
    pub fn status(&self) -> u16 {
        403
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::MissingAuthenticationToken => {
                f.write_str("Missing Authentication Token")
            }
            SignatureError::UnrecognizedClient => {
                f.write_str("The security token included in the request is invalid.")
            }
            SignatureError::ExpiredToken => {
                f.write_str("The security token included in the request is expired")
            }
            SignatureError::IncompleteSignature(text) | SignatureError::InvalidSignature(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for SignatureError {}

/// The parts of a signature, from the `Authorization` header or from the query.
struct SignatureParts<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl Verifier {
    /// Whether the request was signed with our credentials, for this region, service and time, and is
    /// unchanged.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn verify(&self, request: &HttpRequest, now: SystemTime) -> Result<(), SignatureError> {
        let header = request
            .header("authorization")
            .ok_or(SignatureError::MissingAuthenticationToken)?;
        let authorization = SignatureParts::parse(header)?;
        let amz_date = request.header("x-amz-date").ok_or_else(|| {
            SignatureError::IncompleteSignature(format!(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. Authorization={ALGORITHM}"
            ))
        })?;
        let session_token = request.header("x-amz-security-token");
        self.check_client(session_token, &authorization)?;
        self.check_scope(&authorization, amz_date)?;
        check_date(amz_date, MAX_SKEW, now)?;
        check_signed_headers(request, &authorization.signed_headers)?;
        self.check_signature(request, request.query(), amz_date, &authorization)
    }

    /// Whether the request's URL was signed with our credentials and has not expired.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn verify_url(&self, request: &HttpRequest, now: SystemTime) -> Result<(), SignatureError> {
        let parameters = query_parameters(request.query());
        let parameter = |name: &str| {
            let mut values = parameters.iter().filter(|(n, _)| n == name);
            values.next().map(|(_, value)| value.as_str())
        };
        let signature =
            parameter(SIGNATURE_PARAMETER).ok_or(SignatureError::MissingAuthenticationToken)?;
        let required = |name: &str| {
            parameter(name).ok_or_else(|| {
                let text = format!("AWS query-string parameters must include '{name}'.");
                SignatureError::IncompleteSignature(text)
            })
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            let text = format!("X-Amz-Algorithm must be {ALGORITHM}.");
            return Err(SignatureError::IncompleteSignature(text));
        }
        let parts = SignatureParts::new(
            required("X-Amz-Credential")?,
            required("X-Amz-SignedHeaders")?,
            signature,
        )?;
        let amz_date = required("X-Amz-Date")?;
        let lifetime = required("X-Amz-Expires")?.parse().map_err(|_| {
            SignatureError::IncompleteSignature("X-Amz-Expires should be a number.".into())
        })?;
        self.check_client(parameter("X-Amz-Security-Token"), &parts)?;
        self.check_scope(&parts, amz_date)?;
        check_date(amz_date, Duration::seconds(lifetime), now)?;
        check_signed_headers(request, &parts.signed_headers)?;
        self.check_signature(request, &unsigned_query(request.query()), amz_date, &parts)
    }

    /// A path and query that are signed for `GET` on this host for so many seconds.
    pub fn signed_url(
        &self,
        host: &str,
        path: &str,
        parameters: &[(&str, &str)],
        seconds: u32,
        now: SystemTime,
    ) -> String {
        let amz_date = OffsetDateTime::from(now)
            .format(DATE_FORMAT)
            .unwrap_or_default();
        let (day, _) = amz_date.split_once('T').unwrap_or_default();
        let credential = format!(
            "{}/{day}/{}/{}/aws4_request",
            self.credentials.access_key_id, self.region, self.service
        );
        let seconds = seconds.to_string();
        let mut all = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &amz_date),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", "host"),
        ];
        if let Some(token) = &self.credentials.session_token {
            all.push(("X-Amz-Security-Token", token));
        }
        all.extend(parameters);
        let query: Vec<String> = all
            .iter()
            .map(|(name, value)| {
                format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes()))
            })
            .collect();
        let query = canonical_query(&query.join("&"));
        let no_body = to_hex(digest::digest(&digest::SHA256, b"").as_ref());
        let canonical = format!(
            "GET\n{}\n{query}\nhost:{host}\n\nhost\n{no_body}",
            canonical_path(path)
        );
        let to_sign = string_to_sign(&amz_date, &self.region, &self.service, &canonical);
        let signature = hmac::sign(&self.signing_key(day), to_sign.as_bytes());
        format!(
            "{path}?{query}&{SIGNATURE_PARAMETER}={}",
            to_hex(signature.as_ref())
        )
    }

    fn check_signature(
        &self,
        request: &HttpRequest,
        query: &str,
        amz_date: &str,
        authorization: &SignatureParts<'_>,
    ) -> Result<(), SignatureError> {
        let canonical = canonical_request(request, query, &authorization.signed_headers)?;
        let to_sign = string_to_sign(amz_date, &self.region, &self.service, &canonical);
        let key = self.signing_key(authorization.date);
        // `verify` needs raw bytes, and compares them in constant time.
        let matches = from_hex(authorization.signature)
            .is_some_and(|raw| hmac::verify(&key, to_sign.as_bytes(), &raw).is_ok());
        if matches {
            return Ok(());
        }
        // AWS repeats what was signed, ids, ARNs and session token included.
        Err(SignatureError::InvalidSignature(format!(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
             The String-to-Sign should have been\n'{to_sign}'\n"
        )))
    }

    /// The `Authorization` header of a request, over the named headers (in lower case and sorted). For
    /// tests that make requests without the SDK.
    ///
    /// # Errors
    /// When the request cannot be put into canonical form: no `x-amz-date`, or a body that
    /// does not match `x-amz-content-sha256`.
    pub fn authorization(
        &self,
        request: &HttpRequest,
        signed_headers: &[&str],
    ) -> Result<String, SignatureError> {
        let amz_date = request
            .header("x-amz-date")
            .filter(|date| date.is_ascii() && date.len() > 8)
            .ok_or_else(|| SignatureError::IncompleteSignature("no x-amz-date".into()))?;
        let canonical = canonical_request(request, request.query(), signed_headers)?;
        let to_sign = string_to_sign(amz_date, &self.region, &self.service, &canonical);
        let signature = hmac::sign(&self.signing_key(&amz_date[..8]), to_sign.as_bytes());
        Ok(format!(
            "{ALGORITHM} Credential={}/{}/{}/{}/aws4_request, SignedHeaders={}, Signature={}",
            self.credentials.access_key_id,
            &amz_date[..8],
            self.region,
            self.service,
            signed_headers.join(";"),
            to_hex(signature.as_ref())
        ))
    }

    fn check_client(
        &self,
        session_token: Option<&str>,
        authorization: &SignatureParts<'_>,
    ) -> Result<(), SignatureError> {
        if authorization.access_key_id != self.credentials.access_key_id {
            return Err(SignatureError::UnrecognizedClient);
        }
        if session_token != self.credentials.session_token.as_deref() {
            return Err(SignatureError::UnrecognizedClient);
        }
        if self.credentials.expired {
            return Err(SignatureError::ExpiredToken);
        }
        Ok(())
    }

    fn check_scope(
        &self,
        authorization: &SignatureParts<'_>,
        amz_date: &str,
    ) -> Result<(), SignatureError> {
        let mut faults = Vec::new();
        if authorization.region != self.region {
            faults.push("Credential should be scoped to a valid region. ".to_owned());
        }
        if authorization.service != self.service {
            faults.push(format!(
                "Credential should be scoped to correct service: '{}'. ",
                self.service
            ));
        }
        let day = amz_date.split('T').next().unwrap_or_default();
        if authorization.date != day {
            faults.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{day}', from '{amz_date}'.",
                authorization.date
            ));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(SignatureError::InvalidSignature(faults.concat()))
        }
    }

    /// The key for one day, region and service.
    fn signing_key(&self, date: &str) -> hmac::Key {
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for part in [date, &self.region, &self.service, "aws4_request"] {
            let next = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, next.as_ref());
        }
        key
    }
}

impl<'a> SignatureParts<'a> {
    fn parse(header: &'a str) -> Result<SignatureParts<'a>, SignatureError> {
        let parts = header.strip_prefix(ALGORITHM).unwrap_or_default();
        let part = |name: &str| {
            parts
                .split(',')
                .filter_map(|p| p.trim().split_once('='))
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value)
                .filter(|value| !value.is_empty())
        };
        let (credential, signed, signature) =
            (part("Credential"), part("SignedHeaders"), part("Signature"));
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            let missing: String = [
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed),
            ]
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| format!("Authorization header requires '{name}' parameter. "))
            .collect();
            return Err(SignatureError::IncompleteSignature(format!(
                "{missing}Authorization={ALGORITHM}"
            )));
        };
        SignatureParts::new(credential, signed, signature)
    }

    fn new(
        credential: &'a str,
        signed: &'a str,
        signature: &'a str,
    ) -> Result<SignatureParts<'a>, SignatureError> {
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(SignatureError::IncompleteSignature(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{credential}'"
            )));
        };
        Ok(SignatureParts {
            access_key_id,
            date,
            region,
            service,
            signed_headers: signed.split(';').collect(),
            signature,
        })
    }
}

const DATE_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

fn check_date(amz_date: &str, lifetime: Duration, now: SystemTime) -> Result<(), SignatureError> {
    let signed_at = PrimitiveDateTime::parse(amz_date, DATE_FORMAT)
        .map_err(|_| {
            SignatureError::IncompleteSignature(format!(
                "Date must be in ISO-8601 'basic format'. Got '{amz_date}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            ))
        })?
        .assume_utc();
    let now = OffsetDateTime::from(now);
    let text = |at: OffsetDateTime| at.format(DATE_FORMAT).unwrap_or_default();
    if signed_at < now - lifetime {
        return Err(SignatureError::InvalidSignature(format!(
            "Signature expired: {amz_date} is now earlier than {} ({} - {} s.)",
            text(now - lifetime),
            text(now),
            lifetime.whole_seconds()
        )));
    }
    if signed_at > now + MAX_SKEW {
        return Err(SignatureError::InvalidSignature(format!(
            "Signature not yet current: {amz_date} is still later than {} ({} + 5 min.)",
            text(now + MAX_SKEW),
            text(now)
        )));
    }
    Ok(())
}

/// The host and the bearer must be signed, so they cannot be changed on the way.
fn check_signed_headers(request: &HttpRequest, signed: &[&str]) -> Result<(), SignatureError> {
    if !signed.contains(&"host") {
        return Err(SignatureError::InvalidSignature(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into(),
        ));
    }
    if request.header("x-amz-chime-bearer").is_some() && !signed.contains(&"x-amz-chime-bearer") {
        return Err(SignatureError::InvalidSignature(
            "'x-amz-chime-bearer' must be a 'SignedHeader' in the AWS Authorization.".into(),
        ));
    }
    Ok(())
}

fn canonical_request(
    request: &HttpRequest,
    query: &str,
    signed: &[&str],
) -> Result<String, SignatureError> {
    let mut headers = String::new();
    for name in signed {
        let values: Vec<String> = request.headers(name).map(collapsed).collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let payload = to_hex(digest::digest(&digest::SHA256, &request.body).as_ref());
    if signed.contains(&"x-amz-content-sha256")
        && request.header("x-amz-content-sha256") != Some(payload.as_str())
    {
        return Err(SignatureError::InvalidSignature(
            "The provided 'x-amz-content-sha256' header does not match what was computed.".into(),
        ));
    }
    Ok(format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload}",
        request.method,
        canonical_path(request.path()),
        canonical_query(query),
        signed.join(";")
    ))
}

fn string_to_sign(amz_date: &str, region: &str, service: &str, canonical: &str) -> String {
    let day = amz_date.split('T').next().unwrap_or_default();
    let hash = to_hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    format!("{ALGORITHM}\n{amz_date}\n{day}/{region}/{service}/aws4_request\n{hash}")
}

/// Runs of spaces count as one.
fn collapsed(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Resolves dot segments and empty ones, and encodes the others once more, as every service except S3
/// requires.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(encode(other.as_bytes())),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

/// The query without its signature, which cannot cover itself.
fn unsigned_query(query: &str) -> String {
    let signature = format!("{SIGNATURE_PARAMETER}=");
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with(&signature))
        .collect();
    kept.join("&")
}

/// Names and values of a query, decoded, in order.
pub(crate) fn query_parameters(query: &str) -> Vec<(String, String)> {
    let text = |part: &str| String::from_utf8_lossy(&decode(part)).into_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name)), encode(&decode(value)))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

/// Percent-encodes everything but the unreserved characters.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Percent-decodes once. Invalid encoding stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(from_hex);
        match escaped {
            Some(byte) => {
                decoded.extend(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high * 16 + low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moment at which all of AWS's published examples are signed.
    fn signing_time() -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160)
    }

    fn verifier(service: &str) -> Verifier {
        Verifier {
            credentials: Credentials {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
                session_token: None,
                expired: false,
            },
            region: "us-east-1".into(),
            service: service.into(),
        }
    }

    fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest {
        HttpRequest {
            method: method.into(),
            target: target.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            body: body.into(),
            connection: 0,
            at: std::time::Instant::now(),
        }
    }

    const TARGET: &str = "/channels/arn%3Aaws%3Achime%3Aus-east-1%3A111122223333%3Aapp-instance%2Fa%2Fchannel%2Fc/messages/m?scope=message-status&sub-channel-id=s";
    const BEARER: &str = "arn:aws:chime:us-east-1:111122223333:app-instance/a/user/u";
    const SIGNED: [&str; 4] = ["content-type", "host", "x-amz-chime-bearer", "x-amz-date"];

    fn signed_with(verifier: &Verifier, signed: &[&str]) -> HttpRequest {
        let headers = [
            ("Host", "localhost:1"),
            ("Content-Type", "application/json"),
            ("X-Amz-Date", "20150830T123600Z"),
            ("X-Amz-Chime-Bearer", BEARER),
            ("User-Agent", "a client"),
        ];
        let mut request = request("POST", TARGET, &headers, r#"{"Content":"hello"}"#);
        let authorization = verifier.authorization(&request, signed).unwrap();
        request
            .headers
            .push(("authorization".into(), authorization));
        request
    }

    fn set(request: &mut HttpRequest, name: &str, value: &str) {
        for header in &mut request.headers {
            if header.0.eq_ignore_ascii_case(name) {
                header.1 = value.into();
            }
        }
    }

    #[test]
    fn the_derived_key_is_the_one_that_aws_publishes() {
        let message = b"a message";
        let expected = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        let expected = hmac::Key::new(hmac::HMAC_SHA256, &from_hex(expected).unwrap());
        let derived = verifier("iam").signing_key("20150830");
        assert_eq!(
            hmac::sign(&derived, message).as_ref(),
            hmac::sign(&expected, message).as_ref()
        );
    }

    #[test]
    fn the_requests_published_by_aws_verify() {
        let vanilla = request(
            "GET",
            "/",
            &[
                ("Host", "example.amazonaws.com"),
                ("X-Amz-Date", "20150830T123600Z"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, \
                     Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
                ),
            ],
            "",
        );
        assert_eq!(verifier("service").verify(&vanilla, signing_time()), Ok(()));

        let list_users = request(
            "GET",
            "/?Action=ListUsers&Version=2010-05-08",
            &[
                (
                    "Content-Type",
                    "application/x-www-form-urlencoded; charset=utf-8",
                ),
                ("Host", "iam.amazonaws.com"),
                ("X-Amz-Date", "20150830T123600Z"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, \
                     Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
                ),
            ],
            "",
        );
        assert_eq!(verifier("iam").verify(&list_users, signing_time()), Ok(()));
    }

    #[test]
    fn a_signed_request_verifies_and_no_part_of_it_can_be_changed() {
        let verifier = verifier("chime");
        let valid = signed_with(&verifier, &SIGNED);
        assert_eq!(verifier.verify(&valid, signing_time()), Ok(()));

        type Tamper = fn(&mut HttpRequest);
        let changes: [(&str, Tamper); 8] = [
            ("method", |r| r.method = "PUT".into()),
            ("path", |r| {
                r.target = r.target.replace("messages/m", "messages/n")
            }),
            ("encoding of the path", |r| {
                r.target = r.target.replace("%3A", ":")
            }),
            ("query", |r| r.target = r.target.replace("id=s", "id=t")),
            ("header", |r| set(r, "content-type", "text/plain")),
            ("body", |r| r.body = b"{}".to_vec()),
            ("date", |r| set(r, "x-amz-date", "20150830T123601Z")),
            ("bearer", |r| set(r, "x-amz-chime-bearer", "arn:else")),
        ];
        for (part, change) in changes {
            let mut tampered = valid.clone();
            change(&mut tampered);
            let error = verifier.verify(&tampered, signing_time()).unwrap_err();
            assert_eq!(error.name(), "InvalidSignatureException", "{part}");
            assert!(error.to_string().contains("does not match"), "{part}");
        }
    }

    #[test]
    fn unsigned_headers_can_be_changed() {
        let verifier = verifier("chime");
        let mut request = signed_with(&verifier, &SIGNED);
        set(&mut request, "user-agent", "another client");
        assert_eq!(verifier.verify(&request, signing_time()), Ok(()));
    }

    #[test]
    fn the_order_of_the_query_and_runs_of_spaces_do_not_matter() {
        let verifier = verifier("chime");
        let mut request = signed_with(&verifier, &SIGNED);
        request.target = request.target.replace(
            "scope=message-status&sub-channel-id=s",
            "sub-channel-id=s&scope=message-status",
        );
        set(&mut request, "content-type", "  application/json ");
        assert_eq!(verifier.verify(&request, signing_time()), Ok(()));
    }

    #[test]
    fn a_signature_without_the_bearer_or_the_host_is_rejected() {
        let verifier = verifier("chime");
        for (signed, named) in [
            (["content-type", "host", "x-amz-date"], "x-amz-chime-bearer"),
            (["content-type", "x-amz-chime-bearer", "x-amz-date"], "Host"),
        ] {
            let error = verifier
                .verify(&signed_with(&verifier, &signed), signing_time())
                .unwrap_err();
            assert_eq!(error.name(), "InvalidSignatureException");
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_signature_for_another_service_region_or_day_is_refused() {
        let ours = verifier("chime");
        let mut elsewhere = ours.clone();
        elsewhere.region = "eu-central-1".into();
        for (other, text) in [
            (
                verifier("execute-api"),
                "scoped to correct service: 'chime'",
            ),
            (elsewhere, "scoped to a valid region"),
        ] {
            let error = ours
                .verify(&signed_with(&other, &SIGNED), signing_time())
                .unwrap_err();
            assert_eq!(error.name(), "InvalidSignatureException");
            assert!(error.to_string().contains(text), "{error}");
        }
        let mut request = signed_with(&ours, &SIGNED);
        let authorization = request.header("authorization").unwrap();
        let authorization = authorization.replace("/20150830/", "/20150829/");
        set(&mut request, "authorization", &authorization);
        let error = ours.verify(&request, signing_time()).unwrap_err();
        assert!(error.to_string().contains("Credential scope"), "{error}");
    }

    #[test]
    fn signatures_are_valid_five_minutes_before_and_after_their_date() {
        let verifier = verifier("chime");
        let request = signed_with(&verifier, &SIGNED);
        let minutes = |n: u64| std::time::Duration::from_secs(60 * n);
        assert_eq!(
            verifier.verify(&request, signing_time() + minutes(5)),
            Ok(())
        );
        assert_eq!(
            verifier.verify(&request, signing_time() - minutes(5)),
            Ok(())
        );
        for (now, text) in [
            (signing_time() + minutes(6), "Signature expired"),
            (signing_time() - minutes(6), "Signature not yet current"),
        ] {
            let error = verifier.verify(&request, now).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_session_tokens_are_unrecognized_clients() {
        let plain = verifier("chime");
        let mut stranger = plain.clone();
        stranger.credentials.access_key_id = "AKIDOTHER".into();
        let refused = plain.verify(&signed_with(&stranger, &SIGNED), signing_time());
        assert_eq!(refused, Err(SignatureError::UnrecognizedClient));

        let mut session = plain.clone();
        session.credentials.session_token = Some("a session".into());
        let without = signed_with(&session, &SIGNED);
        assert_eq!(
            session.verify(&without, signing_time()),
            Err(SignatureError::UnrecognizedClient)
        );
        let mut with = without;
        with.headers
            .push(("x-amz-security-token".into(), "a session".into()));
        assert_eq!(session.verify(&with, signing_time()), Ok(()));
        assert_eq!(
            plain.verify(&with, signing_time()),
            Err(SignatureError::UnrecognizedClient)
        );
        session.credentials.expired = true;
        assert_eq!(
            session.verify(&with, signing_time()),
            Err(SignatureError::ExpiredToken)
        );
    }

    #[test]
    fn missing_and_incomplete_signatures_have_different_error_names() {
        let verifier = verifier("chime");
        let mut request = signed_with(&verifier, &SIGNED);
        set(&mut request, "authorization", "Bearer a-token");
        let error = verifier.verify(&request, signing_time()).unwrap_err();
        assert_eq!(error.name(), "IncompleteSignatureException");
        assert!(error.to_string().contains("'SignedHeaders'"), "{error}");

        request
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        assert_eq!(
            verifier.verify(&request, signing_time()),
            Err(SignatureError::MissingAuthenticationToken)
        );
    }

    #[test]
    fn a_signed_content_hash_that_is_not_the_bodys_is_rejected() {
        let verifier = verifier("chime");
        let mut request = signed_with(&verifier, &SIGNED);
        request
            .headers
            .push(("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into()));
        let signed = ["host", "x-amz-content-sha256", "x-amz-date"];
        assert!(verifier.authorization(&request, &signed).is_err());
    }

    #[test]
    fn the_path_is_normalized_and_encoded_twice() {
        assert_eq!(canonical_path("/"), "/");
        assert_eq!(canonical_path(""), "/");
        assert_eq!(canonical_path("/a%3Ab/./c//d/../e/"), "/a%253Ab/c/e/");
    }

    #[test]
    fn invalid_percent_encoding_is_kept() {
        assert_eq!(decode("a%2Fb%zz%2"), b"a/b%zz%2");
    }

    fn signed_get(verifier: &Verifier, seconds: u32) -> HttpRequest {
        let parameters = [("userArn", BEARER), ("sessionId", "a b")];
        let target = verifier.signed_url(
            "localhost:1",
            "/connect",
            &parameters,
            seconds,
            signing_time(),
        );
        request("GET", &target, &[("Host", "localhost:1")], "")
    }

    /// From the AWS documentation of signatures in the query, for Amazon S3.
    #[test]
    fn the_url_published_by_aws_is_signed_as_published() {
        let mut verifier = verifier("s3");
        verifier.credentials.access_key_id = "AKIAIOSFODNN7EXAMPLE".into();
        verifier.credentials.secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into();
        let canonical = "GET\n/test.txt\n\
            X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
            us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&\
            X-Amz-SignedHeaders=host\nhost:examplebucket.s3.amazonaws.com\n\nhost\n\
            UNSIGNED-PAYLOAD";
        let to_sign = string_to_sign("20130524T000000Z", "us-east-1", "s3", canonical);
        let signature = hmac::sign(&verifier.signing_key("20130524"), to_sign.as_bytes());
        assert_eq!(
            to_hex(signature.as_ref()),
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
        // S3 alone leaves the payload unsigned; everything before it is the same.
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_369_353_600);
        let url = verifier.signed_url(
            "examplebucket.s3.amazonaws.com",
            "/test.txt",
            &[],
            86_400,
            at,
        );
        let query = canonical.split('\n').nth(2).unwrap();
        assert!(url.starts_with(&format!("/test.txt?{query}&X-Amz-Signature=")));
    }

    #[test]
    fn signed_urls_verify_and_no_part_can_be_changed() {
        let verifier = verifier("chime");
        let valid = signed_get(&verifier, 10);
        assert_eq!(verifier.verify_url(&valid, signing_time()), Ok(()));
        type Tamper = fn(&mut HttpRequest);
        let changes: [(&str, Tamper); 6] = [
            ("method", |r| r.method = "POST".into()),
            ("path", |r| {
                r.target = r.target.replace("/connect", "/other")
            }),
            ("user", |r| {
                r.target = r.target.replace("user%2Fu", "user%2Fv")
            }),
            ("another parameter", |r| {
                r.target.push_str("&prefetch-on=connect")
            }),
            ("lifetime", |r| {
                r.target = r.target.replace("Expires=10", "Expires=99")
            }),
            ("host", |r| set(r, "host", "localhost:2")),
        ];
        for (part, change) in changes {
            let mut tampered = valid.clone();
            change(&mut tampered);
            let error = verifier.verify_url(&tampered, signing_time()).unwrap_err();
            assert_eq!(error.name(), "InvalidSignatureException", "{part}");
        }
    }

    #[test]
    fn signed_urls_expire_after_their_lifetime() {
        let verifier = verifier("chime");
        let request = signed_get(&verifier, 10);
        let seconds = std::time::Duration::from_secs;
        assert_eq!(
            verifier.verify_url(&request, signing_time() + seconds(10)),
            Ok(())
        );
        let error = verifier.verify_url(&request, signing_time() + seconds(11));
        assert!(error.unwrap_err().to_string().contains("Signature expired"));
    }

    #[test]
    fn urls_without_a_complete_signature_are_refused() {
        let verifier = verifier("chime");
        let mut request = signed_get(&verifier, 10);
        request.target = request.target.replace("X-Amz-Date", "X-Other");
        let error = verifier.verify_url(&request, signing_time()).unwrap_err();
        assert_eq!(error.name(), "IncompleteSignatureException");
        request.target = "/connect?userArn=u".into();
        assert_eq!(
            verifier.verify_url(&request, signing_time()),
            Err(SignatureError::MissingAuthenticationToken)
        );
    }
}
