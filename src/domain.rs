//! Validated types for users, channels, messages and statuses. No HTTP, no JSON, no SDK.
//!
//! The rules come from the [Amazon Chime SDK messaging API reference][api]. A valid id
//! cannot change the structure of a request path that contains it.
//!
//! [api]: https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html

mod arn;
mod id;
mod message;
mod session_role;
mod status;
mod user_arn_pattern;

pub use arn::{AppInstanceUserArn, ChannelArn, ChannelArnError};
pub use id::{IdError, MessageId, SubChannelId};
pub use message::MessageRef;
pub use session_role::{RoleSession, SessionRole};
pub use status::{MessageStatus, StatusValue};
pub use user_arn_pattern::{MappingError, MappingErrorKind, PatternError, UserArnPattern};
