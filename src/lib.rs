//! HTTP API for the status of messages in Amazon Chime SDK channel flows, for the authenticated caller.
//!
//! # The path of a request
//!
//! [`lambda`] → [`event`] → [`caller`] → [`api`] (route, validate) → `polling` → [`chime`] → status or
//! [`problem`] → [`api`] (response, CORS) → [`telemetry`] (one record)
//!
//! # The modules
//!
//! | module | content |
//! |---|---|
//! | `main.rs` | reads the environment, builds the parts, starts the Lambda loop |
//! | [`lambda`] | Lambda Runtime API |
//! | [`config`] | environment variables → [`config::Config`], with all errors at once |
//! | [`event`] | gateway events → one [`event::Event`] |
//! | `json` | JSON that keeps duplicate members |
//! | [`caller`] | authorizer context → [`caller::Caller`], the only source of a bearer |
//! | [`domain`] | ids, ARNs, statuses, the user ARN pattern: validated types |
//! | [`api`] | the table of operations, fields, responses, CORS; a file for each operation |
//! | `polling` | retry and wait loops |
//! | `rate_limit` | rate limiter for the calls of one request |
//! | [`chime`] | client for Chime, its errors, HTTP connections, root certificates |
//! | [`problem`] | problem types: names, status codes, texts |
//! | [`telemetry`] | one log record per request |
//!
//! These modules have no import cycles. `domain`, `polling` and `rate_limit` know neither HTTP nor JSON.
//! Only `chime` knows the SDK for Chime.

pub mod api;
pub mod caller;
pub mod chime;
pub mod config;
pub mod domain;
pub mod event;
mod json;
pub mod lambda;
mod polling;
pub mod problem;
mod rate_limit;
pub mod telemetry;
