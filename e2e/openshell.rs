//! What `e2e/openshell` needs beside OpenShell's own programs, built against a checkout of OpenShell: a compute driver
//! that starts nothing, and callers that use OpenShell's client as its supervisor does.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openshell_core::external_driver_socket::{SameUidUnixIncoming, bind_private};
use openshell_core::grpc_client::{AuthedChannel, CachedOpenShellClient, connect_channel_pub};
use openshell_core::proto::compute::v1::compute_driver_server::{ComputeDriver, ComputeDriverServer};
use openshell_core::proto::compute::v1::{self as compute, DriverSandbox};
use openshell_core::proto::open_shell_client::OpenShellClient;
use openshell_core::proto::{
    CreateSandboxRequest, RefreshSandboxTokenRequest, SandboxSpec, SupervisorMiddlewareService,
};
use prost::Message;
use tokio_stream::Stream;
use tonic::service::Interceptor;
use tonic::{Code, Request, Response, Status};

type Failure = Box<dyn Error + Send + Sync>;
type Answer<T> = Result<Response<T>, Status>;

const USAGE: &str = "usage: openshell-harness driver SOCKET DIRECTORY | create URL NAME | refresh URL | extension URL NAME | renew URL";

/// A driver for which every sandbox is ready at once and nothing runs. It writes the token of each into a directory,
/// as OpenShell's local drivers do.
struct Paper {
    tokens: PathBuf,
    sandboxes: Mutex<BTreeMap<String, DriverSandbox>>,
}

