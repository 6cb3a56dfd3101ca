//! Configuration: environment variables → typed settings, with all errors at once.

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use lambda_http::http::Uri;

use crate::caller::UserMapping;
use crate::domain::{SessionRole, UserArnPattern};

/// The environment variables that configure the function, without those that only Lambda sets.
pub const VARIABLES: &[&str] = &[
    "APP_INSTANCE_USER_ARN",
    "SESSION_ROLE_ARN",
    "ALLOWED_ORIGINS",
    "MAX_WAIT_SECONDS",
    "CHIME_CALLS_PER_SECOND",
    "CHIME_CONNECT_TIMEOUT_MS",
    "CHIME_ATTEMPT_TIMEOUT_MS",
    "AWS_MAX_ATTEMPTS",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING",
    "AWS_ENDPOINT_URL",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",
];

/// The region in which Chime allows a user 10 requests a second. Elsewhere it is 5.
const LARGE_QUOTA_REGION: &str = "us-east-1";

/// The settings of the function, read once at cold start.
///
/// aws-config reads the variables that every AWS tool knows. Here they are only checked, so a typing
/// error is reported instead of ignored.
pub struct Config {
    pub(crate) mapping: UserMapping,
    pub(crate) origins: Option<AllowedOrigins>,
    pub(crate) max_wait: Duration,
    pub(crate) calls_per_second: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) region: String,
}

/// The origins whose pages may read responses.
pub(crate) enum AllowedOrigins {
    Any,
    These(Vec<String>),
}

impl AllowedOrigins {
    /// The value of `access-control-allow-origin` for a request from `origin`.
    pub(crate) fn allow<'o>(&self, origin: Option<&'o str>) -> Option<&'o str> {
        match self {
            Self::Any => Some("*"),
            Self::These(origins) => origin.filter(|origin| origins.iter().any(|o| o == origin)),
        }
    }
}

