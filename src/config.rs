//! Configuration: environment variables → typed settings, with all errors at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use crate::arn::Part;
use crate::chime::RootCertificates;
use crate::cors::AllowedOrigins;
use crate::identity::{UserMapping, UserMappingError};
use crate::session_role::SessionRole;
use crate::user_arn::UserArnPattern;

/// The region in which Chime allows a user 10 requests a second. Elsewhere it is 5.
const LARGE_QUOTA_REGION: &str = "us-east-1";

/// The settings of the function, read once at cold start.
///
/// The SDK reads and checks the variables that every AWS tool knows. Here they are checked only as far as the
/// SDK would panic or ignore an error.
pub struct Config {
    pub mapping: UserMapping,
    /// The origins of `ALLOWED_ORIGINS`. Without them, there are no CORS headers.
    pub origins: Option<AllowedOrigins>,
    pub max_wait: Duration,
    /// Maximum number of calls that one request makes in any second.
    pub calls_per_second: usize,
    pub attempt_timeout: Duration,
    pub region: String,
    pub roots: RootCertificates,
    /// The name of the function: the dimension of all metrics.
    pub function_name: String,
}

/// Every variable that is missing or not valid, with the reason.
#[derive(Debug, Error)]
#[error("the configuration is not valid: {}", self.text())]
pub struct ConfigError(BTreeMap<&'static str, String>);

impl ConfigError {
    fn text(&self) -> String {
        let errors = self
            .0
            .iter()
            .map(|(name, error)| format!("{name}: {error}"));
        errors.collect::<Vec<_>>().join("; ")
    }
}

impl Config {
    /// Reads the configuration. `variable` looks up an environment variable, `file` reads a file.
    pub fn read(
        variable: impl Fn(&str) -> Option<OsString>,
        file: impl Fn(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let mut variables = Variables {
            variable,
            errors: BTreeMap::new(),
        };
        let pattern = variables.required("APP_INSTANCE_USER_ARN", UserArnPattern::parse);
        let region = match pattern.as_ref().map(UserArnPattern::region) {
            Some(Some(region)) => Some(region.to_owned()),
            Some(None) => variables.required("AWS_REGION", region),
            // Without a valid pattern, it is not known whether `AWS_REGION` is needed.
            None => None,
        };
        let mapping = variables.mapping(pattern);
        let origins = variables.optional("ALLOWED_ORIGINS", AllowedOrigins::parse);
        let max_wait = variables.whole("MAX_WAIT_SECONDS", 0..=25).unwrap_or(20);
        let calls_per_second = variables.whole("CHIME_CALLS_PER_SECOND", 1..=50);
        let attempt_timeout = variables.whole("CHIME_ATTEMPT_TIMEOUT_MS", 100..=2500);
        let roots = variables.optional("AWS_CA_BUNDLE", |path| {
            let pem = file(path).map_err(|error| format!("it cannot be read: {error}"))?;
            RootCertificates::parse(&pem).map_err(|error| error.to_string())
        });
        variables.check_endpoint();
        let function_name = variables.lambda();
        match (mapping, region, function_name) {
            (Some(mapping), Some(region), Some(function_name)) if variables.errors.is_empty() => {
                let default_rate = if region == LARGE_QUOTA_REGION { 5 } else { 3 };
                Ok(Self {
                    mapping,
                    origins,
                    max_wait: Duration::from_secs(max_wait.into()),
                    calls_per_second: calls_per_second.map_or(default_rate, usize::from),
                    attempt_timeout: Duration::from_millis(attempt_timeout.unwrap_or(2000).into()),
                    region,
                    roots: roots.unwrap_or_else(RootCertificates::compiled_in),
                    function_name,
                })
            }
            _ => Err(ConfigError(variables.errors)),
        }
    }
}

/// Reads environment variables and collects what is wrong with them.
struct Variables<V> {
    variable: V,
    errors: BTreeMap<&'static str, String>,
}

impl<V: Fn(&str) -> Option<OsString>> Variables<V> {
    /// The value of a variable. An empty value counts as not set, as in the AWS tools.
    fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        let parsed = match value.to_str() {
            Some(text) => parse(text).map_err(|error| error.to_string()),
            None => Err("it is not UTF-8".to_owned()),
        };
        parsed.map_err(|error| self.error(name, error)).ok()
    }

    /// The value of a variable that must be set.
    fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.is_set(name) {
            self.error(name, "it is required");
        }
        self.optional(name, parse)
    }

    fn whole(&mut self, name: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        self.optional(name, |text| {
            let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text
                .parse()
                .ok()
                .filter(|number| is_digits && range.contains(number));
            number.ok_or_else(|| {
                format!(
                    "it must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
        })
    }

    fn is_set(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|value| !value.is_empty())
    }

    fn error(&mut self, name: &'static str, error: impl Into<String>) {
        self.errors.insert(name, error.into());
    }

    fn mapping(&mut self, pattern: Option<UserArnPattern>) -> Option<UserMapping> {
        let issuer = self.optional("TOKEN_ISSUER", |text| {
            let has_space = text.contains(char::is_whitespace);
            if has_space {
                Err("it contains a space")
            } else {
                Ok(text.to_owned())
            }
        });
        let role = self.optional("SESSION_ROLE_ARN", |text| {
            SessionRole::parse(text)
                .ok_or("it must be the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME")
        });
        let mapping = UserMapping::new(pattern?, issuer, role);
        let error = mapping.as_ref().err().copied();
        if let Some(error) = error {
            let name = match error {
                UserMappingError::MixedNames => "APP_INSTANCE_USER_ARN",
                UserMappingError::IssuerOfSigner => "TOKEN_ISSUER",
                UserMappingError::MissingRole => "SESSION_ROLE_ARN",
            };
            // A role that is not valid is already reported.
            self.errors.entry(name).or_insert_with(|| error.to_string());
        }
        mapping.ok()
    }

    /// Checks the variables of the endpoint. The SDK would ignore an error, or panic.
    fn check_endpoint(&mut self) {
        const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", "AWS_ENDPOINT_URL"];
        let has_endpoint = ENDPOINTS.iter().any(|name| self.is_set(name));
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            let is_on = self.optional(name, |text| match text.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err("it must be true or false"),
            });
            if has_endpoint && is_on == Some(true) {
                self.error(name, "the SDK does not support it with a custom endpoint");
            }
        }
        for name in ENDPOINTS {
            // The SDK would use an empty value as the endpoint.
            if (self.variable)(name).is_some_and(|url| url.is_empty()) {
                self.error(name, "it is empty");
            }
            self.optional(name, |text| match Url::parse(text) {
                Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(()),
                _ => Err("it must be an http:// or https:// URL"),
            });
        }
    }

    /// The name of the function. Lambda sets these variables, and lambda_runtime panics without them.
    fn lambda(&mut self) -> Option<String> {
        for name in [
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        ] {
            self.required(name, |_| Ok::<_, &str>(()));
        }
        self.required("AWS_LAMBDA_FUNCTION_NAME", |text| {
            Ok::<_, &str>(text.to_owned())
        })
    }
}

