//! Tests of the plan: tables of (time, event) -> step, one for each rule. `histories` has the random ones.

use std::time::Duration;

use fastrand::Rng;

use super::{Answer, Counts, Outcome, Plan, Step, Terms, Until, Wait};
use crate::chime::{ChimeError, ErrorKind};
use crate::status::MessageStatus;
use ErrorKind::{
    Failure, NoSuchMessage, NotPermitted, Throttled, Timeout, Unavailable, UnknownUser, Unusable,
};

mod histories;

/// Failures that are retried in a wait, and the calls that a request without a wait makes.
const FAILURES: [(ErrorKind, usize); 5] = [
    (Failure, 3),
    (Unavailable, 3),
    (Throttled, 2),
    (Timeout, 1),
    (Unusable, 1),
];

const FINAL_PROBLEMS: [ErrorKind; 3] = [UnknownUser, NoSuchMessage, NotPermitted];

/// Intervals between the starts of two polls.
const INTERVALS: [u64; 12] = [
    200, 200, 300, 400, 600, 800, 1200, 1800, 2200, 2500, 2800, 3100,
];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sent() -> Outcome {
    Ok(MessageStatus::parse("SENT", None).unwrap())
}

fn pending() -> Outcome {
    Ok(MessageStatus::parse("PENDING", None).unwrap())
}

fn fails(kind: ErrorKind) -> Outcome {
    Err(error(kind))
}

fn error(kind: ErrorKind) -> ChimeError {
    ChimeError::new(kind, format!("{kind:?}"))
}

fn terms(messages: usize, calls_per_second: usize, wait: u64, until: Until) -> Terms {
    Terms {
        messages,
        calls_per_second,
        deadline: ms(28_000),
        wait: Wait {
            duration: ms(wait),
            until,
        },
    }
}

fn no_wait(messages: usize, calls_per_second: usize) -> Terms {
    terms(messages, calls_per_second, 0, Until::All)
}

fn wait(messages: usize, calls_per_second: usize) -> Terms {
    terms(messages, calls_per_second, 20_000, Until::All)
}

fn wait_any(messages: usize, calls_per_second: usize) -> Terms {
    terms(messages, calls_per_second, 20_000, Until::Any)
}

/// Plays a table with many jitters. A row has a time in milliseconds, the call that ends then, if any, and the
/// steps of the plan until it waits or has ended. `answers` are those of the messages after the last row.
fn table(terms: Terms, rows: &str, answers: &str) {
    for seed in 0..40 {
        let mut plan = Plan::new(terms, Rng::with_seed(seed));
        for row in rows.trim().lines() {
            let (event, expected) = row.split_once("->").unwrap();
            let event: Vec<_> = event.split_whitespace().collect();
            let now = ms(event[0].parse().unwrap());
            if let [_, index, outcome] = event[..] {
                plan.ended(index.parse().unwrap(), named(outcome), now);
            }
            assert_eq!(steps(&mut plan, now), expected.trim(), "seed {seed}: {row}");
        }
        let finished: Vec<_> = plan.finish().0.iter().map(text).collect();
        assert_eq!(finished.join(", "), answers, "seed {seed}");
    }
}

fn named(outcome: &str) -> Outcome {
    let mut kinds = FAILURES
        .iter()
        .map(|failure| failure.0)
        .chain(FINAL_PROBLEMS);
    match kinds.find(|kind| format!("{kind:?}") == outcome) {
        Some(kind) => fails(kind),
        None => Ok(MessageStatus::parse(outcome, None).unwrap()),
    }
}

fn text(answer: &Answer) -> String {
    match answer {
        Answer::Status(status) if status.is_pending() => "PENDING".to_owned(),
        Answer::Status(_) => "SENT".to_owned(),
        Answer::Failed(error) => error.to_string(),
        Answer::Gone(_) => "gone".to_owned(),
        Answer::NoTime => "no time".to_owned(),
    }
}

fn steps(plan: &mut Plan, now: Duration) -> String {
    let mut calls = Vec::new();
    loop {
        match plan.next(now) {
            Step::Call(index) => calls.push(index),
            Step::Done => return "done".to_owned(),
            Step::WaitUntil(until) => {
                assert!(until > now, "{now:?}: no progress");
                // Messages that are due at the same time may be called in any order.
                calls.sort_unstable();
                let calls: Vec<_> = calls.iter().map(usize::to_string).collect();
                return match calls.is_empty() {
                    true => "wait".to_owned(),
                    false => format!("call {}", calls.join(" ")),
                };
            }
        }
    }
}

