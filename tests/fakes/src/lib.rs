//! Fakes of the services that the function uses, on loopback: the messages of the Chime SDK messaging
//! API with its WebSocket, and Lambda's Runtime API. For tests only: no release contains them.
//!
//! The fakes work over real connections, so tests cover signing, encoding, timeouts and broken
//! connections.
//!
//! | module | contents |
//! |---|---|
//! | [`http`] | the HTTP server, and its network faults |
//! | `tls` | a throw-away certificate authority |
//! | `sigv4` | verifying signatures in headers and URLs |
//! | `arn` | ARNs of users and channels |
//! | [`service_error`] | Chime's errors in Chime's wire form |
//! | [`flow`] | messages, and the outcomes of channel flows |
//! | [`fault`] | faults of GetChannelMessageStatus |
//! | [`chime`] | [`chime::FakeChime`]: the API, the WebSocket, and the record of calls |
//! | [`oracle`] | the identity in an event, read independently of the function |
//! | [`lambda`] | [`lambda::FakeLambda`]: runs our binary as Lambda does |

mod arn;
pub mod chime;
pub mod fault;
pub mod flow;
pub mod http;
pub mod lambda;
pub mod oracle;
pub mod service_error;
mod sigv4;
mod tls;
