//! Programs of Debian's packages that are unpacked below `target/` and not installed: installing
//! them would start services on the machine.

use anyhow::{Context as _, Result};

use crate::{debian::Suite, programs};

/// Packages, and the programs of theirs that the tests start.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("prometheus", &["prometheus", "promtool"]),
    ("prometheus-alertmanager", &["prometheus-alertmanager", "amtool"]),
];

/// Unpacks what neither `PATH` nor an earlier call has.
///
/// # Errors
///
/// When the machine's own release cannot be reached or does not have a package.
pub(super) fn unpack() -> Result<()> {
    let is_missing = |program: &&str| {
        programs::find(program).is_none() && !programs::unpacked().join(program).is_file()
    };
    let mut missing = PACKAGES.iter().filter(|(_, programs)| programs.iter().any(is_missing));
    let Some(first) = missing.next() else { return Ok(()) };
    let suite = Suite::of_this_machine()
        .context("cannot unpack Prometheus and Alertmanager, which the tests start")?;
    for (package, _) in std::iter::once(first).chain(missing) {
        suite
            .unpack(package, &programs::unpacked_root()?)
            .with_context(|| format!("cannot unpack {package}, which the tests start"))?;
    }
    Ok(())
}
