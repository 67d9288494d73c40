//! Builds the probes for the BPF target; `lib.rs` embeds the object.

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=../ebpf-common");
    // The BPF target needs `-Z build-std`. The variable reaches only the nested build.
    // SAFETY: a build script has one thread here.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    let bench = std::env::var_os("CARGO_FEATURE_BENCH").is_some();
    let features: &[&str] = if bench { &["floor"] } else { &[] };
    aya_build::build_ebpf(
        [Package { name: "probes", root_dir: "../probes", features, ..Default::default() }],
        Toolchain::Custom("stable"),
    )
    .context("cannot build the probes: run `./x setup` for the compiler's source and bpf-linker")
}
