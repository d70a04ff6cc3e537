//! The store on a real API server.
//!
//! These tests run where `KEYSTILE_TEST_KUBECONFIG` names a kubeconfig of a cluster that may be written
//! to, such as `e2e/control-plane` starts; without it each says that it was skipped. With it, none is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]

mod changes;
mod common;
mod faults;
mod outages;
mod proxy;
mod reports;
mod rights;

use common::KubePlace;

keystile_store::conformance_tests!(match KubePlace::new() {
    Some(place) => place,
    None => return,
});
