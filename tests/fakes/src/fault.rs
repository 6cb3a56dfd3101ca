//! Faults that a test can inject into GetChannelMessageStatus.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::http::{End, HttpResponse, Reply, TakeOver, Then};
use crate::service_error::ServiceError;

/// What happens instead of the correct response. The signature is verified first: a wrong signature is
/// always rejected as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault: the correct response.
    Pass,
    /// The correct response, determined after this time.
    Latency(Duration),
    /// Another fault, after this time.
    After(Duration, Box<Fault>),
    /// An error response.
    Error(ServiceError),
    /// A response that Chime is not known to send. `x-amzn-RequestId` and `content-length` are
    /// added.
    Body {
        /// The HTTP status.
        status: u16,
        /// The headers, content type included.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Closes the connection without a byte of a response.
    Close,
    /// Resets the connection without a byte of a response.
    Reset,
    /// Sends nothing until the client leaves.
    Hang,
    /// Closes the connection after half of the head.
    CloseInHead,
    /// Resets the connection after half of the head.
    ResetInHead,
    /// Resets the connection after the head and half of the body.
    ResetInBody,
    /// Sends the head and half of the body, then nothing more until the client leaves.
    StallInBody,
    /// Sends the response one byte at a time, with this pause before each.
    Drip(Duration),
    /// Sends bytes that are not HTTP, and closes the connection.
    Raw(Vec<u8>),
    /// A `content-length` that is ten bytes too long. The connection closes after the body, so the body
    /// looks incomplete.
    LengthTooLong,
    /// A `content-length` that is ten bytes too short, or 0. The rest of the body is where the next
    /// response should begin.
    LengthTooShort,
    /// Responds, and then closes the connection without `connection: close`.
    CloseAfter,
}

/// One function for each error of [`ServiceError::named`] that tests inject.
macro_rules! errors {
    ($($function:ident: $name:literal,)*) => {
        impl Fault {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub fn $function() -> Fault {
                    Fault::Error(ServiceError::named($name).expect("a known name"))
                }
            )*
        }
    };
}

errors! {
    bad_request: "BadRequestException",
    unauthorized_client: "UnauthorizedClientException",
    forbidden: "ForbiddenException",
    not_found: "NotFoundException",
    throttled: "ThrottledClientException",
    throttling: "ThrottlingException",
    service_failure: "ServiceFailureException",
    service_unavailable: "ServiceUnavailableException",
    access_denied: "AccessDeniedException",
    expired_token: "ExpiredTokenException",
    unrecognized_client: "UnrecognizedClientException",
    invalid_signature: "InvalidSignatureException",
    missing_authentication_token: "MissingAuthenticationTokenException",
    incomplete_signature: "IncompleteSignatureException",
}

impl Fault {
    /// Any error response. Without a name it has no `x-amzn-ErrorType` and no `Code`.
    pub fn error(status: u16, name: Option<&str>, message: &str) -> Fault {
        Fault::Error(ServiceError {
            status,
            name: name.map(String::from),
            message: message.into(),
        })
    }

    /// An HTML page of a load balancer, without an error name.
    pub fn html(status: u16) -> Fault {
        Fault::body(
            status,
            "text/html",
            "<html><body><h1>oops</h1></body></html>",
        )
    }

    /// 200, with any text as JSON.
    pub fn json(body: impl Into<Vec<u8>>) -> Fault {
        Fault::body(200, "application/json", body)
    }

    /// 200, with this status value.
    pub fn status_value(value: &str) -> Fault {
        Fault::json(serde_json::json!({ "Status": { "Value": value } }).to_string())
    }

