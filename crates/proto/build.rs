//! Compiles the `.proto` files in Rust: no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const INCLUDE: &str = "../../proto";
const FILES: [&str; 2] = ["openshell/v1/openshell.proto", "keystile/v1/keystile.proto"];

/// Messages with a token inside: `src/secret.rs` writes their `Debug`, which leaves it out.
const SECRET_MESSAGES: [&str; 3] = [
    ".openshell.v1.IssueSandboxTokenResponse",
    ".openshell.v1.RefreshSandboxTokenResponse",
    ".openshell.v1.ExtensionServiceCredential",
];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write by OUT_DIR alone")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={INCLUDE}");
    let descriptors = protox::compile(FILES, [INCLUDE])?;
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().skip_debug(SECRET_MESSAGES).compile_fds(descriptors)?;
    Ok(())
}
