//! [`GetChannelMessageStatus`](https://docs.aws.amazon.com/chime-sdk/latest/APIReference/API_messaging-chime_GetChannelMessageStatus.html).

use std::time::Instant;

use aws_sdk_chimesdkmessaging::config::http::HttpResponse;
use aws_sdk_chimesdkmessaging::error::SdkError;
use aws_sdk_chimesdkmessaging::operation::get_channel_message_status::{
    GetChannelMessageStatusError, GetChannelMessageStatusOutput,
};

use super::error::{ChimeError, unusable};
use super::{ChimeCall, ChimeClient};
use crate::caller::Caller;
use crate::domain::{MessageRef, MessageStatus};
use crate::polling::RetryClass;

type Output =
    Result<GetChannelMessageStatusOutput, SdkError<GetChannelMessageStatusError, HttpResponse>>;

impl ChimeClient {
    /// Gets the status of a message with `caller` as the bearer. Makes one call.
    pub async fn get_message_status(
        &self,
        caller: &Caller,
        message: &MessageRef,
    ) -> ChimeCall<MessageStatus> {
        let started = Instant::now();
        let sub_channel = message.sub_channel.as_ref();
        let output = self
            .client
            .get_channel_message_status()
            .chime_bearer(caller.user().as_str())
            .channel_arn(message.channel.as_str())
            .message_id(message.message.as_str())
            .set_sub_channel_id(sub_channel.map(|id| id.as_str().to_owned()))
            .send()
            .await;
        ChimeCall::new(started, output, read)
    }
}

/// How the result of [`ChimeClient::get_message_status`] affects the next call.
pub(crate) fn retry_class(result: &Result<MessageStatus, ChimeError>) -> RetryClass {
    match result {
        Ok(status) if status.is_pending() => RetryClass::Pending,
        Ok(_) => RetryClass::Final,
        Err(error) => error.kind().retry_class(),
    }
}

fn read(output: Output) -> Result<MessageStatus, ChimeError> {
    let output = output.map_err(|error| ChimeError::from_sdk(&error))?;
    let status = output
        .status()
        .ok_or_else(|| unusable("Chime's response has no Status"))?;
    let value = status
        .value()
        .ok_or_else(|| unusable("Chime's response has no Status.Value"))?;
    MessageStatus::parse(value.as_str(), status.detail())
        .ok_or_else(|| unusable("Chime returned an invalid Status"))
}
