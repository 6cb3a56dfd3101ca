//! One record for each request: a line of JSON that is also a document of CloudWatch's
//! [embedded metric format][emf], so that counts and latencies become metrics without an agent.
//!
//! No subscriber of `tracing` is installed anywhere: the SDK and its HTTP client print headers at
//! their debug levels, bearer and signature among them, and here they have nowhere to print to.
//!
//! [emf]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::caller::EventSource;
use crate::chime::Reply;
use crate::domain::StatusValue;
use crate::problem::Problem;
use crate::settle::Reason;

const NAMESPACE: &str = "ChimeMessageStatus";

/// What is told of one request. Nothing in it can hold a token, a claim, an ARN, a detail or a body.
pub(crate) struct Record<'r> {
    pub(crate) function_name: &'r str,
    pub(crate) request_id: &'r str,
    pub(crate) lambda_request_id: &'r str,
    pub(crate) method: &'static str,
    pub(crate) http_status: u16,
    pub(crate) cold_start: bool,
    pub(crate) total: Duration,
    pub(crate) metrics: RequestMetrics,
}

/// What was learned on the way, about one message or many.
#[derive(Default)]
pub(crate) struct RequestMetrics {
    /// Where the request came in.
    pub(crate) event_source: Option<EventSource>,
    /// Whether it asks to wait.
    pub(crate) waits: bool,
    chime_request_ids: Vec<String>,
    calls: u64,
    retries: u64,
    /// Of the calls that ended: one that was given up has no latency.
    latencies: Vec<Duration>,
    statuses: BTreeMap<&'static str, u64>,
    problems: BTreeMap<&'static str, u64>,
    problem_metrics: BTreeMap<&'static str, u64>,
    causes: Vec<String>,
    our_fault: bool,
    their_fault: bool,
}

impl RequestMetrics {
    pub(crate) fn call(&mut self, reason: Reason) {
        self.calls = self.calls.saturating_add(1);
        self.retries = self
            .retries
            .saturating_add(u64::from(reason == Reason::Retry));
    }

    pub(crate) fn reply(&mut self, reply: &Reply) {
        self.latencies.push(reply.took);
        self.chime_request_ids.extend(reply.request_id.clone());
    }

    pub(crate) fn status(&mut self, status: &StatusValue) {
        let name = match status {
            StatusValue::Sent => "SENT",
            StatusValue::Pending => "PENDING",
            StatusValue::Failed => "FAILED",
            StatusValue::Denied => "DENIED",
            // Text from outside, which could be anything.
            StatusValue::Other(_) => "OTHER",
        };
        count(&mut self.statuses, name);
    }

    pub(crate) fn problem(&mut self, problem: &Problem) {
        count(&mut self.problems, problem.kind.name());
        count(&mut self.problem_metrics, problem.kind.metric());
        self.our_fault |= problem.kind.is_our_fault();
        self.their_fault |= problem.kind.status().is_server_error();
        if let Some(cause) = &problem.cause
            && !self.causes.contains(cause)
        {
            self.causes.push(cause.clone());
        }
    }
}

fn count(counts: &mut BTreeMap<&'static str, u64>, name: &'static str) {
    let counted = counts.entry(name).or_default();
    *counted = counted.saturating_add(1);
}

