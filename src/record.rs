//! Record of one request: a line of JSON that is also a CloudWatch [embedded metric format][emf] document, so
//! counts and latencies become metrics without an agent.
//!
//! [emf]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::event::{Event, Gateway};
use crate::handler::Operation;
use crate::identity::{Authorizer, Caller};
use crate::log;
use crate::lookup::{Counts, Lookup};
use crate::problem::Problem;
use crate::status::MessageStatus;

/// Maximum number of values of one metric in an EMF document.
const MAX_METRIC_VALUES: usize = 100;
/// Maximum length of a cause in characters. A certificate with thousands of names has an error of 100 kB.
const MAX_CAUSE_LENGTH: usize = 300;

/// The record of one request. It is filled while the request is served, and written once, at the end.
///
/// No member can hold a token, a claim, the ARN of a user or a channel, a detail or a body.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    timestamp: Option<String>,
    level: Level,
    message: &'static str,
    /// The gateway's id of the request, or Lambda's.
    request_id: String,
    lambda_request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    chime_request_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source: Option<Gateway>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Authorizer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_instance_id: Option<String>,
    http_status: u16,
    #[serde(skip_serializing_if = "Tally::is_empty")]
    problem: Tally,
    #[serde(skip_serializing_if = "Tally::is_empty")]
    message_status: Tally,
    #[serde(skip_serializing_if = "String::is_empty")]
    cause: String,
    upstream_calls: u64,
    upstream_retries: u64,
    upstream_millis: u64,
    total_millis: u64,
    cold_start: bool,
    #[serde(rename = "FunctionName")]
    function_name: String,
    #[serde(flatten)]
    metrics: BTreeMap<&'static str, Metric>,
    #[serde(rename = "_aws")]
    emf: Option<Emf>,
    #[serde(skip)]
    waits: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    #[default]
    Info,
    Warn,
    Error,
}

/// Counts by name. A single name is serialized as a string.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.first_key_value() {
            Some((name, 1)) if self.0.len() == 1 => name.serialize(serializer),
            _ => self.0.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Metric {
    Count(u64),
    Millis(u64),
    ManyMillis(Vec<u64>),
}

impl Record {
    pub(crate) fn new(
        function_name: &str,
        lambda_request_id: &str,
        trace_header: Option<&str>,
        cold_start: bool,
    ) -> Self {
        let mut record = Self {
            message: "request",
            request_id: lambda_request_id.to_owned(),
            lambda_request_id: lambda_request_id.to_owned(),
            trace_id: trace_header.and_then(trace_id).map(str::to_owned),
            cold_start,
            function_name: function_name.to_owned(),
            ..Self::default()
        };
        record.count("Requests", 1);
        record.count("ColdStarts", u64::from(cold_start));
        record
    }

