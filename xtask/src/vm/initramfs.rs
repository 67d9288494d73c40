//! An initramfs, written in the format that the kernel unpacks.
//!
//! The format is cpio's `newc`, described in the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`. Writing it here, and not with
//! cpio, needs no root for the device node and no directory to copy files into.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Files of a machine, in memory until they are written.
#[derive(Default)]
pub(crate) struct Archive {
    entries: Vec<Entry>,
    directories: BTreeSet<String>,
}

struct Entry {
    path: String,
    mode: u32,
    /// Major and minor number of a device node.
    device: (u32, u32),
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Archive {
    /// Adds a program or other file of this machine, executable.
    pub(crate) fn file(&mut self, host: &Path, path: &str) {
        self.add(path, PROGRAM, Content::File(host.to_owned()));
    }

    /// Adds an executable script.
    pub(crate) fn script(&mut self, path: &str, text: &str) {
        self.add(path, PROGRAM, Content::Bytes(text.into()));
    }

    /// Adds a plain file.
    pub(crate) fn text(&mut self, path: &str, text: &str) {
        self.add(path, PLAIN, Content::Bytes(text.into()));
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.add(path, LINK, Content::Bytes(to.into()));
    }

    /// Adds the console, which init's own streams need before anything is mounted.
    pub(crate) fn console(&mut self) {
        self.add("/dev/console", CHARACTER_DEVICE, Content::Bytes(Vec::new()));
        self.entries.last_mut().expect("an entry was just added").device = (5, 1);
    }

    /// Adds an empty directory and its parents.
    pub(crate) fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for parent in ends.map(|end| &path[..end]).filter(|parent| !parent.is_empty()) {
            // The kernel does not create parents, and unpacks in order.
            if self.directories.insert(parent.to_owned()) {
                self.push(parent, DIRECTORY, Content::Bytes(Vec::new()));
            }
        }
    }

    fn add(&mut self, path: &str, mode: u32, content: Content) {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.push(path, mode, content);
    }

    fn push(&mut self, path: &str, mode: u32, content: Content) {
        self.entries.push(Entry { path: path.to_owned(), mode, device: (0, 0), content });
    }

    /// Writes the archive to a file, not compressed: QEMU copies faster than a guest inflates.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is over 4 GiB, or the archive cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file =
            fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut writer = io::BufWriter::new(file);
        let mut number = 0;
        for entry in &self.entries {
            number += 1;
            match &entry.content {
                Content::Bytes(bytes) => write_entry(&mut writer, number, entry, bytes),
                Content::File(host) => {
                    let bytes = fs::read(host)
                        .with_context(|| format!("cannot read {}", host.display()))?;
                    write_entry(&mut writer, number, entry, &bytes)
                }
            }
            .with_context(|| format!("cannot write {} to {}", entry.path, path.display()))?;
        }
        let end = Entry {
            path: "TRAILER!!!".to_owned(),
            mode: 0,
            device: (0, 0),
            content: Content::Bytes(Vec::new()),
        };
        write_entry(&mut writer, 0, &end, &[])
            .and_then(|()| writer.flush())
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn write_entry(out: &mut impl Write, number: u32, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
    let size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let name_size =
        u32::try_from(entry.path.len() + 1).map_err(|_| io::ErrorKind::InvalidFilename)?;
    let (major, minor) = entry.device;
    // Inode, mode, uid, gid, links, mtime, size, device of the file, device number, name, checksum.
    let fields = [number, entry.mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
    out.write_all(b"070701")?;
    for field in fields {
        write!(out, "{field:08x}")?;
    }
    out.write_all(entry.path.as_bytes())?;
    out.write_all(b"\0")?;
    pad(out, 110 + entry.path.len() + 1)?;
    out.write_all(bytes)?;
    pad(out, bytes.len())
}

/// Name and content both end at a multiple of four bytes.
fn pad(out: &mut impl Write, length: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..length.next_multiple_of(4) - length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_once() {
        let mut archive = Archive::default();
        archive.script("/a/b/one", "1");
        archive.text("/a/b/two", "2");
        let paths: Vec<_> = archive.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/one", "a/b/two"]);
    }

    #[test]
    fn an_entry_is_a_header_a_padded_name_and_padded_content() {
        let mut archive = Archive::default();
        archive.text("abc", "hello");
        let mut bytes = Vec::new();
        write_entry(&mut bytes, 7, &archive.entries[0], b"hello").unwrap();
        assert_eq!(bytes.len(), 110 + 6 + 8);
        assert!(bytes.starts_with(b"07070100000007000081a4"));
        assert_eq!(&bytes[110..116], b"abc\0\0\0");
        assert_eq!(&bytes[116..], b"hello\0\0\0");
    }
}
