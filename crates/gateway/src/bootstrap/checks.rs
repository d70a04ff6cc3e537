//! What must hold of a token's user, of its pod and of the pod's owner. Pure.

use std::collections::BTreeMap;

use keystile_kubernetes::{Meta, ObjectName, Owner};
use serde::Deserialize;
use tonic::Code;

use super::Denied;
use crate::config::Bootstrap;

/// The pod's annotation with the sandbox's id.
const ANNOTATION: &str = "openshell.io/sandbox-id";
/// The Sandbox object's label with the same: of another domain.
const LABEL: &str = "openshell.ai/sandbox-id";
/// The kind and API group of what controls a sandbox's pod, and the versions of it that are known.
const KIND: &str = "Sandbox";
pub(super) const GROUP: &str = "agents.x-k8s.io";
pub(super) const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// What the API server says of a token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Review {
    pub(super) authenticated: bool,
    audiences: Option<Vec<String>>,
    user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: Option<String>,
    // An empty list may be written as null.
    extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// The pod that a token is bound to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) pod: ObjectName,
    pub(super) uid: String,
}

/// Whose a token is that the API server knows.
pub(super) fn binding(review: &Review, rules: &Bootstrap) -> Result<Binding, Denied> {
    if !review.audiences.as_ref().is_some_and(|audiences| audiences.contains(&rules.audience)) {
        let denied = Denied::permission("SA token audience not accepted");
        return Err(Denied { code: Code::Unauthenticated, ..denied });
    }
    let user = review.user.as_ref().ok_or_else(|| Denied::permission("SA token has no user"))?;
    let username = user.username.as_deref().filter(|name| !name.is_empty());
    let username = username.ok_or_else(|| Denied::permission("SA token has no username"))?;
    let named = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, account) = named
        .filter(|(namespace, account)| !namespace.is_empty() && !account.is_empty() && !account.contains(':'))
        .ok_or_else(|| Denied::permission("SA token is not of a ServiceAccount"))?;
    if !rules.service_accounts.iter().any(|accepted| accepted == account) {
        return Err(Denied::permission("SA token's ServiceAccount is not accepted"));
    }
    if !rules.namespaces.iter().any(|pattern| matches(pattern, namespace)) {
        return Err(Denied::permission("SA token's namespace is not accepted"));
    }
    let none = BTreeMap::new();
    let extra = user.extra.as_ref().unwrap_or(&none);
    let (name, uid) = (only(extra.get(POD_NAME))?, only(extra.get(POD_UID))?);
    let invalid = |_| Denied::permission("SA token has invalid pod binding");
    Ok(Binding { pod: ObjectName::new(namespace, name).map_err(invalid)?, uid: uid.to_owned() })
}

/// Whether `namespace` is `pattern`, or begins like it where it ends in `*`.
fn matches(pattern: &str, namespace: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == namespace, |prefix| namespace.starts_with(prefix))
}

fn only(values: Option<&Option<Vec<String>>>) -> Result<&str, Denied> {
    match values.and_then(Option::as_deref) {
        None | Some([]) => Err(Denied::permission("SA token is not pod-bound")),
        Some([value]) if !value.is_empty() => Ok(value),
        Some(_) => Err(Denied::permission("SA token has invalid pod binding")),
    }
}

/// The sandbox that the pod says it is.
pub(super) fn identity<'a>(pod: &'a Meta, binding: &Binding) -> Result<&'a str, Denied> {
    if pod.uid != binding.uid {
        return Err(Denied::permission("SA token pod UID mismatch"));
    }
    let sandbox = pod.annotations.get(ANNOTATION).map(String::as_str).filter(|id| !id.is_empty());
    sandbox.ok_or_else(|| Denied::permission("pod is not bound to a sandbox identity"))
}

/// The Sandbox object that controls the pod.
pub(super) fn owner(pod: &Meta) -> Result<&Owner, Denied> {
    let mut owners =
        pod.owner_references.iter().filter(|owner| owner.kind == KIND && version(owner).is_some());
    let Some(owner) = owners.next() else {
        return Err(Denied::permission("pod is not controlled by an OpenShell Sandbox"));
    };
    if owners.next().is_some() {
        return Err(Denied::permission("pod has multiple OpenShell Sandbox owners"));
    }
    if owner.controller != Some(true) {
        return Err(Denied::permission("pod Sandbox ownerReference is not controlling"));
    }
    if owner.name.is_empty() || owner.uid.is_empty() {
        return Err(Denied::permission("pod Sandbox ownerReference is incomplete"));
    }
    Ok(owner)
}

/// The version of a Sandbox's API, where it is one that is known.
pub(super) fn version(owner: &Owner) -> Option<&'static str> {
    let (group, version) = owner.api_version.split_once('/')?;
    VERSIONS.into_iter().find(|known| group == GROUP && *known == version)
}

/// Whether the Sandbox object that was found is the pod's owner and of that sandbox.
pub(super) fn owned(owner: &Owner, found: &Meta, sandbox: &str) -> Result<(), Denied> {
    if found.uid != owner.uid {
        return Err(Denied::permission("sandbox owner UID mismatch"));
    }
    if found.labels.get(LABEL).is_none_or(|label| label != sandbox) {
        return Err(Denied::permission("sandbox owner ID mismatch"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_one_of_those_or_begins_like_it() {
        assert!(matches("openshell", "openshell"));
        assert!(!matches("openshell", "openshell-a"));
        assert!(matches("openshell-gw-*", "openshell-gw-a"));
        assert!(!matches("openshell-gw-*", "openshell-other"));
    }
}