impl Paper {
    fn sandboxes(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, DriverSandbox>> {
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl ComputeDriver for Paper {
    async fn get_capabilities(
        &self,
        _: Request<compute::GetCapabilitiesRequest>,
    ) -> Answer<compute::GetCapabilitiesResponse> {
        Ok(Response::new(compute::GetCapabilitiesResponse {
            driver_name: "paper".into(),
            driver_version: "1".into(),
            default_image: "none".into(),
            gateway_manages_lifecycle: false,
        }))
    }

    async fn get_gateway_listener_requirements(
        &self,
        _: Request<compute::GetGatewayListenerRequirementsRequest>,
    ) -> Answer<compute::GetGatewayListenerRequirementsResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn validate_sandbox_create(
        &self,
        _: Request<compute::ValidateSandboxCreateRequest>,
    ) -> Answer<compute::ValidateSandboxCreateResponse> {
        Ok(Response::new(compute::ValidateSandboxCreateResponse {}))
    }

    async fn get_sandbox(
        &self,
        request: Request<compute::GetSandboxRequest>,
    ) -> Answer<compute::GetSandboxResponse> {
        let sandbox = self.sandboxes().get(&request.get_ref().sandbox_id).cloned();
        match sandbox {
            Some(_) => Ok(Response::new(compute::GetSandboxResponse { sandbox })),
            None => Err(Status::not_found("no such sandbox")),
        }
    }

    async fn list_sandboxes(
        &self,
        _: Request<compute::ListSandboxesRequest>,
    ) -> Answer<compute::ListSandboxesResponse> {
        let sandboxes = self.sandboxes().values().cloned().collect();
        Ok(Response::new(compute::ListSandboxesResponse { sandboxes }))
    }

    async fn create_sandbox(
        &self,
        request: Request<compute::CreateSandboxRequest>,
    ) -> Answer<compute::CreateSandboxResponse> {
        let asked = request.into_inner().sandbox;
        let mut sandbox = asked.ok_or_else(|| Status::invalid_argument("no sandbox"))?;
        let token = sandbox.spec.take().map(|spec| spec.sandbox_token).unwrap_or_default();
        std::fs::write(self.tokens.join(format!("{}.jwt", sandbox.id)), token)?;
        self.sandboxes().insert(sandbox.id.clone(), sandbox);
        Ok(Response::new(compute::CreateSandboxResponse {}))
    }

    async fn stop_sandbox(
        &self,
        _: Request<compute::StopSandboxRequest>,
    ) -> Answer<compute::StopSandboxResponse> {
        Ok(Response::new(compute::StopSandboxResponse {}))
    }

    async fn start_sandbox(
        &self,
        _: Request<compute::StartSandboxRequest>,
    ) -> Answer<compute::StartSandboxResponse> {
        Ok(Response::new(compute::StartSandboxResponse {}))
    }

    async fn delete_sandbox(
        &self,
        request: Request<compute::DeleteSandboxRequest>,
    ) -> Answer<compute::DeleteSandboxResponse> {
        let deleted = self.sandboxes().remove(&request.get_ref().sandbox_id).is_some();
        Ok(Response::new(compute::DeleteSandboxResponse { deleted }))
    }

    type WatchSandboxesStream =
        Pin<Box<dyn Stream<Item = Result<compute::WatchSandboxesEvent, Status>> + Send>>;

    async fn watch_sandboxes(
        &self,
        _: Request<compute::WatchSandboxesRequest>,
    ) -> Answer<Self::WatchSandboxesStream> {
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }

    async fn ensure_workspace(
        &self,
        _: Request<compute::EnsureWorkspaceRequest>,
    ) -> Answer<compute::EnsureWorkspaceResponse> {
        Ok(Response::new(compute::EnsureWorkspaceResponse {}))
    }

    async fn delete_workspace(
        &self,
        _: Request<compute::DeleteWorkspaceRequest>,
    ) -> Answer<compute::DeleteWorkspaceResponse> {
        Ok(Response::new(compute::DeleteWorkspaceResponse {}))
    }
}

async fn driver(socket: &str, tokens: &str) -> Result<(), Failure> {
    let paper = Paper { tokens: tokens.into(), sandboxes: Mutex::default() };
    let listener = bind_private(socket.as_ref())?;
    println!("ready");
    tonic::transport::Server::builder()
        .add_service(ComputeDriverServer::new(paper))
        .serve_with_incoming(SameUidUnixIncoming::new(listener))
        .await?;
    Ok(())
}

/// Creates a sandbox as a user of a gateway without user authentication, and prints its id.
async fn create(url: &str, name: &str) -> Result<(), Failure> {
    let mut client = OpenShellClient::connect(url.to_owned()).await?;
    let request =
        CreateSandboxRequest { name: name.into(), spec: Some(SandboxSpec::default()), ..Default::default() };
    let sandbox = client.create_sandbox(request).await?.into_inner().sandbox;
    println!("{}", sandbox.and_then(|sandbox| sandbox.metadata).ok_or("a sandbox without an id")?.id);
    Ok(())
}

/// One refresh by OpenShell's client. Prints the new token, or what the gateway says and fails.
async fn refresh(url: &str) -> Result<(), Failure> {
    let mut client = OpenShellClient::new(connect_channel_pub(url).await?);
    let request = RefreshSandboxTokenRequest { extension_service_names: Vec::new() };
    match client.refresh_sandbox_token(request).await {
        Ok(answer) => println!("{}", answer.into_inner().token),
        Err(status) => {
            println!("{}", refused(&status));
            return Err("refused".into());
        }
    }
    Ok(())
}

/// Lets OpenShell's client fetch the credential for an extension service, and prints what it would send there.
async fn extension(url: &str, name: &str) -> Result<(), Failure> {
    let client = CachedOpenShellClient::connect(url).await?;
    let service = SupervisorMiddlewareService { name: name.into(), ..Default::default() };
    let slots = client.refresh_extension_credentials(&[service]).await?;
    let slot = slots.get(name).ok_or("no credential")?;
    let request = slot.interceptor().call(Request::new(()))?;
    let sent = request.metadata().get("authorization").ok_or("no authorization header")?.to_str()?;
    println!("{}", sent.trim_start_matches("Bearer "));
    Ok(())
}

fn refused(status: &Status) -> String {
    format!("refused {:?} \"{}\"", status.code(), status.message())
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// Of `keystile.v1.WhoAmIResponse` what is looked at here.
#[derive(Clone, PartialEq, Message)]
struct WhoAmI {
    #[prost(string, tag = "2")]
    kid: String,
    #[prost(int64, tag = "4")]
    expires_at: i64,
}

async fn who_am_i(channel: &AuthedChannel) -> Result<WhoAmI, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::new(Code::Unavailable, error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/keystile.v1.Keystile/WhoAmI");
    let codec = tonic_prost::ProstCodec::<Nothing, WhoAmI>::default();
    client.unary(Request::new(Nothing {}), path, codec).await.map(Response::into_inner)
}

/// Leaves the token to OpenShell's renewal loop, and calls a Keystile gateway with it ten times a second. Prints each
/// token by its key and expiry as it changes, and every call that is refused.
async fn renew(url: &str) -> Result<(), Failure> {
    let channel = connect_channel_pub(url).await?;
    let mut before = WhoAmI::default();
    loop {
        match who_am_i(&channel).await {
            Ok(now) if now == before => {}
            Ok(now) => {
                println!("token {} {}", now.kid, now.expires_at);
                before = now;
            }
            Err(status) => println!("{}", refused(&status)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // OpenShell's client tells its renewals and its troubles only in its log.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["driver", socket, tokens] => driver(socket, tokens).await,
        ["create", url, name] => create(url, name).await,
        ["refresh", url] => refresh(url).await,
        ["extension", url, name] => extension(url, name).await,
        ["renew", url] => renew(url).await,
        _ => Err(USAGE.into()),
    }
}
