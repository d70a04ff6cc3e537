//! What the two listeners answer, as a list: the tests of who may call what, and the description of the HTTP surface,
//! are held against it, and it against the routers.

/// A path of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is the admin listener's.
    pub admin: bool,
    /// The path.
    pub path: &'static str,
    /// Whether any method is answered alike; otherwise GET and HEAD are.
    pub any_method: bool,
}

const fn main(path: &'static str) -> Endpoint {
    Endpoint { admin: false, path, any_method: false }
}

const fn admin(path: &'static str) -> Endpoint {
    Endpoint { admin: true, path, any_method: false }
}

/// Everything over HTTP.
pub const HTTP: [Endpoint; 10] = [
    main("/.well-known/jwks.json"),
    main("/.well-known/openid-configuration"),
    Endpoint { any_method: true, ..main("/verify") },
    main("/healthz"),
    main("/readyz"),
    admin("/"),
    admin("/status"),
    admin("/metrics"),
    admin("/healthz"),
    admin("/readyz"),
];

/// The gRPC services of the main listener. Their methods are told by reflection.
pub const SERVICES: [&str; 5] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "keystile.v1.Keystile",
    "openshell.v1.OpenShell",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::Router;
    use keystile_keyring::{GatewayId, Policy, UnixTime};
    use keystile_operator::{First, Operator, Silent};
    use keystile_store::MemoryStore;
    use keystile_system::SystemEntropy;
    use keystile_testkit::ManualClock;

    use super::*;
    use crate::http::VERIFY;
    use crate::{Config, Gateway};

    /// The paths that a router knows, of which it tells in its `Debug` only.
    fn paths(router: &Router) -> BTreeSet<String> {
        let text = format!("{router:?}");
        let first = text.split("fallback_router").next().expect("a first part");
        let tables = first.split("paths: {").skip(1).filter_map(|rest| rest.split_once("} }"));
        let quoted = tables.flat_map(|(table, _)| table.split('"').skip(1).step_by(2));
        quoted.filter(|path| !path.contains("__private")).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn every_route_is_in_the_list_and_no_other() {
        let clock = Arc::new(ManualClock::at(UnixTime(1_800_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let operator = Operator::new(store.clone(), clock.clone(), Arc::new(SystemEntropy));
        let gateway_id = GatewayId::new("openshell").expect("a name");
        let first = First { gateway_id, policy: Policy::default(), actor: "test".to_owned(), adopt: None };
        operator.begin(&first, &mut Silent).await.expect("an empty place takes a keyring");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { listen: any, admin_listen: any, ..Config::default() };
        let gateway =
            Gateway::bind(config, store, clock, Arc::new(SystemEntropy), None).await.expect("it starts");
        let of = |admin: bool| HTTP.iter().filter(move |listed| listed.admin == admin);
        let mut expected: BTreeSet<String> = of(false).map(|listed| listed.path.to_owned()).collect();
        expected.extend(SERVICES.map(|service| format!("/{service}/{{*rest}}")));
        // Answered before the router is asked.
        assert!(expected.remove(VERIFY));
        assert_eq!(paths(&gateway.main.answers.router), expected);
        let expected: BTreeSet<String> = of(true).map(|listed| listed.path.to_owned()).collect();
        assert_eq!(paths(&gateway.admin.answers.router), expected);
    }
}
