//! Connections to Chime that were lost, and sources of credentials that fail.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fakes::chime::{FakeChime, Options};
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::{End, HttpResponse, NewConnections, Server, ServerOptions};
use fakes::lambda::timed;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::support::{
    MESSAGE, SECOND, TestEnv, get_status, messages, post, post_twenty, start_chime,
};

/// Settings for many requests at once.
const PARALLEL: [(&str, &str); 3] = [
    ("AWS_LAMBDA_MAX_CONCURRENCY", "64"),
    ("CHIME_CALLS_PER_SECOND", "50"),
    // A busy machine must not look like a slow Chime.
    ("CHIME_ATTEMPT_TIMEOUT_MS", "2500"),
];

fn seed_all(env: &TestEnv) {
    env.seed(FlowOutcome::sent());
    env.seed_twenty(&FlowOutcome::sent());
}

/// Sends requests at once, so that the pool has a connection for each.
async fn fill_pool(env: &TestEnv) {
    let latency = Fault::Latency(Duration::from_millis(300));
    env.chime.always(Some(latency));
    send_at_once(env, 24).await;
    env.chime.always(None);
    assert!(env.chime.open_connections() > 4);
    env.chime.forget_calls();
}

/// Asserts that each of many requests at once gets a status.
async fn send_at_once(env: &TestEnv, count: usize) {
    let event = get_status(MESSAGE, "");
    join_all((0..count).map(|_| env.assert_status(&event, "SENT"))).await;
}

async fn send_batch(env: &TestEnv) {
    env.send(&post_twenty("")).await.assert_all("SENT");
}

/// How a lost connection ends.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Reset,
    Close,
}

/// A network between the function and Chime that forgets connections, as a NAT gateway does: they end when the
/// function next uses them, and not earlier.
struct ForgetfulNetwork {
    url: String,
    /// How often it has forgotten all connections, and how they end.
    state: Arc<Mutex<(usize, Loss)>>,
}

impl ForgetfulNetwork {
    async fn to(chime: &FakeChime) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let chime = chime.http_url().replace("http://", "");
        let state = Arc::new(Mutex::new((0, Loss::Reset)));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&chime).await.expect("Chime");
                tokio::spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        let url = format!("http://{address}");
        Self { url, state }
    }

    fn forget(&self, loss: Loss) {
        let mut state = self.state.lock().expect("a state");
        *state = (state.0 + 1, loss);
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    state: Arc<Mutex<(usize, Loss)>>,
) -> io::Result<()> {
    let state = || *state.lock().expect("a state");
    let (born, _) = state();
    let (mut up, mut down) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            sent = client.read(&mut up) => match (sent?, state()) {
                (0, _) => return Ok(()),
                (length, (now, _)) if now == born => server.write_all(&up[..length]).await?,
                (_, (_, Loss::Reset)) => return client.set_zero_linger(),
                (_, (_, Loss::Close)) => return Ok(()),
            },
            received = server.read(&mut down) => match received? {
                0 => return Ok(()),
                length => client.write_all(&down[..length]).await?,
            },
        }
    }
}

