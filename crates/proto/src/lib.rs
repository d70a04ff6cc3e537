//! Generated gRPC types of `openshell.v1` and `keystile.v1`, for servers and clients.
//!
//! Messages that carry a token have a `Debug` that leaves it out.

mod secret;

/// `openshell.v1`: the token calls that OpenShell's supervisors make.
pub mod openshell {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("openshell.v1");
    }
}

/// `keystile.v1`: what a Keystile gateway answers beyond those.
pub mod keystile {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("keystile.v1");
    }
}

/// All messages and services here as an encoded `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn the_calls_have_openshells_paths() {
        use openshell::v1::open_shell_server::SERVICE_NAME;
        assert_eq!(SERVICE_NAME, "openshell.v1.OpenShell");
        assert_eq!(keystile::v1::keystile_server::SERVICE_NAME, "keystile.v1.Keystile");
    }

    /// Bytes as OpenShell's field numbers prescribe them, written by hand.
    #[test]
    fn an_answer_has_openshells_bytes() {
        let answer = openshell::v1::IssueSandboxTokenResponse { token: "ab".into(), expires_at_ms: 5 };
        assert_eq!(answer.encode_to_vec(), [0x0a, 2, b'a', b'b', 0x10, 5]);

        let credential = openshell::v1::ExtensionServiceCredential {
            service_name: "s".into(),
            token: "t".into(),
            expires_at_ms: 1,
        };
        let answer = openshell::v1::RefreshSandboxTokenResponse {
            token: "ab".into(),
            expires_at_ms: 5,
            extension_credentials: vec![credential],
        };
        let credential_bytes = [0x0a, 1, b's', 0x12, 1, b't', 0x18, 1];
        let expected = [&[0x0a, 2, b'a', b'b', 0x10, 5, 0x1a, 8][..], &credential_bytes].concat();
        assert_eq!(answer.encode_to_vec(), expected);
    }

    #[test]
    fn the_descriptors_name_both_services() {
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("own bytes decode");
        let services = set.file.iter().flat_map(|file| &file.service);
        let methods: Vec<String> = services
            .flat_map(|service| {
                service.method.iter().map(move |method| format!("{}/{}", service.name(), method.name()))
            })
            .collect();
        let expected = ["OpenShell/IssueSandboxToken", "OpenShell/RefreshSandboxToken", "Keystile/WhoAmI"];
        assert_eq!(methods, expected);
    }
}
