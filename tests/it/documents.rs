//! Tables of the documents compared with the function.

use std::time::Duration;

use chime_message_status::lookup::plan::{Plan, Step, Terms, Until, Wait};
use chime_message_status::problem::ProblemType;
use chime_message_status::status::MessageStatus;

/// The first column of each table of a page, without code quotes and its header.
fn rows(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .collect()
}

#[test]
fn the_page_of_the_configuration_has_exactly_one_row_for_each_variable() {
    let page = include_str!("../../docs/configuration.md");
    let variables = [
        "APP_INSTANCE_USER_ARN",
        "TOKEN_ISSUER",
        "SESSION_ROLE_ARN",
        "ALLOWED_ORIGINS",
        "MAX_WAIT_SECONDS",
        "CHIME_CALLS_PER_SECOND",
        "CHIME_ATTEMPT_TIMEOUT_MS",
    ];
    for variable in variables {
        let found = rows(page)
            .iter()
            .filter(|row| row.starts_with(&format!("{variable}` | ")))
            .count();
        assert_eq!(found, 1, "{variable}");
    }
    assert!(!page.contains("CHIME_CONNECT_TIMEOUT_MS"));
}

#[test]
fn the_page_of_the_api_has_a_row_for_each_problem() {
    let page = include_str!("../../docs/api.md");
    for problem in ProblemType::ALL {
        let row = format!("{}` | {} | ", problem.name(), problem.status().as_u16());
        assert!(
            rows(page).iter().any(|known| known.starts_with(&row)),
            "{row}"
        );
    }
}

#[test]
fn every_file_that_states_the_version_states_the_packages() {
    let version = env!("CARGO_PKG_VERSION");
    let openapi = include_str!("../../openapi.yaml");
    let client = include_str!("../../client/package.json");
    let template = include_str!("../../template.yaml");
    assert!(openapi.contains(&format!("  version: {version}\n")));
    assert!(client.contains(&format!("  \"version\": \"{version}\",\n")));
    assert!(template.contains(&format!("    SemanticVersion: {version}\n")));
}

/// The number of calls in a wait for one message that stays pending, if a call takes 50 ms. The median of many
/// waits, because intervals vary.
fn calls_of_a_wait(seconds: u64) -> u64 {
    let terms = Terms {
        messages: 1,
        calls_per_second: 5,
        deadline: Duration::from_secs(28),
        wait: Wait {
            duration: Duration::from_secs(seconds),
            until: Until::All,
        },
    };
    let mut counts: Vec<u64> = (0..101)
        .map(|seed| {
            let mut plan = Plan::new(terms, fastrand::Rng::with_seed(seed));
            let mut now = Duration::ZERO;
            loop {
                match plan.next(now) {
                    Step::Call(index) => {
                        now += Duration::from_millis(50);
                        let pending = MessageStatus::parse("PENDING", None).expect("a status");
                        plan.ended(index, Ok(pending), now);
                    }
                    Step::WaitUntil(time) => now = time,
                    Step::Done => break plan.finish().1.calls,
                }
            }
        })
        .collect();
    counts.sort_unstable();
    counts[50]
}

#[test]
fn the_page_of_the_costs_states_the_calls_that_the_plan_makes() {
    let page = include_str!("../../docs/cost.md");
    for seconds in [5, 20] {
        let calls = calls_of_a_wait(seconds);
        let row = format!("| wait of {seconds} s | {seconds} | {calls} |");
        assert!(page.contains(&row), "{row}");
    }
}