/// Every variable that is missing or not valid, with the reason.
#[derive(Debug)]
pub struct ConfigError(Vec<(&'static str, String)>);

impl ConfigError {
    /// Combines the errors of several parts of the configuration.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Self {
        Self(errors.into_iter().flat_map(|error| error.0).collect())
    }

    /// The names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is not valid")?;
        for (name, error) in &self.0 {
            write!(formatter, "; {name}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The rule that maps an identity to a user.
    pub fn mapping(&self) -> &UserMapping {
        &self.mapping
    }

    /// The region of Chime.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether the function responds to preflights.
    pub fn handles_preflights(&self) -> bool {
        self.origins.is_some()
    }

    /// Reads the configuration through `variable`.
    ///
    /// # Errors
    /// [`ConfigError`] with every variable that is missing or not valid.
    pub fn from_lookup(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut variables = Variables::new(variable);
        let pattern = variables.required("APP_INSTANCE_USER_ARN", |text| {
            UserArnPattern::parse(text).map_err(|error| error.to_string())
        });
        let region = match pattern.as_ref().map(UserArnPattern::region) {
            Some(Some(region)) => Some(region.to_owned()),
            Some(None) => variables.required("AWS_REGION", |text| Ok(text.to_owned())),
            // Without a valid pattern, it is not known whether `AWS_REGION` is needed.
            None => None,
        };
        let mapping = variables.mapping(pattern);
        let origins = variables.optional("ALLOWED_ORIGINS", origins);
        let max_wait = variables.whole("MAX_WAIT_SECONDS", 0..=25).unwrap_or(20);
        let calls_per_second = variables.whole("CHIME_CALLS_PER_SECOND", 1..=50);
        let timeout = 1..=25_000;
        let connect_timeout = variables.whole("CHIME_CONNECT_TIMEOUT_MS", timeout.clone());
        let attempt_timeout = variables.whole("CHIME_ATTEMPT_TIMEOUT_MS", timeout);
        variables.check_aws();
        let (mapping, region) = variables.finish(mapping.zip(region))?;
        let calls_per_second =
            calls_per_second.unwrap_or(if region == LARGE_QUOTA_REGION { 5 } else { 3 });
        Ok(Self {
            mapping,
            origins,
            max_wait: Duration::from_secs(u64::from(max_wait)),
            calls_per_second: usize::from(calls_per_second),
            connect_timeout: Duration::from_millis(u64::from(connect_timeout.unwrap_or(1000))),
            attempt_timeout: Duration::from_millis(u64::from(attempt_timeout.unwrap_or(2000))),
            region,
        })
    }
}

/// Reads environment variables and collects what is wrong with them.
pub(crate) struct Variables<V> {
    variable: V,
    errors: Vec<(&'static str, String)>,
}

impl<V: Fn(&str) -> Option<OsString>> Variables<V> {
    pub(crate) fn new(variable: V) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// The value of a variable. An empty value counts as not set, as in the AWS tools.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        let parsed = match value.to_str() {
            Some(text) => parse(text),
            None => Err("it is not UTF-8".to_owned()),
        };
        parsed.map_err(|error| self.error(name, error)).ok()
    }

    /// The value of a variable that must be set.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if (self.variable)(name).is_none_or(|value| value.is_empty()) {
            self.error(name, "it is required");
            return None;
        }
        self.optional(name, parse)
    }

    /// Ends reading. Returns the settings, or all errors.
    pub(crate) fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        match settings {
            Some(settings) if self.errors.is_empty() => Ok(settings),
            _ => Err(ConfigError(self.errors)),
        }
    }

    fn error(&mut self, name: &'static str, error: impl Into<String>) {
        self.errors.push((name, error.into()));
    }

    fn mapping(&mut self, pattern: Option<UserArnPattern>) -> Option<UserMapping> {
        const ROLE: &str = "SESSION_ROLE_ARN";
        let errors_before = self.errors.len();
        let role = self.optional(ROLE, |text| {
            SessionRole::parse(text).ok_or_else(|| {
                "it must be the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME".to_owned()
            })
        });
        let mapping = UserMapping::new(pattern?, role);
        if mapping.is_none() && self.errors.len() == errors_before {
            self.error(
                ROLE,
                "it is required, because APP_INSTANCE_USER_ARN uses {roleSessionName}",
            );
        }
        mapping
    }

    /// Checks the variables that aws-config reads.
    fn check_aws(&mut self) {
        self.optional("AWS_MAX_ATTEMPTS", |text| match text.parse::<u32>() {
            Ok(1..) => Ok(()),
            _ => Err("it must be a whole number, at least 1".to_owned()),
        });
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            self.optional(name, |text| match text.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err("it must be true or false".to_owned()),
            });
        }
        let endpoints = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING"];
        let has_endpoint = endpoints
            .iter()
            .any(|name| (self.variable)(name).is_some_and(|url| !url.is_empty()));
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            let is_true =
                (self.variable)(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
            if is_true && has_endpoint {
                self.error(name, "the SDK does not support it with a custom endpoint");
            }
        }
        for name in endpoints {
            // The SDK would use an empty value as the endpoint, and panic.
            if (self.variable)(name).is_some_and(|url| url.is_empty()) {
                self.error(name, "it is empty");
            } else {
                self.optional(name, endpoint);
            }
        }
    }

    fn whole(&mut self, name: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        self.optional(name, |text| {
            let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            match text.parse() {
                Ok(number) if is_digits && range.contains(&number) => Ok(number),
                _ => Err(format!(
                    "it must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )),
            }
        })
    }
}

fn origins(text: &str) -> Result<AllowedOrigins, String> {
    if text.trim() == "*" {
        return Ok(AllowedOrigins::Any);
    }
    text.split(',')
        .map(str::trim)
        .map(|origin| {
            if is_origin(origin) {
                Ok(origin.to_owned())
            } else {
                Err(format!(
                    "{origin:?} is not an origin as browsers send it (scheme://host or \
                     scheme://host:port, in lower case, without a path and without the default port)"
                ))
            }
        })
        .collect::<Result<_, _>>()
        .map(AllowedOrigins::These)
}

/// Whether a browser would ever send `text` as an [`Origin`](https://www.rfc-editor.org/rfc/rfc6454#section-7).
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_host_byte =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_[]:".contains(&b);
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
        && authority.bytes().all(is_host_byte)
        && is_authority(authority)
        && (default_port.is_empty() || !authority.ends_with(default_port))
}

/// Checks for a host, and a port as browsers write it.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>();
        number.is_ok_and(|number| number > 0 && number.to_string() == port)
    };
    !host.is_empty() && port.is_none_or(is_port)
}

