//! One log record per request: a line of JSON that is also a CloudWatch [embedded metric format][emf]
//! document, so counts and latencies become metrics without an agent.
//!
//! There is no `tracing` subscriber. At their debug levels, the SDK and its HTTP client log headers,
//! including bearer and signature.
//!
//! [emf]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::caller::EventSource;
use crate::chime::ChimeCall;
use crate::domain::StatusValue;
use crate::polling::CallReason;
use crate::problem::{Problem, ProblemType};

const NAMESPACE: &str = "ChimeMessageStatus";
/// Maximum number of values of one metric in an EMF document.
const MAX_METRIC_VALUES: usize = 100;

const COUNT: &str = "Count";
const MILLISECONDS: &str = "Milliseconds";

const REQUESTS: &str = "Requests";
const MESSAGES: &str = "Messages";
const REQUEST_LATENCY: &str = "RequestLatency";
const WAIT_LATENCY: &str = "WaitLatency";
const WAIT_REQUESTS: &str = "WaitRequests";
const COLD_STARTS: &str = "ColdStarts";
const UPSTREAM_CALLS: &str = "UpstreamCalls";
const UPSTREAM_RETRIES: &str = "UpstreamRetries";
const UPSTREAM_LATENCY: &str = "UpstreamLatency";
const STATUS_SENT: &str = "StatusSent";
const STATUS_PENDING: &str = "StatusPending";
const STATUS_FAILED: &str = "StatusFailed";
const STATUS_DENIED: &str = "StatusDenied";
const STATUS_OTHER: &str = "StatusOther";

/// Names and units of all metrics. Each problem type also has a count, see [`ProblemType::metric`].
pub const METRICS: &[(&str, &str)] = &[
    (REQUESTS, COUNT),
    (MESSAGES, COUNT),
    (REQUEST_LATENCY, MILLISECONDS),
    (WAIT_LATENCY, MILLISECONDS),
    (WAIT_REQUESTS, COUNT),
    (COLD_STARTS, COUNT),
    (UPSTREAM_CALLS, COUNT),
    (UPSTREAM_RETRIES, COUNT),
    (UPSTREAM_LATENCY, MILLISECONDS),
    (STATUS_SENT, COUNT),
    (STATUS_PENDING, COUNT),
    (STATUS_FAILED, COUNT),
    (STATUS_DENIED, COUNT),
    (STATUS_OTHER, COUNT),
];

/// The record of one request. No member can hold a token, a claim, an ARN, a detail or a body.
pub(crate) struct Record<'r> {
    pub(crate) function_name: &'r str,
    pub(crate) request_id: &'r str,
    pub(crate) lambda_request_id: &'r str,
    pub(crate) trace_id: Option<TraceId<'r>>,
    pub(crate) method: &'static str,
    pub(crate) http_status: u16,
    pub(crate) cold_start: bool,
    pub(crate) total: Duration,
    pub(crate) metrics: RequestMetrics,
}

/// The root of an X-Ray trace: `1-`, 8 hex digits, `-`, 24 hex digits.
#[derive(Clone, Copy)]
pub(crate) struct TraceId<'t>(&'t str);

impl<'t> TraceId<'t> {
    /// Finds the root in a trace header such as `Root=1-…;Parent=…;Sampled=1`. A caller can send the
    /// header, so any other text is dropped.
    pub(crate) fn parse(header: &'t str) -> Option<Self> {
        let mut fields = header.split(';');
        let root = fields.find_map(|field| field.strip_prefix("Root="))?;
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let (time, unique) = root.strip_prefix("1-")?.split_once('-')?;
        (is_hex(time, 8) && is_hex(unique, 24)).then_some(Self(root))
    }
}

/// Data for the record, collected while a request is served.
#[derive(Default)]
pub(crate) struct RequestMetrics {
    /// The gateway and the authorizer.
    pub(crate) event_source: Option<EventSource>,
    /// The name of the operation.
    pub(crate) operation: Option<&'static str>,
    /// Whether the request waits.
    pub(crate) waits: bool,
    chime_request_ids: Vec<String>,
    messages: u64,
    calls: u64,
    retries: u64,
    /// Durations of completed calls. A call that was given up has none.
    latencies: Vec<Duration>,
    statuses: BTreeMap<RecordedStatus, u64>,
    problems: BTreeMap<ProblemType, u64>,
    causes: Vec<String>,
}

impl RequestMetrics {
    pub(crate) fn call_starts(&mut self, reason: CallReason) {
        self.calls = self.calls.saturating_add(1);
        if reason == CallReason::Retry {
            self.retries = self.retries.saturating_add(1);
        }
    }