    /// The gateway's id of the request, or Lambda's.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let Some(id) = &event.request_id {
            self.request_id.clone_from(id);
        }
        self.event_source = Some(event.gateway);
    }

    pub(crate) fn operation(&mut self, operation: Operation) {
        self.operation = Some(operation);
    }

    pub(crate) fn caller(&mut self, caller: &Caller) {
        self.authorizer = Some(caller.authorizer());
        self.app_instance_id = Some(caller.user().app_instance_id().to_owned());
    }

    pub(crate) fn lookup(&mut self, lookup: &Lookup, waits: bool) {
        let Counts {
            calls,
            retries,
            latencies,
        } = &lookup.counts;
        self.chime_request_ids.clone_from(&lookup.chime_request_ids);
        self.waits = waits;
        self.upstream_calls = *calls;
        self.upstream_retries = *retries;
        self.upstream_millis = millis(latencies.iter().sum());
        if !latencies.is_empty() {
            let latencies = latencies.iter().take(MAX_METRIC_VALUES);
            let latencies = latencies.map(|latency| millis(*latency)).collect();
            self.metrics
                .insert("UpstreamLatency", Metric::ManyMillis(latencies));
        }
        self.count(
            "Messages",
            u64::try_from(lookup.answers.len()).unwrap_or(u64::MAX),
        );
        self.count("UpstreamRetries", *retries);
        self.count("WaitRequests", u64::from(waits));
    }

    pub(crate) fn status(&mut self, status: &MessageStatus) {
        // Chime's text of a value that is not known is not logged.
        let (name, metric) = match status.value() {
            "SENT" => ("SENT", "StatusSent"),
            "PENDING" => ("PENDING", "StatusPending"),
            "FAILED" => ("FAILED", "StatusFailed"),
            "DENIED" => ("DENIED", "StatusDenied"),
            _ => ("OTHER", "StatusOther"),
        };
        self.message_status.add(name);
        self.count(metric, 1);
    }

    pub(crate) fn problem(&mut self, problem: &Problem) {
        let problem_type = problem.problem_type;
        self.problem.add(problem_type.name());
        self.count(problem_type.metric(), 1);
        self.level = self.level.max(if problem_type.needs_operator() {
            Level::Error
        } else if problem_type.status().is_server_error() {
            Level::Warn
        } else {
            Level::Info
        });
        if let Some(cause) = problem.cause.as_deref()
            && !self.cause.contains(cause)
        {
            let separator = if self.cause.is_empty() { "" } else { "; " };
            let cause = format!("{}{separator}{cause}", self.cause);
            self.cause = cause.chars().take(MAX_CAUSE_LENGTH).collect();
        }
    }

    /// Completes the record of a request that ends now.
    pub(crate) fn end(&mut self, http_status: u16, total: Duration) {
        self.timestamp = log::timestamp();
        self.http_status = http_status;
        self.total_millis = millis(total);
        let latency = if self.waits {
            "WaitLatency"
        } else {
            "RequestLatency"
        };
        self.metrics
            .insert(latency, Metric::Millis(self.total_millis));
        self.metrics
            .insert("UpstreamCalls", Metric::Count(self.upstream_calls));
        self.emf = Some(Emf::of(&self.metrics));
    }

    pub fn write(&self) {
        log::write(self);
    }

    /// Counters are emitted only if they are not zero, so missing data means zero.
    fn count(&mut self, name: &'static str, by: u64) {
        if by > 0
            && let Metric::Count(count) = self.metrics.entry(name).or_insert(Metric::Count(0))
        {
            *count += by;
        }
    }
}

/// The part of an EMF document that lists the metrics.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Emf {
    timestamp: u64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

impl Emf {
    fn of(metrics: &BTreeMap<&'static str, Metric>) -> Self {
        let definitions = metrics.iter().map(|(&name, metric)| Definition {
            name,
            unit: match metric {
                Metric::Count(_) => "Count",
                Metric::Millis(_) | Metric::ManyMillis(_) => "Milliseconds",
            },
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            timestamp: now.map_or(0, millis),
            cloud_watch_metrics: [Directive {
                namespace: "ChimeMessageStatus",
                dimensions: [["FunctionName"]],
                metrics: definitions.collect(),
            }],
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The root of a trace header such as `Root=1-…;Parent=…;Sampled=1`: `1-`, 8 hex digits, `-`, 24 hex digits.
/// A caller can send the header, so any other text is dropped.
fn trace_id(header: &str) -> Option<&str> {
    let mut fields = header.split(';');
    let root = fields.find_map(|field| field.strip_prefix("Root="))?;
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let (time, unique) = root.strip_prefix("1-")?.split_once('-')?;
    (is_hex(time, 8) && is_hex(unique, 24)).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_root_of_a_trace_is_taken_from_the_header() {
        let root = "1-5759e988-bd862e3fe1be46a994272793";
        for (header, found) in [
            (
                format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"),
                true,
            ),
            (format!("Self=1-x;Root={root}"), true),
            (format!("Root={root}"), true),
            (root.to_owned(), false),
            (format!("Root={root}x;Sampled=1"), false),
            (format!("Root=2{}", root.replacen('1', "", 1)), false),
            (format!("Root={}", root.replace('b', "g")), false),
            (format!("Root={root}\n"), false),
            ("Root=secret".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(trace_id(&header), found.then_some(root), "{header:?}");
        }
    }
}