impl Record<'_> {
    /// Writes the record.
    pub(crate) fn write(&self) {
        write_line(self);
    }

    fn level(&self) -> &'static str {
        match (self.metrics.our_fault, self.metrics.their_fault) {
            (true, _) => "ERROR",
            (false, true) => "WARN",
            (false, false) => "INFO",
        }
    }

    /// Names, units and values of what CloudWatch counts.
    fn emitted(&self) -> Vec<(&'static str, &'static str, Value)> {
        const COUNT: &str = "Count";
        const MILLISECONDS: &str = "Milliseconds";
        let metrics = &self.metrics;
        let mut emitted = vec![
            ("Requests", COUNT, Value::GetStatus(1)),
            (
                "Latency",
                MILLISECONDS,
                Value::GetStatus(millis(self.total)),
            ),
            ("UpstreamCalls", COUNT, Value::GetStatus(metrics.calls)),
        ];
        if !metrics.latencies.is_empty() {
            // A metric's value may be a list of up to 100.
            let latencies = metrics
                .latencies
                .iter()
                .take(100)
                .map(|took| millis(*took))
                .collect();
            emitted.push((
                "UpstreamLatency",
                MILLISECONDS,
                Value::BatchGetStatus(latencies),
            ));
        }
        for (name, value) in [
            ("UpstreamRetries", metrics.retries),
            ("ColdStarts", u64::from(self.cold_start)),
            ("Waits", u64::from(metrics.waits)),
        ] {
            if value > 0 {
                emitted.push((name, COUNT, Value::GetStatus(value)));
            }
        }
        for (status, value) in &metrics.statuses {
            let name = match *status {
                "SENT" => "Sent",
                "PENDING" => "Pending",
                "FAILED" => "Failed",
                "DENIED" => "Denied",
                _ => "OtherStatus",
            };
            emitted.push((name, COUNT, Value::GetStatus(*value)));
        }
        for (name, value) in &metrics.problem_metrics {
            emitted.push((name, COUNT, Value::GetStatus(*value)));
        }
        emitted
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    GetStatus(u64),
    BatchGetStatus(Vec<u64>),
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metrics = &self.metrics;
        let emitted = self.emitted();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("level", self.level())?;
        map.serialize_entry("message", "request")?;
        map.serialize_entry("requestId", self.request_id)?;
        map.serialize_entry("lambdaRequestId", self.lambda_request_id)?;
        map.serialize_entry("chimeRequestIds", &metrics.chime_request_ids)?;
        map.serialize_entry("method", self.method)?;
        if let Some(event_source) = metrics.event_source {
            map.serialize_entry("eventSource", event_source.gateway)?;
            map.serialize_entry("authorizer", event_source.authorizer)?;
        }
        map.serialize_entry("httpStatus", &self.http_status)?;
        serialize_names(&mut map, "problem", &metrics.problems)?;
        serialize_names(&mut map, "messageStatus", &metrics.statuses)?;
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

/// One name as it is; several as an object of counts.
fn serialize_names<M: SerializeMap>(
    map: &mut M,
    key: &str,
    names: &BTreeMap<&'static str, u64>,
) -> Result<(), M::Error> {
    let mut each = names.iter();
    match (each.next(), each.next()) {
        (None, _) => Ok(()),
        (Some((name, 1)), None) => map.serialize_entry(key, name),
        _ => map.serialize_entry(key, names),
    }
}

/// The part of an EMF document that says which members are metrics.
struct EmfMetadata<'m>(&'m [(&'static str, &'static str, Value)]);

impl Serialize for EmfMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wire<'m> {
            timestamp: u64,
            // The name that EMF gives it.
            #[serde(rename = "CloudWatchMetrics")]
            metrics: [Set<'m>; 1],
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Set<'m> {
            namespace: &'static str,
            dimensions: [[&'static str; 1]; 1],
            metrics: Vec<Metric<'m>>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Metric<'m> {
            name: &'m str,
            unit: &'m str,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let metrics = self.0.iter().map(|(name, unit, _)| Metric { name, unit });
        Wire {
            timestamp: now.map_or(0, millis),
            metrics: [Set {
                namespace: NAMESPACE,
                dimensions: [["FunctionName"]],
                metrics: metrics.collect(),
            }],
        }
        .serialize(serializer)
    }
}

/// Tells why the function does not start.
pub fn report_start_failure(error: &dyn std::error::Error) {
    write_line(&LogLine {
        level: "ERROR",
        message: "the function does not start",
        cause: error.to_string(),
    });
}

/// Makes a panic, which should never happen, say where it was and not what it was about: a panic's
/// own message may quote what it choked on.
pub fn report_panics_without_content() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || "an unknown place".to_owned(),
            |place| format!("{}:{}", place.file(), place.line()),
        );
        write_line(&LogLine {
            level: "ERROR",
            message: "the function has panicked",
            cause: place,
        });
    }));
}

#[derive(Serialize)]
struct LogLine {
    level: &'static str,
    message: &'static str,
    cause: String,
}

fn write_line(line: &impl Serialize) {
    // A log that cannot be written is no reason to fail the request that it is about.
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        let _written = std::io::stdout().lock().write_all(&line);
    }
}
