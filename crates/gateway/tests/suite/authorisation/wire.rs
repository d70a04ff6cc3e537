//! One request of any kind, and what came back.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;

/// How an endpoint is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A gRPC method by its path, with one encoded message.
    Grpc {
        path: String,
        message: Vec<u8>,
    },
    Http {
        method: Method,
        path: String,
    },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Grpc { code: Code, text: String, message: Bytes },
    Http { code: StatusCode, headers: HeaderMap },
}

impl Said {
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Grpc { code, .. } => *code == Code::Unavailable,
            Self::Http { code, .. } => *code == StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Calls with this token; fails where the connection does.
pub async fn ask(channel: &Channel, call: &Call, token: Option<&str>) -> Result<Said, Failed> {
    let mut request = Request::builder();
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match call {
        Call::Http { method, path } => {
            let request = request.method(method).uri(path).body(Body::empty())?;
            let answer = channel.clone().oneshot(request).await?;
            Ok(Said::Http { code: answer.status(), headers: answer.headers().clone() })
        }
        Call::Grpc { path, message } => {
            let length = u32::try_from(message.len())?.to_be_bytes();
            let frame = [&[0], length.as_slice(), message].concat();
            let request = request.method(Method::POST).uri(path);
            let request = request.header("content-type", "application/grpc").header("te", "trailers");
            let answer = channel.clone().oneshot(request.body(Body::new(Full::from(frame)))?).await?;
            let (head, body) = answer.into_parts();
            if head.headers.get("content-type").is_none_or(|kind| kind != "application/grpc") {
                return Ok(Said::Http { code: head.status, headers: head.headers });
            }
            said(&head.headers, body).await
        }
    }
}

/// The first message, which is all that a call without a stream answers, or the status without one.
async fn said(head: &HeaderMap, mut body: Body) -> Result<Said, Failed> {
    if let Some(status) = tonic::Status::from_header_map(head) {
        return Ok(refused(&status));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        if let Some(status) = frame.trailers_ref().and_then(tonic::Status::from_header_map) {
            return Ok(refused(&status));
        }
        bytes.extend(frame.data_ref().into_iter().flatten());
        if let Some((prefix, message)) = bytes.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            if message.len() == length {
                let message = Bytes::copy_from_slice(message);
                return Ok(Said::Grpc { code: Code::Ok, text: String::new(), message });
            }
        }
    }
    Err("the answer ended without a status".into())
}

fn refused(status: &tonic::Status) -> Said {
    assert_ne!(status.code(), Code::Ok, "an answer of a unary call has a message");
    Said::Grpc { code: status.code(), text: status.message().to_owned(), message: Bytes::new() }
}