#[test]
fn without_a_wait_any_status_is_the_result() {
    for until in [Until::All, Until::Any] {
        for status in ["SENT", "PENDING"] {
            let rows = format!("0 -> call 0\n 30 0 {status} -> done");
            table(terms(1, 5, 0, until), &rows, status);
        }
    }
}

#[test]
fn a_retry_comes_after_a_backoff_that_doubles() {
    let rows = "
          0            -> call 0
         10  0 Failure -> wait
         59            -> wait
        110            -> call 0
        120  0 Failure -> wait
        219            -> wait
        320            -> call 0
        330  0 SENT    -> done";
    table(no_wait(1, 5), rows, "SENT");
}

#[test]
fn a_retry_that_cannot_begin_before_the_deadline_is_not_awaited() {
    let terms = Terms {
        deadline: ms(1000),
        ..no_wait(1, 5)
    };
    table(terms, "0 -> call 0\n 950 0 Failure -> done", "Failure");
}

#[test]
fn polls_follow_the_intervals_from_start_to_start_and_a_failure_doubles_short_ones() {
    for (failed, seed) in
        (0..INTERVALS.len()).flat_map(|failed| (0..40).map(move |seed| (failed, seed)))
    {
        let mut plan = Plan::new(wait(1, 50), Rng::with_seed(seed));
        let mut started = 0;
        assert_eq!(steps(&mut plan, ms(0)), "call 0");
        for (index, interval) in INTERVALS.into_iter().enumerate().take(failed + 2) {
            let (outcome, expected) = match (index == failed, interval) {
                (true, 0..1400) => (fails(Failure), (2 * interval).min(1400)),
                (true, _) => (fails(Failure), interval),
                (false, _) => (pending(), interval),
            };
            plan.ended(0, outcome, ms(started + 150));
            // Silence must not end the wait before the response of the poll after a failed one.
            let longest = if index == failed { 3100 } else { 3410 };
            let earliest = started + expected * 9 / 10;
            let latest = started + (expected * 11 / 10).min(longest);
            assert_eq!(
                steps(&mut plan, ms(earliest - 1)),
                "wait",
                "{index} {failed}"
            );
            assert_eq!(steps(&mut plan, ms(latest)), "call 0", "{index} {failed}");
            started = latest;
        }
    }
}

#[test]
fn a_poll_follows_a_slow_call_at_once() {
    let rows = "
          0            -> call 0
        250            -> wait
        300  0 PENDING -> call 0";
    table(wait(1, 5), rows, "PENDING");
}

#[test]
fn a_wait_ends_with_the_decision() {
    let rows = "
          0            -> call 0
         10  0 PENDING -> wait
        220            -> call 0
        230  0 SENT    -> done";
    table(wait(1, 5), rows, "SENT");
}

#[test]
fn a_wait_ends_after_its_duration_with_pending() {
    let rows = "
           0            -> call 0
          10  0 PENDING -> wait
         220            -> call 0
         999            -> wait
        1000            -> done";
    table(terms(1, 5, 1000, Until::All), rows, "PENDING");
}

#[test]
fn after_the_wait_only_messages_without_any_result_are_called() {
    let rows = "
           0            -> call 0
          10  0 PENDING -> wait
        1109            -> wait
        1110            -> call 1
        1120  1 Failure -> wait
        2219            -> wait
        2220            -> call 2
        2230  2 SENT    -> done";
    table(terms(3, 1, 500, Until::All), rows, "PENDING, Failure, SENT");
}

#[test]
fn the_deadline_ends_everything() {
    for duration in [0, 2000, 25_000] {
        let terms = Terms {
            deadline: ms(3000),
            ..terms(2, 1, duration, Until::All)
        };
        let rows = "
               0 -> call 0
            2999 -> wait
            3000 -> done";
        table(terms, rows, "no time, no time");
    }
}

#[test]
fn without_a_wait_the_time_is_the_messages_over_the_rate_and_6_s() {
    // 100 ms of them are for the response.
    for (messages, rate, time) in [(1, 5, 6100), (20, 5, 9900), (20, 50, 6300), (1, 1, 6900)] {
        let mut plan = Plan::new(no_wait(messages, rate), Rng::with_seed(1));
        steps(&mut plan, ms(0));
        assert_eq!(plan.next(ms(time - 1)), Step::WaitUntil(ms(time)));
        assert_eq!(plan.next(ms(time)), Step::Done);
    }
}

#[test]
fn until_all_ends_with_the_last_decision() {
    let rows = "
          0                 -> call 0 1
         10  0 SENT         -> wait
         10  1 PENDING      -> wait
        220                 -> call 1
        230  1 NotPermitted -> done";
    table(wait(2, 5), rows, "SENT, NotPermitted");
}

