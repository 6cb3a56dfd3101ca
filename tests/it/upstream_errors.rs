//! Problems that Chime causes: status, name, number of calls, record. How names of errors are classified is tested
//! beside the table. Here each class is seen from outside.

use std::time::Duration;

use fakes::chime::{Options, Users};
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::Server;
use fakes::lambda::timed;

use crate::support::{
    ALICE, GatewayResponse, MESSAGE, SECOND, TestEnv, get_status, request_id, send_to, start_chime,
    user,
};

/// Checks the problem, the calls and the record of a request when every call ends in `fault`.
async fn assert_maps_to(
    fault: Fault,
    status: u64,
    name: &str,
    calls: usize,
    cause: &str,
) -> GatewayResponse {
    let timeout = if status == 504 { "300" } else { "2500" };
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", timeout)]).await;
    env.seed(FlowOutcome::sent());
    env.chime.always(Some(fault.clone()));
    let event = get_status(MESSAGE, "");
    let (reply, record) = env.send_recorded(&event).await;
    let found = (reply.status, reply.problem());
    assert_eq!(found, (status, name.to_owned()), "{fault:?}: {reply:?}");
    assert_eq!(reply.json()["requestId"], request_id(&event));
    assert_eq!(env.calls().len(), calls, "{fault:?}");
    assert_eq!(record["problem"], name);
    let level = match status {
        500 => "ERROR",
        501.. => "WARN",
        _ => "INFO",
    };
    assert_eq!(record["level"], level, "{fault:?}");
    let logged = record["cause"].as_str().expect("a cause");
    assert!(logged.contains(cause), "{fault:?}: {logged}");
    // Chime works again, and so does the function.
    env.chime.always(None);
    env.assert_works().await;
    reply
}

#[tokio::test]
async fn an_unknown_user_is_not_provisioned() {
    let (fault, cause) = (Fault::unauthorized_client(), "UnauthorizedClientException");
    assert_maps_to(fault, 403, "user-not-provisioned", 1, cause).await;
    let options = Options {
        users: Users::AllBut(vec![user(ALICE)]),
        ..Options::default()
    };
    let env = TestEnv::with_options(options, &[]).await;
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 403, "user-not-provisioned")
        .await;
}

/// The headers and the body, without what differs from request to request.
fn comparable(reply: &GatewayResponse) -> String {
    let mut body = reply.json();
    body["requestId"].take();
    format!("{} {body}", reply.headers)
}

