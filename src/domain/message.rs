//! Reference to one message.

use super::{ChannelArn, MessageId, SubChannelId};

/// One message and the channel that it was sent to.
///
/// The channel belongs to the app instance of the caller, because [`ChannelArn`] has no other
/// constructor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// The channel that the message was sent to.
    pub channel: ChannelArn,
    /// The id of the message.
    pub message: MessageId,
    /// The sub-channel, in an elastic channel.
    pub sub_channel: Option<SubChannelId>,
}
