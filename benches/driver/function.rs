//! A function under measurement: its requests, and what it has cost so far.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fakes::chime::{FakeChime, Options};
use fakes::flow::{FlowOutcome, Message};
use fakes::lambda::{FakeLambda, InvocationResult as Reply, TraceIds};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempPath};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T> = Result<T, Failure>;

const EVENT: &str = include_str!("../../events/http-api-jwt.json");
const APP_INSTANCE: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21";
/// The user and the message of [`EVENT`].
const ALICE: &str = "5c3b1f0a-8d2e-4f67-b1a9-3e7d2c4b5a60";
pub const MESSAGE: &str = "4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35";
/// Where systems keep the certificates that they trust.
const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];
/// 40 of them are as long as Lambda's session tokens, 1,000 characters.
const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEJr/+4e=a";
/// Lambda's timeout.
pub const DEADLINE: Duration = Duration::from_secs(29);
const START: Duration = Duration::from_secs(30);

/// The root certificates that a function trusts, in addition to the fake Chime's own authority.
#[derive(Clone, Copy)]
pub enum Roots {
    /// The system's, about 140. SDKs for Rust read them on Lambda; boto3 has about as many.
    System,
    /// No others: `AWS_CA_BUNDLE` replaces the usual ones. The same on every machine.
    Bundle,
}

impl Roots {
    pub fn named(name: &str) -> Outcome<Self> {
        match name {
            "system" => Ok(Self::System),
            "bundle" => Ok(Self::Bundle),
            _ => Err(format!("{name}: roots are system or bundle").into()),
        }
    }
}

pub struct Chime {
    pub fake: FakeChime,
    variables: Vec<(&'static str, String)>,
    _files: [TempPath; 2],
}

impl Chime {
    pub async fn new(roots: Roots) -> Outcome<Self> {
        let mut options = Options::default();
        options.credentials.session_token = Some(SESSION_TOKEN.repeat(40));
        let credentials = options.credentials.clone();
        let fake = FakeChime::start(options).await?;
        let authority = fake.ca_pem();
        let system = match roots {
            Roots::System => {
                let found = SYSTEM_ROOTS
                    .iter()
                    .find_map(|path| std::fs::read_to_string(path).ok());
                found.ok_or("no certificates of the system")?
            }
            Roots::Bundle => String::new(),
        };
        let (authority_file, roots_file) =
            (file(authority)?, file(&format!("{authority}{system}"))?);
        let path = roots_file.display().to_string();
        let mut variables = vec![
            ("APP_INSTANCE_USER_ARN", user("{sub}")),
            ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", fake.https_url()),
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key),
            ("AWS_SESSION_TOKEN", SESSION_TOKEN.repeat(40)),
            // Lambda sets this variable, and boto3 reads no other one for the region.
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            // Node has its roots compiled in. Rust and boto3 read the next two.
            ("NODE_EXTRA_CA_CERTS", authority_file.display().to_string()),
            ("SSL_CERT_FILE", path.clone()),
            ("REQUESTS_CA_BUNDLE", path.clone()),
        ];
        if matches!(roots, Roots::Bundle) {
            variables.push(("AWS_CA_BUNDLE", path));
        }
        Ok(Self {
            fake,
            variables,
            _files: [authority_file, roots_file],
        })
    }

    pub async fn start(&self, binary: &Path, more: &[(&str, &str)]) -> Outcome<Function> {
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let variables: Vec<_> = own.chain(more.iter().copied()).collect();
        Ok(Function(FakeLambda::start(binary, &variables).await?))
    }

    /// Stores the message of [`EVENT`].
    pub fn seed_usual(&self) {
        self.put_message(MESSAGE, ALICE, FlowOutcome::sent());
    }

    pub fn put_message(&self, message_id: &str, sender: &str, outcome: FlowOutcome) {
        self.fake.put_message(Message {
            channel_arn: channel(),
            sub_channel_id: None,
            message_id: message_id.to_owned(),
            sender: user(sender),
            outcome,
        });
    }
}

/// A `GET` by another user for another message.
pub fn get(sub: &str, message_id: &str, rest: &str) -> Outcome<String> {
    let mut event: Value = serde_json::from_str(EVENT)?;
    let query = format!("channelArn={}&messageId={message_id}{rest}", channel());
    event["rawQueryString"] = query.into();
    event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = sub.into();
    Ok(event.to_string())
}

