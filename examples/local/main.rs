//! Everything on this machine, without an AWS account: a fake Chime, a local gateway that verifies
//! tokens as an HTTP API does and runs the function's code, and a demo page.
//!
//!     cargo run --example local -- [--port 8787] [--chime-port 8788] [--page-port 8789]

// Code that ships must not stop on any input; a tool that is run by hand may.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod gateway;
mod page;
mod tokens;

use std::error::Error;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::config::Credentials;
use chime_message_status::chime::ChimeClient;
use chime_message_status::config::Config;
use chime_message_status::handler::App;
use fakes::chime::{FakeChime, Options};
use fakes::flow::{FlowOutcome, Message};
use serde_json::{Map, Value, json};
use tokio::sync::SetOnce;

use gateway::Gateway;
use tokens::Issuer;

/// The ids in the files in `events/`, so these work with the fake Chime unchanged.
pub const APP_INSTANCE: &str =
    "arn:aws:chime:us-east-1:111122223333:app-instance/7f1c2a9e-4c1d-4b6e-9a52-1d0f3b8c6e21";
const ALICE: &str = "5c3b1f0a-8d2e-4f67-b1a9-3e7d2c4b5a60";
const BOB: &str = "b0b7d2c4-1e9f-4a3b-8c5d-6f7e8a9b0c1d";
const CHANNEL: &str = "chat-general";
const MESSAGE: &str = "4d1e7c52-0b3a-4f7e-8f4d-2a9b6c1d0e35";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let ports = Ports::from_arguments(std::env::args().skip(1))?;
    let mut options = Options {
        http: on_loopback(ports.chime),
        ..Options::default()
    };
    // An emulator of AWS chooses the access key that its functions sign with.
    if let Ok(key) = std::env::var("FAKE_CHIME_ACCESS_KEY_ID") {
        options.credentials.access_key_id = key;
    }
    let accepted = options.credentials.clone();
    let fake = Arc::new(FakeChime::start(options).await?);
    let channel = format!("{APP_INSTANCE}/channel/{CHANNEL}");
    fake.put_message(Message {
        channel_arn: channel.clone(),
        sub_channel_id: None,
        message_id: MESSAGE.to_owned(),
        sender: user(ALICE),
        outcome: FlowOutcome::sent(),
    });

    let settings = Arc::new(SetOnce::new());
    let page = page::serve(on_loopback(ports.page), Arc::clone(&settings)).await?;
    let origins = origins(page.addr().port());

    let credentials = Credentials::new(
        accepted.access_key_id,
        accepted.secret_access_key,
        accepted.session_token,
        None,
        "local",
    );
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(fake.https_url())
        .credentials_provider(credentials.clone());
    let variable = |name: &str| variable(name, &origins);
    let config = Config::read(variable, |_| Ok(fake.ca_pem().into()))?;
    let chime = ChimeClient::new(
        config.region.clone(),
        config.attempt_timeout,
        &config.roots,
        loader,
    )
    .await?;
    let sender = Client::from_conf(
        aws_sdk_chimesdkmessaging::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(fake.http_url())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(credentials)
            .build(),
    );
    let issuer = Arc::new(Issuer::new()?);
    let (alice, bob) = (issuer.token(ALICE)?, issuer.token(BOB)?);
    let gateway = Gateway {
        app: App::new(config, chime),
        issuer,
        sender,
        channel: channel.clone(),
        chime: Arc::clone(&fake),
        origins,
    };
    let server = gateway::serve(on_loopback(ports.gateway), Arc::new(gateway)).await?;

    let gateway = format!("http://{}", server.addr());
    // A real page gets its user's token from a login. This one shows two users, and their tokens are
    // valid for this process only. Tests also read the URLs of the fake Chime.
    let json = json!({
        "gateway": gateway,
        "chime": { "http": fake.http_url(), "https": fake.https_url(), "ca": fake.ca_pem() },
        "channelArn": channel,
        "users": [
            { "name": "Alice", "arn": user(ALICE), "token": alice },
            { "name": "Bob", "arn": user(BOB), "token": bob },
        ],
    });
    settings.set(page::Settings {
        gateway: gateway.clone(),
        websocket: fake.http_url().replacen("http", "ws", 1),
        json,
    })?;

    print_guide(
        &gateway,
        &fake.http_url(),
        &format!("http://{}", page.addr()),
        &channel,
        &alice,
        &bob,
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The ARN of the user that a token's claims identify.
fn user_arn(claims: &Map<String, Value>) -> String {
    user(
        claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    )
}

fn user(id: &str) -> String {
    format!("{APP_INSTANCE}/user/{id}")
}

/// The origins whose pages may call: the demo page's, and those in the environment.
fn origins(page: u16) -> String {
    let ours = format!("http://127.0.0.1:{page},http://localhost:{page}");
    match std::env::var("ALLOWED_ORIGINS") {
        Ok(wanted) if wanted.trim() == "*" => wanted,
        Ok(wanted) if wanted.trim().is_empty() => ours,
        Ok(wanted) => format!("{ours},{wanted}"),
        Err(_) => ours,
    }
}

/// The function's environment: fixed values, and the variables of this process that have an effect here.
fn variable(name: &str, origins: &str) -> Option<OsString> {
    match name {
        "APP_INSTANCE_USER_ARN" => Some(format!("{APP_INSTANCE}/user/{{sub}}").into()),
        "AWS_CA_BUNDLE" => Some("the fake Chime's own".into()),
        "ALLOWED_ORIGINS" => Some(origins.into()),
        "MAX_WAIT_SECONDS" | "CHIME_CALLS_PER_SECOND" | "CHIME_ATTEMPT_TIMEOUT_MS" => {
            std::env::var_os(name)
        }
        // The name of the function, and what else Lambda sets.
        name if name.starts_with("AWS_LAMBDA_") => Some("local".into()),
        _ => None,
    }
}

struct Ports {
    gateway: u16,
    chime: u16,
    page: u16,
}

impl Ports {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let usage = "usage: cargo run --example local -- \
                     [--port PORT] [--chime-port PORT] [--page-port PORT]";
        let mut ports = Self {
            gateway: 8787,
            chime: 8788,
            page: 8789,
        };
        while let Some(argument) = arguments.next() {
            let port = match argument.as_str() {
                "--port" => &mut ports.gateway,
                "--chime-port" => &mut ports.chime,
                "--page-port" => &mut ports.page,
                other => return Err(format!("{other} is not known; {usage}")),
            };
            *port = arguments
                .next()
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| format!("{argument} needs a port number; {usage}"))?;
        }
        Ok(ports)
    }
}

