//! The configuration: environment variables in, typed values out, every fault at once.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::http::Uri;
use rustls::RootCertStore;

use crate::domain::UserArnPattern;
use crate::roots;

/// What the operator decided, read once at cold start.
///
/// Credentials, endpoints and the other variables that every AWS tool knows are read by aws-config;
/// here they are only checked, so that a typing error is told instead of ignored.
pub struct Config {
    pub(crate) user_arn: UserArnPattern,
    pub(crate) origins: Option<AllowedOrigins>,
    pub(crate) max_wait: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) region: String,
    /// Whom Chime's certificate has to come from: those of `AWS_CA_BUNDLE`, or the system's.
    pub(crate) roots: Arc<RootCertStore>,
    /// The dimension of all metrics.
    pub(crate) function_name: String,
}

/// Which origins may read answers.
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

/// Every variable that is missing or wrong, each with what is wrong with it.
#[derive(Debug)]
pub struct ConfigError(Vec<(&'static str, String)>);

impl ConfigError {
    /// The names of the variables.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is wrong")?;
        for (name, fault) in &self.0 {
            write!(formatter, "; {name}: {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// How an identity becomes a user.
    pub fn user_arn(&self) -> &UserArnPattern {
        &self.user_arn
    }

    /// Where Chime is asked.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Reads the configuration through `variable`, and the file that `AWS_CA_BUNDLE` names through
    /// `file`.
    ///
    /// # Errors
    /// [`ConfigError`] with every variable that is missing or wrong.
    pub fn from_lookup(
        variable: impl Fn(&str) -> Option<OsString>,
        file: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            variable,
            faults: Vec::new(),
        };
        let user_arn = reader.required("APP_INSTANCE_USER_ARN", |text| {
            UserArnPattern::parse(text).map_err(|error| error.to_string())
        });
        let origins = reader.optional("ALLOWED_ORIGINS", origins);
        let max_wait = reader.whole("MAX_WAIT_SECONDS", 0..=25).unwrap_or(20);
        let timeout = 1..=25_000;
        let connect_timeout = reader.whole("CHIME_CONNECT_TIMEOUT_MS", timeout.clone());
        let attempt_timeout = reader.whole("CHIME_ATTEMPT_TIMEOUT_MS", timeout);
        let region = match user_arn.as_ref().and_then(UserArnPattern::region) {
            Some(region) => Some(region.to_owned()),
            // Without a template nothing is known about whether the variable is needed.
            None if user_arn.is_none() => None,
            None => reader.required("AWS_REGION", |text| Ok(text.to_owned())),
        };
        reader.optional("AWS_MAX_ATTEMPTS", |text| match text.parse::<u32>() {
            Ok(1..) => Ok(()),
            _ => Err("it must be a whole number from 1".to_owned()),
        });
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            reader.optional(name, |text| match text.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err("it must be true or false".to_owned()),
            });
        }
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING"] {
            // The SDK takes nothing for an endpoint, and panics on it.
            match (reader.variable)(name).is_some_and(|url| url.is_empty()) {
                true => reader
                    .faults
                    .push((name, "it is set to nothing".to_owned())),
                false => drop(reader.optional(name, endpoint)),
            }
        }
        let roots = reader.optional("AWS_CA_BUNDLE", |path| {
            let pem =
                file(Path::new(path)).map_err(|error| format!("it cannot be read: {error}"))?;
            roots::parse(&pem).map_err(|error| error.to_string())
        });
        let roots = roots.unwrap_or_else(|| roots::of_the_system(file));
        let function_name = reader.required("AWS_LAMBDA_FUNCTION_NAME", |text| Ok(text.to_owned()));
        for name in [
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        ] {
            reader.required(name, |_| Ok(()));
        }
        match (user_arn, region, function_name) {
            (Some(user_arn), Some(region), Some(function_name)) if reader.faults.is_empty() => {
                Ok(Self {
                    user_arn,
                    origins,
                    max_wait: Duration::from_secs(max_wait),
                    connect_timeout: Duration::from_millis(connect_timeout.unwrap_or(1000)),
                    attempt_timeout: Duration::from_millis(attempt_timeout.unwrap_or(2000)),
                    region,
                    roots: Arc::new(roots),
                    function_name,
                })
            }
            _ => Err(ConfigError(reader.faults)),
        }
    }
}

/// Reads variables one by one, and keeps what is wrong with them.
struct Reader<V> {
    variable: V,
    faults: Vec<(&'static str, String)>,
}

impl<V: Fn(&str) -> Option<OsString>> Reader<V> {
    /// The value of a variable; one that is set to nothing counts as not set, as in the AWS tools.
    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        let parsed = match value.to_str() {
            Some(text) => parse(text),
            None => Err("it is not UTF-8".to_owned()),
        };
        parsed.map_err(|fault| self.faults.push((name, fault))).ok()
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if (self.variable)(name).is_none_or(|value| value.is_empty()) {
            let fault = if name.starts_with("AWS_LAMBDA_") {
                "it is not set; Lambda sets it, and this program runs nowhere else"
            } else {
                "it is required"
            };
            self.faults.push((name, fault.to_owned()));
            return None;
        }
        self.optional(name, parse)
    }

    fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.optional(name, |text| match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!(
                "it must be a whole number from {} to {}",
                range.start(),
                range.end()
            )),
        })
    }
}

fn origins(text: &str) -> Result<AllowedOrigins, String> {
    if text.trim() == "*" {
        return Ok(AllowedOrigins::Any);
    }
    text.split(',')
        .map(str::trim)
        .map(|origin| match is_origin(origin) {
            true => Ok(origin.to_owned()),
            false => Err(format!(
                "{origin:?} is no origin as browsers send it (scheme://host or scheme://host:port, \
                 in lower case, without a path and without the scheme's own port)"
            )),
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
        && !authority.is_empty()
        && authority.bytes().all(is_host_byte)
        && (default_port.is_empty() || !authority.ends_with(default_port))
}

fn endpoint(text: &str) -> Result<(), String> {
    let fault = || "it must be an http:// or https:// URL".to_owned();
    let uri: Uri = text.parse().map_err(|_| fault())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.host().is_some_and(|host| !host.is_empty()))
        .then_some(())
        .ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "arn:aws:chime:eu-central-1:111122223333:app-instance/7f1c/user/{sub}";
    const LAMBDA: [(&str, &str); 4] = [
        ("AWS_LAMBDA_FUNCTION_NAME", "status"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(
            |name| {
                let own = variables.iter().rev().find(|(known, _)| *known == name);
                let (_, value) = own.or(LAMBDA.iter().find(|(known, _)| *known == name))?;
                Some(OsString::from(value))
            },
            |_| Err(io::Error::from(io::ErrorKind::NotFound)),
        )
    }

    fn faults(variables: &[(&str, &str)]) -> Vec<&'static str> {
        read(variables)
            .err()
            .map_or(Vec::new(), |error| error.variables().collect())
    }

    #[test]
    fn the_template_alone_is_enough() {
        let config = read(&[("APP_INSTANCE_USER_ARN", TEMPLATE)]).expect("complete");
        assert_eq!(config.region, "eu-central-1");
        assert_eq!(config.max_wait, Duration::from_secs(20));
        assert_eq!(config.connect_timeout, Duration::from_secs(1));
        assert_eq!(config.attempt_timeout, Duration::from_secs(2));
        assert!(config.origins.is_none());
    }

    #[test]
    fn the_region_is_needed_where_the_template_has_none() {
        let whole = ("APP_INSTANCE_USER_ARN", "{arn}");
        assert_eq!(faults(&[whole]), ["AWS_REGION"]);
        let config = read(&[whole, ("AWS_REGION", "us-east-1")]).expect("complete");
        assert_eq!(config.region, "us-east-1");
        let both = [
            ("APP_INSTANCE_USER_ARN", TEMPLATE),
            ("AWS_REGION", "eu-west-1"),
        ];
        assert_eq!(read(&both).expect("complete").region, "eu-central-1");
    }

    #[test]
    fn every_fault_is_told_at_once_and_by_name() {
        let wrong = [
            ("APP_INSTANCE_USER_ARN", "arn:aws:chime"),
            ("ALLOWED_ORIGINS", "https://a.example/"),
            ("MAX_WAIT_SECONDS", "26"),
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
            ("AWS_CA_BUNDLE", "/nowhere"),
            ("AWS_LAMBDA_RUNTIME_API", ""),
        ];
        let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        assert_eq!(faults(&wrong), names);
        let told = read(&wrong).err().expect("faults").to_string();
        assert!(names.iter().all(|name| told.contains(name)), "{told}");
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_set() {
        assert_eq!(
            faults(&[("APP_INSTANCE_USER_ARN", "")]),
            ["APP_INSTANCE_USER_ARN"]
        );
        let config = read(&[
            ("APP_INSTANCE_USER_ARN", TEMPLATE),
            ("MAX_WAIT_SECONDS", ""),
        ]);
        assert_eq!(config.expect("complete").max_wait, Duration::from_secs(20));
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_a_fault() {
        for good in [
            "*",
            "https://a.example",
            "http://localhost:5173, https://b.example",
            "capacitor://localhost",
            "http://[::1]:8080",
        ] {
            let config = read(&[
                ("APP_INSTANCE_USER_ARN", TEMPLATE),
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
        ] {
            let variables = [
                ("APP_INSTANCE_USER_ARN", TEMPLATE),
                ("ALLOWED_ORIGINS", bad),
            ];
            assert_eq!(faults(&variables), ["ALLOWED_ORIGINS"], "{bad}");
        }
    }

    #[test]
    fn origins_match_whole_or_not_at_all() {
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
