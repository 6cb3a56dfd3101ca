//! Answers, over HTTPS and in the caller's own name, what became of messages that were sent into an
//! Amazon Chime SDK channel flow.
//!
//! # The way of a request
//!
//! One way in and one way out:
//!
//! [`lambda`] → [`event`] → [`caller`] → route and parse ([`api::Operation`]) → `settle` → [`chime`] →
//! status or [`problem`] → CORS → one record ([`telemetry`])
//!
//! # The rooms
//!
//! | room | what is in it |
//! |---|---|
//! | `main.rs` | puts the parts together, and does nothing else |
//! | [`lambda`] | the Lambda Runtime API |
//! | [`config`] | environment variables → [`config::Config`], all faults at once |
//! | [`event`] | what a gateway sends → one shape for all front doors |
//! | `json` | JSON in which nothing is lost, names that stand twice included |
//! | [`caller`] | what an authorizer says → who is calling; the only way to a bearer |
//! | [`domain`] | ids, ARNs, statuses, and the template of the user's ARN |
//! | [`api`] | the HTTP API: routes, fields, one message, many messages, CORS, the response |
//! | `settle` | when Chime is asked: spacing, retries, waiting, the caller's quota |
//! | [`chime`] | the SDK, and what its errors mean |
//! | `https` | connections to Chime |
//! | `roots` | whom these connections trust |
//! | [`problem`] | the table of everything that can go wrong |
//! | [`telemetry`] | the log |
//!
//! Who the caller is, is a value: `caller` makes it from the authorizer context, everything after it
//! is handed it, and nothing else can make one.

pub mod api;
pub mod caller;
pub mod chime;
pub mod config;
pub mod domain;
pub mod event;

mod json;
pub mod lambda;
pub mod problem;
mod roots;
mod settle;
pub mod telemetry;
