//! The `keystile` program: see [`keystile_cli`].

use std::process::ExitCode;

use keystile_cli::{World, run};

fn main() -> ExitCode {
    // A second installation is refused, and harmless: the same provider is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ExitCode::from(run(std::env::args_os(), World::of_this_process()).code())
}