fn on_loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn print_guide(gateway: &str, chime: &str, page: &str, channel: &str, alice: &str, bob: &str) {
    let get_status =
        format!("curl -isG {gateway}/message-status -d channelArn={channel} -d messageId=$ID");
    println!(
        r#"
The gateway is {gateway}, the fake Chime {chime}. Ctrl-C ends both.

See it in a browser: {page}

Or paste these into another terminal:

ALICE={alice}
BOB={bob}

# Alice sends a message into a channel flow that takes 15 s to let it pass:
ID=$(curl -s "{gateway}/send?outcome=SENT&afterMs=15000" -X POST -H "authorization: Bearer $ALICE"); echo $ID

# Its status is PENDING while the flow works:
{get_status} -H "authorization: Bearer $ALICE"

# Wait in one request; the response comes when the flow has decided:
{get_status} -d wait=20 -H "authorization: Bearer $ALICE"

# Call again; sent messages stay sent:
{get_status} -H "authorization: Bearer $ALICE"

# Bob cannot see the status of Alice's message:
{get_status} -H "authorization: Bearer $BOB"

# Without a token:
{get_status}

# After a reconnect, many messages in one request:
curl -is "{gateway}/message-status?wait=20" -H "authorization: Bearer $ALICE" -H "content-type: application/json" \
  -d '{{"messages":[{{"channelArn":"{channel}","messageId":"'$ID'"}},{{"channelArn":"{channel}","messageId":"{MESSAGE}"}}]}}'

Each response leaves a line here, which is the record that the function writes to CloudWatch.
"#
    );
}