#[tokio::test]
async fn not_found_forbidden_and_bad_request_have_the_same_response() {
    let mut seen = Vec::new();
    for (fault, cause) in [
        (Fault::not_found(), "NotFoundException"),
        (Fault::forbidden(), "ForbiddenException"),
        (Fault::bad_request(), "BadRequestException"),
        (Fault::error(500, Some("NotFoundException"), "x"), "500"),
    ] {
        let reply = assert_maps_to(fault, 404, "message-not-found", 1, cause).await;
        seen.push(comparable(&reply));
    }
    let env = TestEnv::new().await;
    env.seed_message_of("bob", "theirs", FlowOutcome::sent());
    for id in ["theirs", "none"] {
        let reply = env.send(&get_status(id, "")).await;
        seen.push(comparable(&reply));
    }
    assert!(seen.iter().all(|reply| *reply == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn a_throttled_call_is_retried_once_and_then_reported() {
    for fault in [Fault::throttled(), Fault::throttling()] {
        assert_maps_to(fault, 429, "throttled", 2, "Throttl").await;
    }
}

#[tokio::test]
async fn every_other_named_4xx_is_misconfigured_and_logged_as_an_error() {
    let named = |status, name| Fault::error(status, Some(name), "x");
    for (fault, cause) in [
        (Fault::access_denied(), "AccessDeniedException"),
        (Fault::expired_token(), "ExpiredTokenException"),
        (Fault::unrecognized_client(), "UnrecognizedClientException"),
        (Fault::invalid_signature(), "InvalidSignatureException"),
        (
            Fault::missing_authentication_token(),
            "MissingAuthenticationToken",
        ),
        (Fault::incomplete_signature(), "IncompleteSignature"),
        (named(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed"),
        (named(400, "RequestExpired"), "RequestExpired"),
        (named(402, "SomethingNew"), "SomethingNew"),
        (named(400, "of user/bob"), "unusual error name"),
    ] {
        assert_maps_to(fault, 500, "misconfigured", 1, cause).await;
    }
    let env = TestEnv::with(&[("AWS_SECRET_ACCESS_KEY", "wrong")]).await;
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 500, "misconfigured").await;
}

/// Seconds by which Chime's clock is ahead. Each step is more than the five minutes that AWS allows.
const CLOCKS: [i64; 4] = [3600, -3600, 400, 0];

#[tokio::test]
async fn a_clock_that_drifts_is_misconfigured_once_and_then_corrected() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    for ahead in CLOCKS {
        env.chime.turn_clock(ahead);
        env.chime.forget_calls();
        let (reply, record) = env.send_recorded(&get_status(MESSAGE, "")).await;
        reply.assert_problem(500, "misconfigured");
        assert_eq!(record["level"], "ERROR");
        let cause = "Chime returned 403 InvalidSignatureException";
        assert_eq!(record["cause"], cause);
        assert_eq!(env.calls().len(), 1);
        env.assert_works().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_at_the_start_is_corrected_before_the_first_request() {
    for ahead in CLOCKS {
        let chime = start_chime(Options::default()).await;
        chime.turn_clock(ahead);
        let url = chime.http_url();
        let env = TestEnv::calling(chime, &url, &[]).await;
        env.assert_works().await;
        assert_eq!(env.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_failing_chime_is_called_three_times_and_then_reported() {
    let (failure, unavailable) = ((502, "upstream-failure"), (503, "upstream-unavailable"));
    for (fault, (status, name), cause) in [
        (Fault::service_failure(), failure, "ServiceFailureException"),
        (Fault::html(500), failure, "500"),
        (Fault::html(502), failure, "502"),
        // The connection is lost within the body.
        (Fault::ResetInBody, failure, "within the response body"),
        (Fault::LengthTooLong, failure, "within the response body"),
        (
            Fault::service_unavailable(),
            unavailable,
            "ServiceUnavailable",
        ),
        (Fault::Close, unavailable, "could not be reached"),
        (Fault::Reset, unavailable, "could not be reached"),
        (Fault::CloseInHead, unavailable, "could not be reached"),
        (Fault::ResetInHead, unavailable, "could not be reached"),
    ] {
        assert_maps_to(fault, status, name, 3, cause).await;
    }
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    let faults = vec![Fault::Reset, Fault::service_failure(), Fault::Pass];
    env.chime.script(faults);
    let (reply, record) = env.send_recorded(&get_status(MESSAGE, "")).await;
    reply.assert_status("SENT");
    assert_eq!(record["upstreamCalls"], 3);
    assert_eq!(record["upstreamRetries"], 2);
}

#[tokio::test]
async fn an_invalid_response_is_an_upstream_failure_and_not_retried() {
    let no_name = "without an error name";
    let mut faults = vec![
        (Fault::html(302), "302"),
        (Fault::LengthTooShort, "Chime"),
        (Fault::Raw(b"\x16\x03\x01 no\r\n\r\n".to_vec()), "not HTTP"),
        (Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "not HTTP"),
        (Fault::json(vec![b' '; 10_000_000]), "64 KiB"),
        // A proxy, a firewall or a VPC endpoint responded in place of Chime.
        (Fault::error(403, None, "x"), no_name),
        (Fault::error(404, None, "x"), no_name),
        (Fault::html(429), no_name),
    ];
    let bodies = [
        "",
        "null",
        "{",
        "[]",
        r#"{"Status":null}"#,
        r#"{"Status":{}}"#,
        r#"{"Status":{"Value":""}}"#,
        r#"{"Status":{"Value":7}}"#,
        r#"{"Status":"SENT"}"#,
    ];
    faults.extend(bodies.map(|body| (Fault::json(body), "Chime")));
    for (fault, cause) in faults {
        assert_maps_to(fault, 502, "upstream-failure", 1, cause).await;
    }
}

#[tokio::test]
async fn a_timeout_is_not_retried() {
    for fault in [
        Fault::Hang,
        Fault::StallInBody,
        Fault::Drip(Duration::from_millis(100)),
        // Shorter than the default timeout.
        Fault::Latency(SECOND),
    ] {
        let cause = "CHIME_ATTEMPT_TIMEOUT_MS";
        assert_maps_to(fault, 504, "upstream-timeout", 1, cause).await;
    }
}

#[tokio::test]
async fn an_unreachable_chime_is_unavailable() {
    let other = start_chime(Options::default()).await;
    let loopback = ([127, 0, 0, 1], 0).into();
    let silent = Server::silent(loopback).await.expect("a server");
    for url in [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "http://chime.invalid",
        // Responds, but not in TLS.
        &other.http_url().replace("http:", "https:"),
        &format!("https://{}", silent.addr()),
    ] {
        let env = TestEnv::with(&[("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url)]).await;
        let event = get_status(MESSAGE, "");
        env.assert_problem(&event, 503, "upstream-unavailable")
            .await;
    }
}

#[tokio::test]
async fn a_response_comes_before_lambdas_deadline_when_chime_hangs() {
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "2500")]).await;
    env.seed(FlowOutcome::Pending);
    env.chime.always(Some(Fault::Hang));
    for deadline in [SECOND, 2 * SECOND] {
        for (query, healthy_calls) in [("", 0), ("&wait=20", 0), ("&wait=20", 1)] {
            env.chime.script(vec![Fault::Pass; healthy_calls]);
            let event = get_status(MESSAGE, query).to_string();
            let (reply, took) = timed(env.send_within(event, deadline)).await;
            assert!(took < deadline, "{query}: {took:?} of {deadline:?}");
            match healthy_calls {
                0 => reply.assert_problem(504, "upstream-timeout"),
                _ => reply.assert_status("PENDING"),
            }
        }
    }
}

#[tokio::test]
async fn a_deadline_in_1970_is_ignored() {
    let env = TestEnv::new().await;
    env.seed(FlowOutcome::sent());
    env.chime.always(Some(Fault::Latency(SECOND / 3)));
    let event = get_status(MESSAGE, "").to_string();
    let reply = send_to(&env.function, event.as_bytes(), None).await;
    reply.assert_status("SENT");
}

// Reads `/proc`.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_response_body_is_read_to_64_kib() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    let before = crate::support::process_figure(&env.function, "VmHWM:");
    let body = vec![b' '; 10 * 1024 * 1024];
    env.chime.always(Some(Fault::json(body)));
    let (reply, record) = env.send_recorded(&get_status(MESSAGE, "")).await;
    reply.assert_problem(502, "upstream-failure");
    assert_eq!(record["cause"], "the response body has more than 64 KiB");
    let after = crate::support::process_figure(&env.function, "VmHWM:");
    assert!(after < before + 4 * 1024, "{before} kB, then {after} kB");
}
