//! What can be called: what the gateway's list and its reflection tell of, and what neither knows.

use std::collections::BTreeSet;

use http::Method;
use keystile_gateway::endpoints::{HTTP, SERVICES};
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::transport::Channel;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::wire::Call;

/// One thing to call.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub admin: bool,
    pub path: String,
    pub call: Call,
}

impl Endpoint {
    fn http(admin: bool, path: &str) -> [Self; 2] {
        [Method::GET, Method::POST].map(|method| Self {
            admin,
            path: path.to_owned(),
            call: Call::Http { method, path: path.to_owned() },
        })
    }

    fn grpc(admin: bool, path: &str) -> Self {
        // "Which services are there?"; an empty message asks nothing.
        let message = if path.ends_with("/ServerReflectionInfo") { vec![0x3a, 0] } else { Vec::new() };
        Self { admin, path: path.to_owned(), call: Call::Grpc { path: path.to_owned(), message } }
    }
}

/// Every endpoint of both listeners, each path of one at the other, and some that there are not.
pub async fn all(channel: &Channel) -> Vec<Endpoint> {
    let methods = methods(channel).await;
    let mut all: Vec<Endpoint> = methods.iter().map(|path| Endpoint::grpc(false, path)).collect();
    let paths: BTreeSet<&str> = HTTP.iter().map(|listed| listed.path).chain(["/unknown"]).collect();
    for admin in [false, true] {
        all.extend(paths.iter().flat_map(|path| Endpoint::http(admin, path)));
    }
    let unknown = ["/openshell.v1.OpenShell/CreateSandbox", "/unknown.Service/Call"];
    all.extend(unknown.map(|path| Endpoint::grpc(false, path)));
    all.extend(methods.iter().map(|path| Endpoint::grpc(true, path)));
    all
}

async fn reflect(channel: &Channel, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client.server_reflection_info(tokio_stream::once(request)).await;
    let answer = answers.expect("it is served").into_inner().message().await.expect("an answer");
    answer.and_then(|answer| answer.message_response).expect("a message")
}

/// The path of every gRPC method that reflection tells of.
async fn methods(channel: &Channel) -> Vec<String> {
    let listed = reflect(channel, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
    let services: BTreeSet<String> = listed.service.into_iter().map(|service| service.name).collect();
    // The two versions of reflection do not tell of each other.
    let (old, told): (Vec<&str>, Vec<&str>) = SERVICES.iter().partition(|name| name.contains("v1alpha"));
    assert!(services.iter().map(String::as_str).eq(told), "{services:?}");
    let mut paths: Vec<String> = old.iter().map(|name| format!("/{name}/ServerReflectionInfo")).collect();
    for service in &services {
        let found = reflect(channel, MessageRequest::FileContainingSymbol(service.clone())).await;
        let MessageResponse::FileDescriptorResponse(found) = found else { panic!("{found:?}") };
        let files = found.file_descriptor_proto.iter();
        let files = files.map(|bytes| FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor"));
        for file in files {
            let described =
                file.service.iter().filter(|it| format!("{}.{}", file.package(), it.name()) == *service);
            paths.extend(described.flat_map(|it| &it.method).map(|it| format!("/{service}/{}", it.name())));
        }
    }
    paths
}
