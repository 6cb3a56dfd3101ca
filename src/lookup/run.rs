//! The only loop that waits: it does what the [`Plan`] says.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::plan::{Answer, Counts, Plan, Step};
use crate::chime::Call;
use crate::ids::MessageRef;

/// The results of one request.
pub struct Lookup {
    pub answers: Vec<Answer>,
    pub counts: Counts,
    /// Chime's ids of the calls that got a response.
    pub chime_request_ids: Vec<String>,
}

/// Runs the plan of a request that began at `started`. The plan must be for as many messages.
pub async fn run<'m, F>(
    mut plan: Plan,
    messages: &[&'m MessageRef],
    started: Instant,
    call: impl Fn(&'m MessageRef) -> F,
) -> Lookup
where
    F: Future<Output = Call>,
{
    let mut in_flight = FuturesUnordered::new();
    let mut chime_request_ids = Vec::new();
    loop {
        match plan.next(started.elapsed()) {
            Step::Call(index) => {
                in_flight.extend(messages.get(index).map(|message| {
                    let call = call(message);
                    async move { (index, call.await) }
                }));
            }
            Step::WaitUntil(time) => tokio::select! {
                biased;
                Some((index, call)) = in_flight.next() => {
                    chime_request_ids.extend(call.request_id);
                    plan.ended(index, call.outcome, started.elapsed());
                }
                () = sleep_until(started + time) => {}
            },
            // Dropping the calls in flight gives them up.
            Step::Done => break,
        }
    }
    let (answers, counts) = plan.finish();
    Lookup {
        answers,
        counts,
        chime_request_ids,
    }
}
