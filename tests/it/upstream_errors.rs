//! Problems that Chime causes: status, name, number of calls, record.

use std::time::Duration;

use fakes::chime::{FakeChime, Options, Users};
use fakes::fault::Fault;
use fakes::flow::FlowOutcome;
use fakes::http::Server;

use crate::support::{
    ALICE, GatewayResponse, MESSAGE, TestEnv, get_status, request_id, send_to, start_function, user,
};

/// Checks the problem, the calls and the record of a request when every call ends in `fault`.
async fn assert_maps_to(
    fault: Fault,
    status: u64,
    name: &str,
    calls: usize,
    cause: &str,
) -> GatewayResponse {
    let hangs = matches!(
        fault,
        Fault::Hang | Fault::StallInBody | Fault::Drip(_) | Fault::Latency(_)
    );
    let timeout = if hangs { "300" } else { "2500" };
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", timeout)]).await;
    env.seed_alices_message(FlowOutcome::sent());
    env.chime.always(Some(fault.clone()));
    let event = get_status(MESSAGE, "");
    let reply = env.send(&event).await;
    assert_eq!(
        (reply.status, reply.problem().as_str()),
        (status, name),
        "{fault:?}: {reply:?}"
    );
    assert_eq!(reply.json()["requestId"], request_id(&event));
    assert_eq!(env.calls().len(), calls, "{fault:?}");
    let record = env.record(request_id(&event)).await;
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
    env.assert_status(&get_status(MESSAGE, ""), "SENT").await;
    reply
}

#[tokio::test]
async fn an_unknown_user_is_not_provisioned() {
    assert_maps_to(
        Fault::unauthorized_client(),
        403,
        "user-not-provisioned",
        1,
        "UnauthorizedClientException",
    )
    .await;
    let users = Users::AllBut(vec![user(ALICE)]);
    let env = TestEnv::with_options(
        Options {
            users,
            ..Options::default()
        },
        &[],
    )
    .await;
    env.assert_problem(&get_status(MESSAGE, ""), 403, "user-not-provisioned")
        .await;
}

#[tokio::test]
async fn not_found_forbidden_and_bad_request_have_the_same_response() {
    let mut bodies = Vec::new();
    for (fault, cause) in [
        (Fault::not_found(), "NotFoundException"),
        (Fault::forbidden(), "ForbiddenException"),
        (Fault::bad_request(), "BadRequestException"),
        (Fault::error(500, Some("NotFoundException"), "x"), "500"),
    ] {
        let reply = assert_maps_to(fault, 404, "message-not-found", 1, cause).await;
        let mut body = reply.json();
        body["requestId"] = "same".into();
        bodies.push((reply.headers, body));
    }
    assert!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "{bodies:?}"
    );
}

#[tokio::test]
async fn a_message_of_another_user_looks_like_one_that_does_not_exist() {
    let env = TestEnv::new().await;
    env.seed_message("theirs", &user("bob"), FlowOutcome::sent());
    let theirs = env.send(&get_status("theirs", "")).await;
    let none = env.send(&get_status("none", "")).await;
    theirs.assert_problem(404, "message-not-found");
    none.assert_problem(404, "message-not-found");
    let same = |reply: &GatewayResponse| {
        let mut body = reply.json();
        body["requestId"] = "same".into();
        (reply.headers.clone(), body)
    };
    assert_eq!(same(&theirs), same(&none));
}

