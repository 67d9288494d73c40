//! Programs of Debian's packages that the tests start.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::world::built;

/// Where `x setup` unpacks packages that it does not install.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/programs/usr")
}

/// A program: an installed one, or an unpacked one.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([unpacked().join("bin")]);
    places.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// A command that ends with this process, however that ends, or none where there is no such program.
///
/// Debian's Alertmanager reads a template from `/usr/share`. An unpacked program sees what was unpacked
/// with it there, in a mount namespace of its own.
#[must_use]
pub fn command(name: &str) -> Option<Command> {
    let program = find(name)?;
    let mut command = Command::new(built("actor"));
    command.arg("with_parent");
    let share = program.parent().and_then(Path::parent).map(|place| place.join("share"));
    if let Some(share) = share.filter(|share| !share.starts_with("/usr") && share.is_dir()) {
        command.args(["/usr/bin/unshare", "--mount", "sh", "-c"]);
        command.arg(r#"mount --bind "$0" /usr/share && exec "$@""#).arg(share);
    }
    command.arg(program);
    Some(command)
}
