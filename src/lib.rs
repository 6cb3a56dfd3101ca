//! HTTP API for the status of messages in Amazon Chime SDK channel flows, for the authenticated caller.
//!
//! # The path of a request
//!
//! [`lambda`] receives an invocation. [`handler`] serves it, from top to bottom: [`event`] (parse), route,
//! [`identity`] (who calls), [`input`] (what for), [`lookup`] (the calls), [`response`] or [`problem`], and one
//! [`record`] for the log.
//!
//! # The modules
//!
//! | module | content |
//! |---|---|
//! | `main.rs` | reads the environment, builds the parts, starts the Lambda loop |
//! | [`lambda`] | Lambda Runtime API |
//! | [`handler`] | one invocation, from the payload to the response |
//! | [`event`] | gateway events → one [`event::Event`] |
//! | `json` | JSON of which only the needed members are decoded |
//! | [`identity`] | authorizer context → [`identity::Caller`], the only source of a bearer |
//! | [`user_arn`], [`session_role`] | the mapping that operators configure |
//! | [`arn`], [`ids`], [`status`] | validated types, no I/O |
//! | [`input`] | query and body → messages, with all wrong values named |
//! | [`lookup`] | the plan of the calls, without I/O, and the loop that follows it |
//! | [`chime`] | client for Chime, its errors, HTTP connections, root certificates: all that knows the SDK |
//! | [`problem`] | problem types: names, status codes, texts |
//! | [`response`], [`cors`] | responses in the form of the gateways |
//! | [`record`], [`log`] | one line of log per request |
//! | [`config`] | environment variables → [`config::Config`], with all errors at once |
//!
//! lambda_http provides the HTTP types and re-exports `tower` and the Lambda types that fit lambda_runtime. Its
//! request and response types are not used, see [`event`].

pub mod arn;
pub mod chime;
pub mod config;
pub mod cors;
pub mod event;
pub mod handler;
pub mod identity;
pub mod ids;
pub mod input;
mod json;
pub mod lambda;
pub mod log;
pub mod lookup;
pub mod problem;
pub mod record;
pub mod response;
pub mod session_role;
pub mod status;
pub mod user_arn;
