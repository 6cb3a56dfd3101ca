//! RedactChannelMessage and DeleteChannelMessage. In the fake, only the sender may do both. Chime also
//! allows administrators.

use std::time::Instant;

use super::{CallContext, Service, json_response};
use crate::http::HttpResponse;
use crate::service_error::ServiceError;

impl Service {
    pub(super) fn redact(
        &self,
        caller: &CallContext<'_>,
        message_id: &str,
    ) -> Result<HttpResponse, ServiceError> {
        let (now, clock) = (Instant::now(), self.now());
        let mut state = self.state();
        caller
            .own_message(&mut state, message_id, now)?
            .redact(clock);
        state.announce_removal(caller.channel_arn, message_id, "REDACT", now);
        Ok(json_response(200, &caller.message_json(message_id)))
    }

    pub(super) fn delete(
        &self,
        caller: &CallContext<'_>,
        message_id: &str,
    ) -> Result<HttpResponse, ServiceError> {
        let now = Instant::now();
        let mut state = self.state();
        caller.own_message(&mut state, message_id, now)?;
        state.announce_removal(caller.channel_arn, message_id, "DELETE", now);
        state.remove(caller.channel_arn, message_id);
        Ok(HttpResponse::new(204, "", ""))
    }
}