#[test]
fn until_any_ends_250_ms_after_a_decision_and_no_call_begins_then() {
    let rows = "
          0            -> call 0 1 2
         10  0 PENDING -> wait
        220            -> call 0
        300  1 PENDING -> call 1
        301  2 SENT    -> wait
        400  0 PENDING -> wait
        500            -> wait
        501            -> done";
    table(wait_any(3, 50), rows, "PENDING, PENDING, SENT");
}

#[test]
fn until_any_ends_at_once_when_no_call_is_in_flight() {
    let rows = "
          0                  -> call 0 1
         10  0 NoSuchMessage -> wait
         20  1 PENDING       -> done";
    table(wait_any(2, 5), rows, "NoSuchMessage, PENDING");
}

#[test]
fn until_any_calls_each_message_once_before_it_ends() {
    let rows = "
           0            -> call 0
          10  0 SENT    -> wait
        1109            -> wait
        1110            -> call 1
        1120  1 Timeout -> done";
    table(wait_any(2, 1), rows, "SENT, Timeout");
}

#[test]
fn until_any_does_not_end_by_a_failure_that_is_retried() {
    let rows = "
          0            -> call 0 1
         10  0 PENDING -> wait
         10  1 Failure -> wait
        440            -> call 0 1
        450  0 PENDING -> wait
        450  1 SENT    -> done";
    table(wait_any(2, 50), rows, "PENDING, SENT");
}

#[test]
fn until_any_still_ends_within_the_deadline() {
    let terms = Terms {
        deadline: ms(600),
        ..wait_any(2, 5)
    };
    let rows = "
          0         -> call 0 1
        100  0 SENT -> wait
        500  1 PENDING -> done";
    table(terms, rows, "SENT, PENDING");
    let mut plan = Plan::new(terms, Rng::with_seed(1));
    steps(&mut plan, ms(0));
    plan.ended(0, pending(), ms(10));
    steps(&mut plan, ms(300));
    plan.ended(1, sent(), ms(500));
    assert_eq!(plan.next(ms(500)), Step::WaitUntil(ms(600)));
}

#[test]
fn three_failures_in_a_row_end_a_request() {
    let rows = "
          0              -> call 0
        100  0 Throttled -> wait
        440              -> call 0
        540  0 Failure   -> wait
        880              -> call 0
        980  0 Timeout   -> done";
    table(wait(1, 5), rows, "Timeout");
}

#[test]
fn a_usable_response_resets_the_failures() {
    let rows = "
           0            -> call 0
          10  0 Failure -> wait
         440            -> call 0
         450  0 Failure -> wait
         880            -> call 0
         890  0 PENDING -> wait
        1320            -> call 0
        1330  0 Failure -> wait
        2640            -> call 0
        2650  0 Failure -> wait";
    table(wait(1, 50), rows, "PENDING");
    let rows = "
           0                  -> call 0 1
          10  0 Failure       -> wait
         440                  -> call 0
         450  0 Failure       -> wait
         500  1 NoSuchMessage -> wait
         880                  -> call 0
         890  0 Failure       -> wait";
    table(wait(2, 50), rows, "Failure, NoSuchMessage");
}

#[test]
fn failures_at_the_same_time_count_once() {
    let rows = "
          0            -> call 0 1 2 3
         10  0 Timeout -> wait
         10  1 Timeout -> wait
         20  2 Timeout -> wait
        109  3 Timeout -> wait
        220            -> call 4 5";
    let answers = "Timeout, Timeout, Timeout, Timeout, no time, no time";
    table(no_wait(6, 50), rows, answers);
}

#[test]
fn a_failure_counts_if_it_ends_at_least_100_ms_after_the_last_one() {
    let rows = "
           0              -> call 0
         350  0 Throttled -> wait
         440              -> call 0
         449  0 Failure   -> wait
         880              -> call 0
         890  0 Failure   -> wait
        1540              -> call 0
        1550  0 Timeout   -> done";
    table(wait(1, 50), rows, "Timeout");
    let rows = "
           0              -> call 0
         350  0 Throttled -> wait
         440              -> call 0
         450  0 Failure   -> wait
         880              -> call 0
         890  0 Failure   -> done";
    table(wait(1, 50), rows, "Failure");
}

#[test]
fn a_usable_response_forgets_the_last_counted_failure() {
    let rows = "
          0            -> call 0 1 2 3
         10  0 Timeout -> wait
         20  1 SENT    -> call 4 5
         30  2 Timeout -> wait
        240            -> call 6
        250  6 Timeout -> wait
        260  3 Timeout -> wait
        270  4 SENT    -> call 7 8";
    let answers = "Timeout, SENT, Timeout, Timeout, SENT, no time, Timeout, no time, no time";
    table(no_wait(9, 50), rows, answers);
}