#[tokio::test]
async fn idle_connections_that_were_lost_cost_a_request_at_most_one_retry() {
    let chime = start_chime(Options::default()).await;
    let network = ForgetfulNetwork::to(&chime).await;
    let env = TestEnv::calling(chime, &network.url, &PARALLEL).await;
    seed_all(&env);
    for loss in [Loss::Reset, Loss::Close] {
        for (kind, calls) in [("one", 1), ("batch", 20), ("64 at once", 64)] {
            fill_pool(&env).await;
            network.forget(loss);
            match kind {
                "batch" => send_batch(&env).await,
                _ => send_at_once(&env, calls).await,
            }
            // A call on a lost connection does not reach Chime.
            assert_eq!(env.calls().len(), calls, "{kind} after {loss:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_died_silently_costs_its_call_and_no_other() {
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "500")]).await;
    seed_all(&env);
    env.assert_works().await;
    env.chime.end_idle_connections(End::Silence).await;
    let (reply, record) = env.send_recorded(&get_status(MESSAGE, "")).await;
    reply.assert_problem(504, "upstream-timeout");
    assert_eq!(record["upstreamRetries"], 0);
    env.assert_works().await;
    // A wait goes on, on a new connection.
    env.chime.end_idle_connections(End::Silence).await;
    let event = get_status(MESSAGE, "&wait=20");
    env.assert_status(&event, "SENT").await;
    // A batch loses the calls on such connections.
    env.chime.always(Some(Fault::Latency(SECOND / 5)));
    send_batch(&env).await;
    env.chime.always(None);
    let idle = env.chime.open_connections();
    env.chime.end_idle_connections(End::Silence).await;
    let outcomes = env.send(&post_twenty("")).await.outcomes();
    let count = |wanted| outcomes.iter().filter(|(_, it)| it == wanted).count();
    let lost = count("upstream-timeout");
    assert!(lost <= idle.min(4), "{lost} of {idle}: {outcomes:?}");
    assert_eq!(count("SENT") + lost, 20, "{outcomes:?}");
}

#[tokio::test]
async fn a_connection_that_was_idle_for_more_than_20_s_is_not_used_again() {
    let env = TestEnv::with(&PARALLEL).await;
    seed_all(&env);
    fill_pool(&env).await;
    env.chime.end_idle_connections(End::Silence).await;
    // As long as a frozen environment does nothing.
    sleep(Duration::from_millis(20_500)).await;
    send_at_once(&env, 1).await;
    send_batch(&env).await;
    send_at_once(&env, 64).await;
    assert_eq!(env.calls().len(), 1 + 20 + 64);
}

#[tokio::test]
async fn a_chime_that_refuses_connections_for_a_moment_is_called_again() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    env.chime.end_idle_connections(End::Reset).await;
    let (refuse, serve) = (NewConnections::Refuse, NewConnections::Serve);
    env.chime.treat_new_connections(refuse).await;
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 503, "upstream-unavailable")
        .await;
    env.chime.treat_new_connections(serve).await;
    env.assert_works().await;
}

#[tokio::test]
async fn slow_handshakes_do_not_raise_the_rate() {
    let env = TestEnv::over_tls(Options::default(), &[]).await;
    seed_all(&env);
    env.chime.end_idle_connections(End::Close).await;
    let slow = NewConnections::Slow(Duration::from_millis(700));
    env.chime.treat_new_connections(slow).await;
    send_batch(&env).await;
    env.assert_rate(5);
}

#[tokio::test]
async fn a_source_of_credentials_that_hangs_or_fails_is_misconfigured() {
    let loopback = ([127, 0, 0, 1], 0).into();
    let failing = |after| async move {
        let server = Server::start(ServerOptions::plain(loopback), move |_| async move {
            sleep(after).await;
            HttpResponse::new(500, "application/json", "{}")
        });
        server.await.expect("a server")
    };
    let hanging = Server::silent(loopback).await.expect("a server");
    let failing_at_once = failing(Duration::ZERO).await;
    // Retries of the SDK would take longer than the attempt timeout.
    let failing_slowly = failing(SECOND).await;
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    for server in [
        Some(&hanging),
        Some(&failing_at_once),
        Some(&failing_slowly),
        None,
    ] {
        let uri = server.map(|server| format!("http://{}/credentials", server.addr()));
        let source = [
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &*uri.unwrap_or_default(),
            ),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let env = TestEnv::with(&[no_keys, source].concat()).await;
        env.function.polled(1).await;
        for event in [
            get_status(MESSAGE, ""),
            get_status(MESSAGE, "&wait=20"),
            post("", messages(&[MESSAGE])),
        ] {
            let ((reply, record), took) = timed(env.send_recorded(&event)).await;
            assert_eq!(record["problem"], "misconfigured", "{reply:?}");
            assert_eq!(record["level"], "ERROR");
            let cause = record["cause"].as_str().expect("a cause");
            assert!(cause.contains("credentials"), "{cause}");
            // The attempt timeout is 2 s.
            assert!(took < 3 * SECOND, "{took:?}");
        }
        env.assert_no_call();
    }
}
