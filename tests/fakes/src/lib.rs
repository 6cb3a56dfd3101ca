//! What our function talks to, on loopback: the Chime SDK messaging API with its WebSocket, as far
//! as messages go, and Lambda's Runtime API. For tests only: nothing that ships depends on it.
//!
//! The wire is faked and not the code, so that signing, encoding, timeouts and broken connections
//! are part of what is tested.
//!
//! | module | contents |
//! |---|---|
//! | [`http`] | the server, and the faults it can have |
//! | [`tls`] | a throw-away certificate authority |
//! | [`sigv4`] | verifying signatures in headers and URLs |
//! | [`arn`] | ARNs of users and channels |
//! | [`service_error`] | Chime's errors in Chime's wire form |
//! | [`flow`] | messages, and the outcomes of channel flows |
//! | [`fault`] | faults of GetChannelMessageStatus |
//! | [`chime`] | [`chime::FakeChime`]: the API, the WebSocket, and the record of calls |
//! | [`oracle`] | the identity in an event, read independently of the function |
//! | [`lambda`] | [`lambda::FakeLambda`]: runs our binary as Lambda does |

pub mod arn;
pub mod chime;
pub mod fault;
pub mod flow;
pub mod http;
pub mod lambda;
pub mod oracle;
pub mod service_error;
pub mod sigv4;
pub mod tls;