    pub(crate) fn call_ends<T>(&mut self, call: &ChimeCall<T>) {
        self.latencies.push(call.duration);
        self.chime_request_ids.extend(call.request_id.clone());
    }

    /// Counts a message that has a status or a problem.
    pub(crate) fn message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    pub(crate) fn status(&mut self, status: &StatusValue) {
        count(&mut self.statuses, RecordedStatus::from(status));
    }

    pub(crate) fn problem(&mut self, problem: &Problem) {
        count(&mut self.problems, problem.problem_type());
        if let Some(cause) = problem.cause()
            && !self.causes.iter().any(|known| known == cause)
        {
            self.causes.push(cause.to_owned());
        }
    }

    fn level(&self) -> &'static str {
        let mut problems = self.problems.keys();
        if problems.clone().any(|problem| problem.needs_operator()) {
            "ERROR"
        } else if problems.any(|problem| problem.status().is_server_error()) {
            "WARN"
        } else {
            "INFO"
        }
    }
}

/// A status as the record names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RecordedStatus {
    Sent,
    Pending,
    Failed,
    Denied,
    /// A value that this version does not know. Chime's text is not logged.
    Other,
}

impl From<&StatusValue> for RecordedStatus {
    fn from(status: &StatusValue) -> Self {
        match status {
            StatusValue::Sent => Self::Sent,
            StatusValue::Pending => Self::Pending,
            StatusValue::Failed => Self::Failed,
            StatusValue::Denied => Self::Denied,
            StatusValue::Other(_) => Self::Other,
        }
    }
}

impl RecordedStatus {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "SENT",
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
            Self::Denied => "DENIED",
            Self::Other => "OTHER",
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Self::Sent => STATUS_SENT,
            Self::Pending => STATUS_PENDING,
            Self::Failed => STATUS_FAILED,
            Self::Denied => STATUS_DENIED,
            Self::Other => STATUS_OTHER,
        }
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let counted = counts.entry(key).or_default();
    *counted = counted.saturating_add(1);
}

impl Record<'_> {
    /// Writes the record.
    pub(crate) fn write(&self) {
        write_line(self);
    }

    /// Names, units and values of the metrics. Most counters are emitted only if they are not zero, so
    /// missing data means zero.
    fn metrics(&self) -> Vec<(&'static str, &'static str, MetricValue)> {
        let metrics = &self.metrics;
        let latency = if metrics.waits {
            WAIT_LATENCY
        } else {
            REQUEST_LATENCY
        };
        let mut emitted = vec![
            (REQUESTS, COUNT, MetricValue::One(1)),
            (latency, MILLISECONDS, MetricValue::One(millis(self.total))),
            (UPSTREAM_CALLS, COUNT, MetricValue::One(metrics.calls)),
        ];
        if !metrics.latencies.is_empty() {
            let latencies = metrics.latencies.iter().take(MAX_METRIC_VALUES);
            let latencies = latencies.map(|duration| millis(*duration)).collect();
            emitted.push((UPSTREAM_LATENCY, MILLISECONDS, MetricValue::Many(latencies)));
        }
        let mut count = |name, value| {
            if value > 0 {
                emitted.push((name, COUNT, MetricValue::One(value)));
            }
        };
        count(MESSAGES, metrics.messages);
        count(UPSTREAM_RETRIES, metrics.retries);
        count(COLD_STARTS, u64::from(self.cold_start));
        count(WAIT_REQUESTS, u64::from(metrics.waits));
        for (status, value) in &metrics.statuses {
            count(status.metric(), *value);
        }
        for (problem, value) in &metrics.problems {
            count(problem.metric(), *value);
        }
        emitted
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum MetricValue {
    One(u64),
    Many(Vec<u64>),
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The current time in RFC 3339, in UTC with `Z`. Without it, Lambda treats every line as INFO.
fn timestamp() -> Option<String> {
    DateTime::from(SystemTime::now()).fmt(Format::DateTime).ok()
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metrics = &self.metrics;
        let emitted = self.metrics();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &timestamp())?;
        map.serialize_entry("level", metrics.level())?;
        map.serialize_entry("message", "request")?;
        map.serialize_entry("requestId", self.request_id)?;
        map.serialize_entry("lambdaRequestId", self.lambda_request_id)?;
        if let Some(TraceId(trace_id)) = self.trace_id {
            map.serialize_entry("traceId", trace_id)?;
        }
        map.serialize_entry("chimeRequestIds", &metrics.chime_request_ids)?;
        map.serialize_entry("method", self.method)?;
        if let Some(operation) = metrics.operation {
            map.serialize_entry("operation", operation)?;
        }
        if let Some(source) = metrics.event_source {
            map.serialize_entry("eventSource", source.gateway())?;
            map.serialize_entry("authorizer", source.authorizer())?;
        }
        map.serialize_entry("httpStatus", &self.http_status)?;
        let problems = metrics.problems.iter();
        let problems = problems.map(|(problem, count)| (problem.name(), *count));
        serialize_counts(&mut map, "problem", &problems.collect())?;
        let statuses = metrics.statuses.iter();
        let statuses = statuses.map(|(status, count)| (status.name(), *count));
        serialize_counts(&mut map, "messageStatus", &statuses.collect())?;
        if !metrics.causes.is_empty() {
            map.serialize_entry("cause", &metrics.causes.join("; "))?;
        }
        map.serialize_entry("upstreamCalls", &metrics.calls)?;
        map.serialize_entry("upstreamRetries", &metrics.retries)?;
        map.serialize_entry("upstreamMillis", &millis(metrics.latencies.iter().sum()))?;
        map.serialize_entry("totalMillis", &millis(self.total))?;
        map.serialize_entry("coldStart", &self.cold_start)?;
        map.serialize_entry("FunctionName", self.function_name)?;
        for (name, _, value) in &emitted {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("_aws", &EmfMetadata(&emitted))?;
        map.end()
    }
}

/// Writes a single name as a string, and several as an object of counts.
fn serialize_counts<M: SerializeMap>(
    map: &mut M,
    key: &str,
    counts: &BTreeMap<&'static str, u64>,
) -> Result<(), M::Error> {
    let mut each = counts.iter();
    match (each.next(), each.next()) {
        (None, _) => Ok(()),
        (Some((name, 1)), None) => map.serialize_entry(key, name),
        _ => map.serialize_entry(key, counts),
    }
}

/// The part of an EMF document that lists the metrics.
struct EmfMetadata<'m>(&'m [(&'static str, &'static str, MetricValue)]);