#[tokio::test]
async fn a_throttled_call_is_retried_once_and_then_reported() {
    for fault in [Fault::throttled(), Fault::throttling()] {
        let reply = assert_maps_to(fault, 429, "throttled", 2, "Throttl").await;
        let seconds: u32 = reply
            .header("retry-after")
            .expect("a header")
            .parse()
            .expect("seconds");
        assert!(seconds >= 1);
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
        (named(404, "ResourceNotFoundException"), "ResourceNotFoundException"),
        (named(400, "ValidationException"), "ValidationException"),
        (named(402, "SomethingNew"), "SomethingNew"),
        (named(400, "of user/bob"), "unusual error name"),
    ] {
        assert_maps_to(fault, 500, "misconfigured", 1, cause).await;
    }
    let env = TestEnv::with(&[("AWS_SECRET_ACCESS_KEY", "wrong")]).await;
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 500, "misconfigured").await;
    assert_eq!(env.record(request_id(&event)).await["level"], "ERROR");
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
        let event = get_status(MESSAGE, "");
        env.assert_problem(&event, 500, "misconfigured").await;
        let record = env.record(request_id(&event)).await;
        assert_eq!(record["level"], "ERROR");
        assert_eq!(
            record["cause"],
            "Chime returned 403 InvalidSignatureException"
        );
        assert_eq!(env.calls().len(), 1);
        env.assert_status(&get_status(MESSAGE, ""), "SENT").await;
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_at_the_start_is_corrected_before_the_first_request() {
    for ahead in CLOCKS {
        let chime = FakeChime::start(Options::default())
            .await
            .expect("a fake Chime");
        chime.turn_clock(ahead);
        let url = chime.http_url();
        let function = start_function(&[("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url)]).await;
        let env = TestEnv { chime, function };
        env.assert_works().await;
        assert_eq!(env.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_failing_chime_is_called_three_times_and_then_reported() {
    for (fault, cause) in [
        (Fault::service_failure(), "ServiceFailureException"),
        (Fault::html(500), "500"),
        (Fault::html(502), "502"),
        // The connection is lost within the body.
        (Fault::ResetInBody, "within the response body"),
        (Fault::LengthTooLong, "within the response body"),
    ] {
        assert_maps_to(fault, 502, "upstream-failure", 3, cause).await;
    }
    for (fault, cause) in [
        (Fault::service_unavailable(), "ServiceUnavailable"),
        (Fault::Close, "could not be reached"),
        (Fault::Reset, "could not be reached"),
        (Fault::CloseInHead, "could not be reached"),
        (Fault::ResetInHead, "could not be reached"),
    ] {
        assert_maps_to(fault, 503, "upstream-unavailable", 3, cause).await;
    }
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    let faults = vec![Fault::Reset, Fault::service_failure(), Fault::Pass];
    env.chime.script(faults);
    let event = get_status(MESSAGE, "");
    env.assert_status(&event, "SENT").await;
    let record = env.record(request_id(&event)).await;
    let calls = (&record["upstreamCalls"], &record["upstreamRetries"]);
    assert_eq!(calls, (&3.into(), &2.into()));
}

#[tokio::test]
async fn an_invalid_response_is_an_upstream_failure_and_not_retried() {
    let mut faults = vec![
        (Fault::html(302), "302"),
        (Fault::LengthTooShort, "Chime"),
        (Fault::Raw(b"\x16\x03\x01 no\r\n\r\n".to_vec()), "not HTTP"),
        (Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "not HTTP"),
        (Fault::json(vec![b' '; 10_000_000]), "64 KiB"),
    ];
    let bodies = [
        "",
        "null",
        "{",
        "[]",
        "{}",
        r#"{"Status":null}"#,
        r#"{"Status":{}}"#,
        r#"{"Status":{"Value":""}}"#,
        r#"{"Status":{"Value":7}}"#,
        r#"{"Status":"SENT"}"#,
        "<html>",
    ];
    faults.extend(bodies.map(|body| (Fault::json(body), "Chime")));
    // A proxy, a firewall or a VPC endpoint responded in place of Chime.
    for status in [400, 401, 403, 404, 408, 413, 429, 499] {
        faults.push((Fault::error(status, None, "x"), "without an error name"));
        faults.push((Fault::html(status), "without an error name"));
    }
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
        Fault::Latency(Duration::from_secs(5)),
    ] {
        let cause = "CHIME_ATTEMPT_TIMEOUT_MS";
        assert_maps_to(fault, 504, "upstream-timeout", 1, cause).await;
    }
}

#[tokio::test]
async fn an_unreachable_chime_is_unavailable() {
    let chime = FakeChime::start(Options::default())
        .await
        .expect("a fake Chime");
    for url in [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "http://chime.invalid",
        // Responds, but not in TLS.
        &chime.http_url().replace("http:", "https:"),
    ] {
        let env = TestEnv::with(&[("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", url)]).await;
        let reply = env.send(&get_status(MESSAGE, "")).await;
        reply.assert_problem(503, "upstream-unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let silent = Server::silent(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let url = format!("https://{}", silent.addr());
    let env = TestEnv::with(&[
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", &url),
        ("CHIME_ATTEMPT_TIMEOUT_MS", "400"),
    ])
    .await;
    env.assert_problem(&get_status(MESSAGE, ""), 503, "upstream-unavailable")
        .await;
}

#[tokio::test]
async fn a_response_comes_before_lambdas_deadline_when_chime_hangs() {
    let env = TestEnv::with(&[("CHIME_ATTEMPT_TIMEOUT_MS", "2500")]).await;
    env.seed_alices_message(FlowOutcome::sent());
    env.chime.always(Some(Fault::Hang));
    for deadline in [Duration::from_secs(1), Duration::from_secs(2)] {
        let response = env.send_within(get_status(MESSAGE, "").to_string(), deadline);
        let (reply, took) = fakes::lambda::timed(response).await;
        reply.assert_problem(504, "upstream-timeout");
        assert!(took < deadline, "{took:?} of {deadline:?}");
    }
}

#[tokio::test]
async fn a_deadline_in_1970_is_ignored() {
    let env = TestEnv::new().await;
    env.seed_alices_message(FlowOutcome::sent());
    env.chime
        .always(Some(Fault::Latency(Duration::from_millis(300))));
    let event = get_status(MESSAGE, "").to_string();
    send_to(&env.function, event.as_bytes(), None)
        .await
        .assert_status("SENT");
}

// Reads `/proc`.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_response_body_is_read_to_64_kib() {
    let env = TestEnv::new().await;
    env.assert_works().await;
    let rss_kb = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", env.function.pid()));
        let status = status.expect("a process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.split_whitespace().next());
        peak.and_then(|text| text.parse::<u64>().ok())
            .expect("a peak")
    };
    let before = rss_kb();
    let body = vec![b' '; 10 * 1024 * 1024];
    env.chime.always(Some(Fault::json(body)));
    let event = get_status(MESSAGE, "");
    env.assert_problem(&event, 502, "upstream-failure").await;
    let record = env.record(request_id(&event)).await;
    assert_eq!(record["cause"], "the response body has more than 64 KiB");
    let after = rss_kb();
    assert!(after < before + 4 * 1024, "{before} kB, then {after} kB");
}
