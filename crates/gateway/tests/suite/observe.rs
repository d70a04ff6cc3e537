//! What operators see.

use keystile_keyring::{KeyState, Policy};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::client::*;
use crate::world::*;

#[tokio::test]
async fn status_shows_the_keyring_its_keys_and_what_comes_next() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    verify(gateway.addr, &token).await;
    let old = world.active().await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    refresh(&channel(gateway.addr).await, Some(&token)).await.expect("refreshed");
    let status = status(gateway.admin).await;
    assert_eq!((status.gateway_id.as_str(), status.ready, status.mints), ("openshell", true, true));
    assert_eq!(status.replica, gateway.replica.to_string());
    assert_eq!(status.freshness, "confirmed");
    assert!(status.store.contains("keyring"), "{}", status.store);
    let [first, second] = status.keys.as_slice() else { panic!("two keys: {:?}", status.keys) };
    assert_eq!((first.kid.as_str(), first.state, first.accepted), (old.as_str(), KeyState::VerifyOnly, 2));
    assert_eq!((second.state, second.minted, second.signs_here), (KeyState::Active, 1, true));
    let next = status.next_event.expect("the old key retires");
    assert_eq!((next.what.as_str(), Some(next.at), &next.kid), ("retires", first.accept_until, &first.kid));
}

#[tokio::test]
async fn metrics_are_bounded_to_closed_labels_and_the_keyrings_kids() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let kid = world.active().await;
    verify(gateway.addr, &world.token().await).await;
    verify(gateway.addr, "garbage").await;
    let admin = gateway.admin;
    assert_eq!(metric(admin, "keystile_verifications_total{result=\"accepted\"}").await, Some(1.0));
    assert_eq!(metric(admin, "keystile_rejections_total{reason=\"malformed\"}").await, Some(1.0));
    assert_eq!(
        metric(admin, "keystile_rejections_total{reason=\"expired\"}").await,
        Some(0.0),
        "shown before it is seen"
    );
    assert_eq!(metric(admin, &format!("keystile_key_accepted_total{{kid=\"{kid}\"}}")).await, Some(1.0));
    assert_eq!(
        metric(admin, &format!("keystile_key_state{{kid=\"{kid}\",state=\"active\"}}")).await,
        Some(1.0)
    );
    assert_eq!(metric(admin, "keystile_generation").await, Some(1.0));
    assert_eq!(metric(admin, "keystile_key_age_seconds").await, Some(1000.0));
    assert_eq!(metric(admin, "keystile_ready").await, Some(1.0));
    let text = get(admin, "/metrics").await;
    assert!(text.header("content-type").expect("a type").starts_with("application/openmetrics-text"));
    assert!(text.body.ends_with("# EOF\n"), "{}", text.body);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn metrics_say_what_the_process_takes_of_the_machine() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let open = metric(gateway.admin, "process_open_fds").await.expect("Linux says");
    let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").expect("open")).collect();
    let more = metric(gateway.admin, "process_open_fds").await.expect("Linux says");
    // Other tests of this process open and close their own.
    assert!(more >= open + 50.0, "{open}, then {more}");
    drop(files);
    let resident = metric(gateway.admin, "process_resident_memory_bytes").await.expect("Linux says");
    assert!(resident > 1e6, "{resident}");
}

#[tokio::test]
async fn t33_a_rotation_that_is_overdue_is_seen() {
    let world = World::with(Policy { rotation_due_after: 1000, ..policy() }).await;
    let gateway = world.gateway().await;
    assert_eq!(metric(gateway.admin, "keystile_rotation_due").await, Some(1.0));
    let status = status(gateway.admin).await;
    assert!(status.rotation_due && status.ready, "{status:?}");
    assert!(status.problems.iter().any(|problem| problem.contains("keystile rotate")), "{status:?}");
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    assert_eq!(metric(gateway.admin, "keystile_rotation_due").await, Some(0.0));
}

#[tokio::test]
async fn t34_a_token_that_every_replica_would_refuse_is_not_minted() {
    let world = World::begun().await;
    let token = world.token().await;
    // By hand, against the rules of set-policy: longer tokens than the key may sign.
    let mut manifest = world.manifest().await;
    manifest.policy.token_ttl = 7200;
    std::fs::remove_file(world.path("keyring.witness.json")).expect("there is a witness");
    let bytes = manifest.to_json().expect("it is written");
    std::fs::write(world.path("keyring/..data/keyring.json"), bytes).expect("the manifest is replaced");
    let gateway = world.gateway().await;
    let status =
        refresh(&channel(gateway.addr).await, Some(&token)).await.expect_err("it would be dead on arrival");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "no token can be minted now; try again")
    );
    assert_eq!(metric(gateway.admin, "keystile_mint_refusals_total{reason=\"other\"}").await, Some(1.0));
}

#[tokio::test]
async fn grpc_health_follows_readiness() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut client = HealthClient::new(channel(gateway.addr).await);
    let mut check = async |service: &str| {
        let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await;
        answer.map(|answer| answer.into_inner().status())
    };
    for service in ["", "openshell.v1.OpenShell", "keystile.v1.Keystile"] {
        while !matches!(check(service).await, Ok(ServingStatus::Serving)) {
            tokio::task::yield_now().await;
        }
    }
    world.store.fail(true);
    world.clock.advance(3601);
    while !matches!(check("").await, Ok(ServingStatus::NotServing)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn reflection_names_the_services() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut client = ServerReflectionClient::new(channel(gateway.addr).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        client.server_reflection_info(tokio_stream::once(ask)).await.expect("it answers").into_inner();
    let answer = answers.message().await.expect("no error").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"openshell.v1.OpenShell".to_owned()), "{names:?}");
    assert!(names.contains(&"keystile.v1.Keystile".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_browser_is_shown_a_page_that_loads_nothing_and_others_get_json() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let kid = world.active().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (path, accept) in [("/status", browser), ("/", browser), ("/", "*/*")] {
        let page = get_with(gateway.admin, path, &[("accept", accept)]).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(
            page.header("content-security-policy")
                .is_some_and(|policy| policy.contains("default-src 'none'"))
        );
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(page.body.contains(kid.as_str()) && page.body.contains("healthy"), "{}", page.body);
        let foreign = ["<script", "src=", "href=", "@import", "http://", "https://"];
        assert!(foreign.iter().all(|what| !page.body.contains(what)), "{}", page.body);
    }
    for accept in ["*/*", "application/json", "application/json, text/html"] {
        let document = get_with(gateway.admin, "/status", &[("accept", accept)]).await;
        assert_eq!(document.json()["generation"], 1, "{accept}");
    }
    assert_eq!(get(gateway.admin, "/status").await.json()["ready"], true);
}
