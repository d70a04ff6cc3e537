//! What a caller is told who is not let in.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use keystile_replica::{Bearer, RETRY_AFTER, Refused};
use keystile_token::{Answer, GrpcCode};

use crate::body::Live;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// What somebody is told who is not let in.
pub(crate) struct Refusal {
    answer: Answer,
    challenge: &'static str,
}

impl Refusal {
    pub(crate) fn of(refused: Refused, presented: Bearer<'_>) -> Self {
        let challenge = refused.challenge(presented);
        Self { answer: refused.answer(), challenge }
    }

    /// As many streams as may be are open.
    pub(crate) fn crowded() -> Self {
        let text = "as many streams as may be are open; try again".into();
        Self { answer: Answer { text, ..Answer::UNAVAILABLE }, challenge: "" }
    }

    /// In HTTP's way: a code and a challenge, or when to come again.
    pub(crate) fn http<B>(self) -> Response<Live<B>> {
        let mut response = Response::new(Live::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.answer.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.answer.grpc == GrpcCode::Unavailable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs().max(1)));
        } else {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
        }
        response
    }

    /// In gRPC's way: a response that is nothing but its trailers.
    pub(crate) fn grpc<B>(self) -> Response<Live<B>> {
        let mut response = Response::new(Live::empty());
        *response.headers_mut() = trailers(&self.answer);
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, grpc);
        response
    }
}

/// The trailers that say what `answer` says.
pub(crate) fn trailers(answer: &Answer) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(answer.grpc as i32));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&answer.text)) {
        trailers.insert(GRPC_MESSAGE, message);
    }
    if answer.grpc == GrpcCode::Unavailable {
        let millis = u64::try_from(RETRY_AFTER.as_millis()).unwrap_or(u64::MAX);
        trailers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
    }
    trailers
}

/// As gRPC writes messages: visible ASCII and spaces stay, but for `%`.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'%' | 0..b' ' | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char::from(byte)),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_encoded_as_grpc_says() {
        assert_eq!(
            percent_encoded("invalid token: missing field `exp`"),
            "invalid token: missing field `exp`"
        );
        assert_eq!(percent_encoded("5 %\né~"), "5 %25%0A%C3%A9~");
    }
}