/// A `POST` for many messages, with this query.
pub fn post(sub: &str, message_ids: &[String], query: &str) -> Outcome<String> {
    let mut event: Value = serde_json::from_str(&get(sub, "", "")?)?;
    let messages: Vec<_> = message_ids
        .iter()
        .map(|id| json!({"channelArn": channel(), "messageId": id}))
        .collect();
    event["rawQueryString"] = query.into();
    event["requestContext"]["http"]["method"] = "POST".into();
    event["headers"]["content-type"] = "application/json".into();
    event["body"] = json!({ "messages": messages }).to_string().into();
    Ok(event.to_string())
}

fn channel() -> String {
    format!("{APP_INSTANCE}/channel/chat-general")
}

fn user(id: &str) -> String {
    format!("{APP_INSTANCE}/user/{id}")
}

/// A running function. Dropping it ends it.
pub struct Function(FakeLambda);

impl Function {
    /// Waits until the function has requested `polls` invocations since its start, and uses no more CPU time.
    pub async fn at_rest(&self, polls: usize) -> Outcome<()> {
        tokio::time::timeout(START, async {
            self.0.polled(polls).await;
            let mut before = self.cpu()?;
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = self.cpu()?;
                if now == before {
                    return Ok(());
                }
                before = now;
            }
        })
        .await
        .map_err(|_| format!("it still uses CPU time; its log: {:?}", self.0.log()))?
    }

    /// Makes a request, and accepts any well-formed response.
    pub async fn any_response(&self, event: String) -> Outcome<Value> {
        let reply = self.0.invoke(event, Some(DEADLINE)).await;
        let Reply::Response(response) = &reply else {
            return Err(format!("no response: {reply:?}; its log: {:?}", self.0.log()).into());
        };
        Ok(serde_json::from_slice(response)?)
    }

    /// The body of a 200 response.
    pub async fn response_body(&self, event: String) -> Outcome<Value> {
        let response = self.any_response(event).await?;
        match (response["statusCode"].as_u64(), response["body"].as_str()) {
            (Some(200), Some(body)) => Ok(serde_json::from_str(body)?),
            _ => Err(format!("a wrong response: {response}; its log: {:?}", self.0.log()).into()),
        }
    }

    /// The usual request; checks the response.
    pub async fn usual_request(&self) -> Outcome<()> {
        let body = self.response_body(EVENT.to_owned()).await?;
        if body == json!({"messageId": MESSAGE, "status": "SENT"}) {
            Ok(())
        } else {
            Err(format!("a wrong response: {body}").into())
        }
    }

    /// The CPU time of all its threads since the start, user and system, in nanoseconds.
    pub fn cpu(&self) -> Outcome<i64> {
        // The id that Linux documents for the CPU clock of another process, which macOS does not have.
        let clock = ClockId::from_raw(((!self.0.pid() << 3) | 2) as _);
        let time = clock_gettime(clock)?;
        Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
    }

    /// Its peak memory, in KiB.
    pub fn peak_memory(&self) -> Outcome<i64> {
        self.status("VmHWM:")
    }

    /// Its current memory, in KiB.
    pub fn memory(&self) -> Outcome<i64> {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> Outcome<i64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|text| text.split_whitespace().next());
        Ok(value.ok_or_else(|| format!("no {name}"))?.parse()?)
    }

    /// Sets the trace ids of the following invocations.
    pub fn use_trace_ids(&self, trace_ids: TraceIds) {
        self.0.use_trace_ids(trace_ids);
    }

    /// Discards its log so far, so a long run does not keep all of it.
    pub fn forget_log(&self) {
        self.0.forget_log();
    }

    /// Ends it with a signal, and waits for the end.
    pub async fn end(mut self) -> Outcome<()> {
        kill(self.pid(), Signal::SIGTERM)?;
        self.0.exit(START).await.ok_or("it did not end")?;
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.pid())
    }
}

fn file(text: &str) -> Outcome<TempPath> {
    let mut file = NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    Ok(file.into_temp_path())
}

/// A shell script that becomes `command`, to be started in place of a function.
pub fn script(command: &str) -> Outcome<TempPath> {
    // Closed, because a file that is open for writing cannot be executed.
    let path = file(&format!("#!/bin/sh\n{command}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    Ok(path)
}