impl Serialize for EmfMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Metadata<'m> {
            timestamp: u64,
            cloud_watch_metrics: [MetricDirective<'m>; 1],
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct MetricDirective<'m> {
            namespace: &'static str,
            dimensions: [[&'static str; 1]; 1],
            metrics: Vec<MetricDefinition<'m>>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct MetricDefinition<'m> {
            name: &'m str,
            unit: &'m str,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let metrics = self
            .0
            .iter()
            .map(|(name, unit, _)| MetricDefinition { name, unit });
        Metadata {
            timestamp: now.map_or(0, millis),
            cloud_watch_metrics: [MetricDirective {
                namespace: NAMESPACE,
                dimensions: [["FunctionName"]],
                metrics: metrics.collect(),
            }],
        }
        .serialize(serializer)
    }
}

/// Logs why the function does not start.
pub fn report_start_failure(error: &dyn Error) {
    LogLine::error("the function does not start", error.to_string()).write();
}

/// Logs that the function ends because it can no longer reach the Runtime API.
pub fn report_runtime_failure(error: &(dyn Error + 'static)) {
    LogLine::error("the Lambda Runtime API failed", without_content(error)).write();
}

/// Logs that a response did not reach the Runtime API.
pub(crate) fn report_undelivered_response(error: &(dyn Error + 'static)) {
    LogLine::error("a response was not delivered", without_content(error)).write();
}

/// Logs a panic, which should never happen, with its place and without its text: the text may quote a
/// request.
pub fn report_panics_without_content() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || "an unknown place".to_owned(),
            |place| format!("{}:{}", place.file(), place.line()),
        );
        LogLine::error("the function panicked", place).write();
    }));
}

/// The text of an error of lambda_runtime. A JSON error quotes the header that it could not read.
fn without_content(error: &(dyn Error + 'static)) -> String {
    if error.is::<serde_json::Error>() {
        "a header of an invocation is not valid".to_owned()
    } else {
        error.to_string()
    }
}

/// A line that is not about a request.
#[derive(Serialize)]
struct LogLine {
    timestamp: Option<String>,
    level: &'static str,
    message: &'static str,
    cause: String,
}

impl LogLine {
    fn error(message: &'static str, cause: String) -> Self {
        Self {
            timestamp: timestamp(),
            level: "ERROR",
            message,
            cause,
        }
    }

    fn write(&self) {
        write_line(self);
    }
}

fn write_line(line: &impl Serialize) {
    // A log that cannot be written does not fail the request.
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        let _written = std::io::stdout().lock().write_all(&line);
    }
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
            let parsed = TraceId::parse(&header).map(|TraceId(id)| id);
            assert_eq!(parsed, found.then_some(root), "{header:?}");
        }
    }
}