    /// Any response.
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Fault {
        Fault::Body {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// This fault, after some time.
    #[must_use]
    pub fn after(self, delay: Duration) -> Fault {
        Fault::After(delay, Box::new(self))
    }

    /// The delay, and the fault after it.
    pub(crate) fn delay(self) -> (Duration, Fault) {
        match self {
            Fault::Latency(delay) => (delay, Fault::Pass),
            Fault::After(delay, then) => {
                let (more, fault) = then.delay();
                (delay + more, fault)
            }
            fault => (Duration::ZERO, fault),
        }
    }

    /// The response that this fault is about: another one, or the correct one.
    pub(crate) fn response(&self, correct: impl FnOnce() -> HttpResponse) -> HttpResponse {
        match self {
            Fault::Error(service_error) => service_error.response(),
            Fault::Body {
                status,
                headers,
                body,
            } => HttpResponse {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            },
            _ => correct(),
        }
    }

    /// The reply in which this fault changes the response. The guard is dropped before the last byte is
    /// sent.
    pub(crate) fn reply(self, response: HttpResponse, guard: Box<dyn Send>) -> Reply {
        let length = response.body.len();
        let head = response.head(Some(length));
        let half_head = || head[..head.len() / 2].to_vec();
        let half_body = || [&head, &response.body[..length / 2]].concat();
        let with_length = |length| [response.head(Some(length)), response.body.clone()].concat();
        let mut pause = Duration::ZERO;
        let (bytes, end) = match self {
            Fault::Pass | Fault::Latency(_) | Fault::After(..) => return response.into(),
            Fault::Error(_) | Fault::Body { .. } => return response.into(),
            Fault::Close => (Vec::new(), End::Close),
            Fault::Reset => (Vec::new(), End::Reset),
            Fault::Hang => (Vec::new(), End::Silence),
            Fault::CloseInHead => (half_head(), End::Close),
            Fault::ResetInHead => (half_head(), End::Reset),
            Fault::ResetInBody => (half_body(), End::Reset),
            Fault::StallInBody => (half_body(), End::Silence),
            Fault::Drip(every) => {
                pause = every;
                (with_length(length), End::Close)
            }
            Fault::Raw(bytes) => (bytes, End::Close),
            Fault::LengthTooLong => (with_length(length + 10), End::Close),
            Fault::LengthTooShort => (with_length(length.saturating_sub(10)), End::Silence),
            Fault::CloseAfter => (with_length(length), End::Close),
        };
        Reply::TakeOver(TakeOver {
            bytes,
            pause,
            then: Then::End(end),
            guard: Some(guard),
        })
    }
}

/// The faults that a test has planned. The first of these that has one decides about a read: the
/// message's own list, the message's lasting fault, the script, the blip, the lasting fault of all.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) by_message: HashMap<String, VecDeque<Fault>>,
    pub(crate) always_for: HashMap<String, Option<Fault>>,
    pub(crate) script: VecDeque<Fault>,
    pub(crate) blip: Option<Blip>,
    pub(crate) always: Option<Fault>,
}

/// A fault of all reads for some time, which begins with the next read.
#[derive(Debug)]
pub(crate) struct Blip {
    pub(crate) fault: Fault,
    pub(crate) length: Duration,
    pub(crate) began: Option<Instant>,
}

impl Faults {
    pub(crate) fn next(&mut self, message_id: &str, now: Instant) -> Fault {
        let own = self.by_message.get_mut(message_id);
        own.and_then(VecDeque::pop_front)
            .or_else(|| self.always_for.get(message_id).cloned().flatten())
            .or_else(|| self.script.pop_front())
            .or_else(|| self.blip.as_mut()?.at(now))
            .or_else(|| self.always.clone())
            .unwrap_or(Fault::Pass)
    }
}

impl Blip {
    fn at(&mut self, now: Instant) -> Option<Fault> {
        let began = *self.began.get_or_insert(now);
        (now.saturating_duration_since(began) < self.length).then(|| self.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Client, Server, ServerOptions};

    #[tokio::test]
    async fn faults_send_their_part_of_the_response_and_end_the_connection() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n";
        let head_of = |length: &str| head.replace("12", length);
        let whole = format!("{head}123456789012");
        let raw = Fault::Raw(b"not HTTP".to_vec());
        for (fault, sent, end) in [
            (Fault::Close, String::new(), End::Close),
            (Fault::Reset, String::new(), End::Reset),
            (Fault::Hang, String::new(), End::Silence),
            (Fault::CloseInHead, head[..19].into(), End::Close),
            (Fault::ResetInHead, head[..19].into(), End::Reset),
            (Fault::ResetInBody, format!("{head}123456"), End::Reset),
            (Fault::StallInBody, format!("{head}123456"), End::Silence),
            (Fault::Drip(Duration::ZERO), whole.clone(), End::Close),
            (raw, "not HTTP".into(), End::Close),
            (
                Fault::LengthTooLong,
                head_of("22") + "123456789012",
                End::Close,
            ),
            (
                Fault::LengthTooShort,
                head_of("2") + "123456789012",
                End::Silence,
            ),
            (Fault::CloseAfter, whole, End::Close),
        ] {
            println!("{fault:?}");
            let options = ServerOptions::plain(([127, 0, 0, 1], 0).into());
            let server = Server::start(options, move |_| {
                let response = HttpResponse::new(200, "", "123456789012");
                std::future::ready(fault.clone().reply(response, Box::new(())))
            });
            let server = server.await.unwrap();
            let mut client = Client::connect(&server).await.unwrap();
            client.request().await;
            client.receives(&sent, end).await;
        }
    }

    #[test]
    fn the_faults_of_a_message_precede_the_script_the_blip_and_the_lasting_fault() {
        let now = Instant::now();
        let (mut faults, hang) = (Faults::default(), || Fault::Hang);
        assert_eq!(faults.next("m", now), Fault::Pass);
        faults.always = Some(hang());
        let length = Duration::from_millis(60);
        let began = None;
        faults.blip = Some(Blip {
            fault: Fault::Close,
            length,
            began,
        });
        faults.script = [Fault::Reset].into();
        faults
            .by_message
            .insert("m".into(), [Fault::CloseAfter].into());
        faults
            .always_for
            .insert("n".into(), Some(Fault::ResetInBody));
        let after = |ms| now + Duration::from_millis(ms);
        for (id, at, expected) in [
            ("n", 0, Fault::ResetInBody),
            ("m", 0, Fault::CloseAfter),
            ("m", 0, Fault::Reset),
            ("m", 10, Fault::Close),
            ("m", 69, Fault::Close),
            ("m", 70, hang()),
            ("n", 80, Fault::ResetInBody),
        ] {
            assert_eq!(faults.next(id, after(at)), expected, "{id} at {at}");
        }
    }
}