#[test]
fn one_call_at_a_time_while_one_more_failure_would_end_the_request() {
    let rows = "
          0            -> call 0 1 2 3
         10  0 Timeout -> wait
        220            -> call 4
        330  4 Timeout -> wait
        700  1 Timeout -> wait
        710  2 Timeout -> wait
        720  3 Timeout -> call 5
        900  5 Timeout -> done";
    let answers = "Timeout, Timeout, Timeout, Timeout, Timeout, Timeout, Timeout";
    table(no_wait(7, 50), rows, answers);
}

#[test]
fn several_messages_pause_for_100_to_200_ms_after_a_failure_that_counts() {
    let rows = "
          0            -> call 0 1 2 3
         10  0 Timeout -> wait
        109            -> wait
        210            -> call 4
        220  4 SENT    -> call 5";
    table(
        no_wait(6, 50),
        rows,
        "Timeout, no time, no time, no time, SENT, no time",
    );
}

#[test]
fn an_early_end_gives_each_message_its_own_last_problem_or_that_of_the_request() {
    let rows = "
           0                -> call 0
          10  0 PENDING     -> wait
        1110                -> call 1
        1120  1 Unavailable -> wait
        2220                -> call 2
        2230  2 Throttled   -> wait
        3330                -> call 3
        3340  3 Timeout     -> done";
    let answers = "PENDING, Unavailable, Throttled, Timeout, Timeout";
    table(wait(5, 1), rows, answers);
}

#[test]
fn without_an_early_end_messages_that_were_never_called_had_no_time() {
    let terms = Terms {
        deadline: ms(1500),
        ..wait(3, 1)
    };
    let rows = "
           0            -> call 0
          10  0 Failure -> wait
        1110            -> call 1
        1500            -> done";
    table(terms, rows, "Failure, no time, no time");
}

#[test]
fn a_wait_ends_after_3500_ms_of_silence_and_calls_get_250_ms_more() {
    let rows = "
           0 -> call 0
        3500 -> wait
        3699 -> wait
        3700 -> done";
    table(wait(1, 5), rows, "no time");
    let rows = "
           0         -> call 0
        3500         -> wait
        3600  0 SENT -> done";
    table(wait(1, 5), rows, "SENT");
    let rows = "
           0            -> call 0 1
        3500            -> wait
        3600  0 PENDING -> wait
        3699            -> wait
        3700            -> done";
    table(wait(2, 5), rows, "PENDING, no time");
}

#[test]
fn silence_ends_a_wait_at_once_when_no_call_is_in_flight() {
    let rows = "
           0            -> call 0
        2500  0 Timeout -> wait
        3499            -> wait
        3500            -> done";
    table(wait(1, 1), rows, "Timeout");
}

#[test]
fn silence_begins_with_the_first_call_after_a_usable_response() {
    let rows = "
           0            -> call 0
         100  0 PENDING -> wait
         220            -> call 0
        3719            -> wait
        3720            -> wait
        3919            -> wait
        3920            -> done";
    table(wait(1, 5), rows, "PENDING");
}

#[test]
fn silence_begins_with_a_usable_response_when_calls_are_in_flight() {
    let rows = "
           0         -> call 0 1
         100  0 SENT -> wait
        3600         -> wait
        3799         -> wait
        3800         -> done";
    table(wait(2, 5), rows, "SENT, no time");
}

#[test]
fn no_silence_ends_a_request_without_a_wait() {
    let rows = "
           0         -> call 0
        4000         -> wait
        5000  0 SENT -> done";
    table(no_wait(1, 5), rows, "SENT");
}

#[test]
fn a_message_that_was_pending_and_is_not_found_is_gone() {
    let rows = "
          0                  -> call 0 1 2
         10  0 PENDING       -> wait
         10  1 NoSuchMessage -> wait
         10  2 PENDING       -> wait
        220                  -> call 0 2
        230  0 NoSuchMessage -> wait
        240  2 NotPermitted  -> done";
    table(wait(3, 50), rows, "gone, NoSuchMessage, NotPermitted");
}

#[test]
fn a_call_counts_while_it_runs_and_for_1100_ms_after() {
    let rows = "
           0         -> call 0 1
          50  0 SENT -> wait
        1149         -> wait
        1150         -> call 2
        1500  1 SENT -> wait
        2599         -> wait
        2600         -> call 3";
    table(no_wait(4, 2), rows, "SENT, SENT, no time, no time");
}

#[test]
fn at_most_four_calls_are_in_flight() {
    let rows = "
           0         -> call 0 1 2 3
        2000         -> wait
        2001  2 SENT -> call 4";
    table(
        no_wait(6, 50),
        rows,
        "no time, no time, SENT, no time, no time, no time",
    );
}