fn region(text: &str) -> Result<String, String> {
    match Part::Region.check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(format!("it is not a region: it has {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/user/{sub}";

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variable = |name: &str| {
            let given = variables.iter().find(|(known, _)| *known == name);
            let of_lambda = name.starts_with("AWS_LAMBDA_").then_some("x");
            given
                .map(|(_, value)| *value)
                .or(of_lambda)
                .map(OsString::from)
        };
        Config::read(variable, |path| match path {
            "empty.pem" => Ok(Vec::new()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn errors(variables: &[(&str, &str)]) -> Vec<&'static str> {
        read(variables)
            .err()
            .map_or(Vec::new(), |error| error.0.into_keys().collect())
    }

    #[test]
    fn the_pattern_alone_is_enough() {
        let config = read(&[("APP_INSTANCE_USER_ARN", PATTERN)]).expect("complete");
        assert_eq!(config.region, "eu-central-1");
        assert_eq!(config.max_wait, Duration::from_secs(20));
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
        let mut wrong = [
            ("APP_INSTANCE_USER_ARN", "arn:aws:chime"),
            ("TOKEN_ISSUER", "https://issuer.example "),
            ("SESSION_ROLE_ARN", "chat"),
            ("ALLOWED_ORIGINS", "https://a.example/"),
            ("MAX_WAIT_SECONDS", "26"),
            ("CHIME_CALLS_PER_SECOND", "51"),
            ("CHIME_ATTEMPT_TIMEOUT_MS", "2s"),
            ("AWS_USE_FIPS_ENDPOINT", "yes"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
            ("AWS_ENDPOINT_URL", "chime.example"),
            (
                "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING",
                "ftp://chime.example",
            ),
            ("AWS_CA_BUNDLE", "missing.pem"),
            ("AWS_LAMBDA_FUNCTION_NAME", ""),
        ];
        wrong.sort_unstable();
        let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        assert_eq!(errors(&wrong), names);
        let text = read(&wrong).err().expect("errors").to_string();
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn a_value_outside_its_range_is_an_error() {
        for (name, value) in [
            ("CHIME_ATTEMPT_TIMEOUT_MS", "99"),
            ("CHIME_ATTEMPT_TIMEOUT_MS", "2501"),
            ("MAX_WAIT_SECONDS", "-1"),
            ("MAX_WAIT_SECONDS", "+1"),
            ("AWS_CA_BUNDLE", "empty.pem"),
            ("AWS_ENDPOINT_URL", ""),
        ] {
            let variables = [("APP_INSTANCE_USER_ARN", PATTERN), (name, value)];
            assert_eq!(errors(&variables), [name], "{value}");
        }
        let whole = [
            ("APP_INSTANCE_USER_ARN", "{arn}"),
            ("AWS_REGION", "us east"),
        ];
        assert_eq!(errors(&whole), ["AWS_REGION"]);
    }

    #[test]
    fn settings_that_exclude_each_other_name_the_one_to_change() {
        let user = |name: &str| PATTERN.replace("{sub}", name);
        let session = user("{roleSessionName}");
        let mixed = session.replace("7f1c", "{tenant}");
        let role = ("SESSION_ROLE_ARN", "arn:aws:iam::111122223333:role/chat");
        let issuer = ("TOKEN_ISSUER", "https://issuer.example");
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        let endpoint = ("AWS_ENDPOINT_URL", "https://chime.example");
        for (pattern, others, expected) in [
            (&mixed, [role, role], "APP_INSTANCE_USER_ARN"),
            (&session, [role, issuer], "TOKEN_ISSUER"),
            (&user("{sub}"), [fips, endpoint], "AWS_USE_FIPS_ENDPOINT"),
        ] {
            let mut variables = vec![("APP_INSTANCE_USER_ARN", pattern.as_str())];
            variables.extend(others);
            assert_eq!(errors(&variables), [expected], "{pattern}");
        }
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
}
