//! The machine's own package sources: which mirror of Debian's archive, checked with which key.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

/// A mirror of Debian's archive and what apt needs to trust it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    uris: String,
    /// Value of `Signed-By`, which may be a key of several lines; none: apt's own key rings.
    signed_by: Option<String>,
}

impl Mirror {
    /// A deb822 sources file for one suite on this mirror.
    pub(crate) fn for_suite(&self, suite: &str) -> String {
        let mut text =
            format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", self.uris);
        if let Some(key) = &self.signed_by {
            text.push_str(&format!("Signed-By: {key}\n"));
        }
        text
    }
}

/// The machine's Debian release, such as `bookworm`.
///
/// # Errors
///
/// When the machine does not say.
pub(super) fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no release (VERSION_CODENAME)")
}

/// The mirror that this machine's own Debian release comes from.
///
/// # Errors
///
/// When the machine is not a Debian, or none of its sources has its release.
pub(crate) fn of_this_machine() -> Result<Mirror> {
    let codename = &codename()?;
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(directory) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(directory.flatten().map(|entry| entry.path()));
    }
    files
        .iter()
        .filter_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            match file.extension()?.to_str()? {
                "list" => from_lines(&text, codename),
                "sources" => from_stanzas(&text, codename),
                _ => None,
            }
        })
        .next()
        .with_context(|| {
            format!(
                "no package source under /etc/apt has Debian's suite {codename}: compiler source \
                 and kernels come from the mirror that is named there"
            )
        })
}

/// Reads the one-line format: `deb [signed-by=KEY] URI SUITE COMPONENT…`.
fn from_lines(text: &str, codename: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        if suite != codename || !words.any(|component| component == "main") || is_disc(uri) {
            return None;
        }
        let signed_by = options.split_whitespace().find_map(|word| word.strip_prefix("signed-by="));
        Some(Mirror { uris: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
    })
}

/// Reads the deb822 format: stanzas of `Field: value`, continued by indented lines.
fn from_stanzas(text: &str, codename: &str) -> Option<Mirror> {
    let plain = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    plain.split("\n\n").find_map(|stanza| {
        let field = |name: &str| field(stanza, name);
        let has = |name: &str, word: &str| {
            field(name).is_some_and(|value| value.split_whitespace().any(|other| other == word))
        };
        let enabled = !has("Enabled", "no");
        let uris = field("URIs")?;
        if !enabled || !has("Types", "deb") || !has("Suites", codename) || is_disc(&uris) {
            return None;
        }
        Some(Mirror { uris, signed_by: field("Signed-By") })
    })
}

/// A field's value with its continuation lines as they stand.
fn field(stanza: &str, name: &str) -> Option<String> {
    let mut lines = stanza.lines();
    let first = lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })?;
    let continued = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(std::iter::once(first.as_str()).chain(continued).collect::<Vec<_>>().join("\n"))
}

/// Whether a source is an installation disc, which has no other suites.
fn is_disc(uri: &str) -> bool {
    uri.starts_with("cdrom:") || uri.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_one_line_sources() {
        let text = "# deb http://old.example/debian bookworm main\n\
                    deb-src http://a.example/debian bookworm main\n\
                    deb http://s.example/security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm main\n";
        let mirror = from_lines(text, "bookworm").expect("there is one");
        assert_eq!(mirror.uris, "http://a.example/debian");
        assert_eq!(mirror.signed_by.as_deref(), Some("/k.gpg"));
    }

    #[test]
    fn the_mirror_is_found_in_stanzas_with_a_key_of_several_lines() {
        let text = "Types: deb\n# a comment\nURIs: http://a.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n\n\
                    Types: deb\nURIs: http://b.example\nSuites: nodistro\n";
        let mirror = from_stanzas(text, "bookworm").expect("there is one");
        assert_eq!(mirror.uris, "http://a.example/debian");
        assert_eq!(mirror.signed_by.as_deref(), Some("\n -----BEGIN\n .\n abc"));
        assert_eq!(
            mirror.for_suite("trixie-backports"),
            "Types: deb\nURIs: http://a.example/debian\nSuites: trixie-backports\n\
             Components: main\nSigned-By: \n -----BEGIN\n .\n abc\n"
        );
    }

    #[test]
    fn a_machine_without_its_own_release_has_no_mirror() {
        assert_eq!(
            from_stanzas("Types: deb\nURIs: http://b.example\nSuites: x\n", "bookworm"),
            None
        );
        assert_eq!(from_lines("deb cdrom:[disc]/ bookworm main\n", "bookworm"), None);
    }
}