fn endpoint(text: &str) -> Result<(), String> {
    let error = || "it must be an http:// or https:// URL".to_owned();
    let uri: Uri = text.parse().map_err(|_| error())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.host().is_some_and(|host| !host.is_empty()))
        .then_some(())
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/user/{sub}";

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        })
    }

    fn errors(variables: &[(&str, &str)]) -> Vec<&'static str> {
        read(variables)
            .err()
            .map_or(Vec::new(), |error| error.variables().collect())
    }

    #[test]
    fn the_pattern_alone_is_enough() {
        let config = read(&[("APP_INSTANCE_USER_ARN", PATTERN)]).expect("complete");
        assert_eq!(config.region, "eu-central-1");
        assert_eq!(config.max_wait, Duration::from_secs(20));
        assert_eq!(config.connect_timeout, Duration::from_secs(1));
        assert_eq!(config.attempt_timeout, Duration::from_secs(2));
        assert!(config.origins.is_none());
    }

    #[test]
    fn the_region_is_required_if_the_pattern_has_none() {
        let whole = ("APP_INSTANCE_USER_ARN", "{arn}");
        assert_eq!(errors(&[whole]), ["AWS_REGION"]);
        let config = read(&[whole, ("AWS_REGION", "us-east-1")]).expect("complete");
        assert_eq!(config.region, "us-east-1");
        let both = [
            ("APP_INSTANCE_USER_ARN", PATTERN),
            ("AWS_REGION", "eu-west-1"),
        ];
        assert_eq!(read(&both).expect("complete").region, "eu-central-1");
    }

    #[test]
    fn the_default_rate_leaves_two_fifths_or_more_of_every_quota() {
        for (region, rate) in [("us-east-1", 5), ("eu-central-1", 3), ("us-west-2", 3)] {
            let pattern = PATTERN.replace("eu-central-1", region);
            let config = read(&[("APP_INSTANCE_USER_ARN", &pattern)]).expect("complete");
            assert_eq!(config.calls_per_second, rate, "{region}");
        }
        let config = read(&[
            ("APP_INSTANCE_USER_ARN", PATTERN),
            ("CHIME_CALLS_PER_SECOND", "50"),
        ]);
        assert_eq!(config.expect("complete").calls_per_second, 50);
        for wrong in ["0", "51", "+5", "5.0", "-1"] {
            let variables = [
                ("APP_INSTANCE_USER_ARN", PATTERN),
                ("CHIME_CALLS_PER_SECOND", wrong),
            ];
            assert_eq!(errors(&variables), ["CHIME_CALLS_PER_SECOND"], "{wrong}");
        }
    }

    #[test]
    fn a_role_session_name_needs_a_role() {
        let pattern = (
            "APP_INSTANCE_USER_ARN",
            "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c/user/{roleSessionName}",
        );
        assert_eq!(errors(&[pattern]), ["SESSION_ROLE_ARN"]);
        for wrong in ["chat", "arn:aws:iam::111122223333:user/chat"] {
            let variables = [pattern, ("SESSION_ROLE_ARN", wrong)];
            assert_eq!(errors(&variables), ["SESSION_ROLE_ARN"], "{wrong}");
        }
        let role = "arn:aws:iam::111122223333:role/chat";
        assert!(read(&[pattern, ("SESSION_ROLE_ARN", role)]).is_ok());
    }

    #[test]
    fn all_errors_are_reported_at_once_by_name() {
        let wrong = [
            ("APP_INSTANCE_USER_ARN", "arn:aws:chime"),
            ("ALLOWED_ORIGINS", "https://a.example/"),
            ("MAX_WAIT_SECONDS", "26"),
            ("CHIME_CALLS_PER_SECOND", "51"),
            ("CHIME_CONNECT_TIMEOUT_MS", "0"),
            ("CHIME_ATTEMPT_TIMEOUT_MS", "2s"),
            ("AWS_MAX_ATTEMPTS", "0"),
            ("AWS_USE_FIPS_ENDPOINT", "yes"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
            ("AWS_ENDPOINT_URL", "chime.example"),
            (
                "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING",
                "ftp://chime.example",
            ),
        ];
        let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        assert_eq!(errors(&wrong), names);
        let text = read(&wrong).err().expect("errors").to_string();
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        assert_eq!(
            errors(&[("APP_INSTANCE_USER_ARN", "")]),
            ["APP_INSTANCE_USER_ARN"]
        );
        let config = read(&[("APP_INSTANCE_USER_ARN", PATTERN), ("MAX_WAIT_SECONDS", "")]);
        assert_eq!(config.expect("complete").max_wait, Duration::from_secs(20));
    }

    #[test]
    fn an_origin_that_browsers_never_send_is_rejected() {
        for good in [
            "*",
            "https://a.example",
            "http://localhost:5173, https://b.example",
            "capacitor://localhost",
            "http://[::1]:8080",
        ] {
            let config = read(&[
                ("APP_INSTANCE_USER_ARN", PATTERN),
                ("ALLOWED_ORIGINS", good),
            ]);
            assert!(config.is_ok(), "{good}");
        }
        for bad in [
            "null",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
            "a.example",
            "*,https://a.example",
            "https://*.example",
            "https://a.example,",
            "https://",
            "https://a.example:",
            "https://:8443",
            "https://a.example:99999",
            "https://a.example:0443",
        ] {
            let variables = [("APP_INSTANCE_USER_ARN", PATTERN), ("ALLOWED_ORIGINS", bad)];
            assert_eq!(errors(&variables), ["ALLOWED_ORIGINS"], "{bad}");
        }
    }

    #[test]
    fn only_an_exact_origin_is_allowed() {
        let origins = origins("https://a.example,https://b.example:8443").expect("origins");
        assert_eq!(
            origins.allow(Some("https://a.example")),
            Some("https://a.example")
        );
        for other in [
            "https://a.example:8443",
            "https://b.example",
            "https://a.example.evil.test",
            "https://evil-a.example",
            "https://A.EXAMPLE",
            "http://a.example",
            "null",
            "",
        ] {
            assert_eq!(origins.allow(Some(other)), None, "{other}");
        }
        assert_eq!(origins.allow(None), None);
    }
}
