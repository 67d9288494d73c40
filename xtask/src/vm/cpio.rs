//! Writes the archive format that the kernel unpacks as its first root (cpio, "newc").
//!
//! Written here and not by `cpio`, so that device nodes and root's ownership need no privilege.
//! The format: linux/Documentation/driver-api/early-userspace/buffer-format.rst.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive being written.
pub(crate) struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// A directory; its parent must have been written before.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(path, DIRECTORY | mode, (0, 0), &[])
    }

    /// A regular file with its content.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path, FILE | mode, (0, 0), content)
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes())
    }

    /// A character device, by major and minor number.
    pub(crate) fn device(&mut self, path: &str, mode: u32, number: (u32, u32)) -> io::Result<()> {
        self.entry(path, CHARACTER_DEVICE | mode, number, &[])
    }

    /// Writes the end mark and returns the stream.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        self.entries += 1;
        let path = path.trim_start_matches('/');
        let size = u32::try_from(content.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("{path} is 4 GiB or larger"))
        })?;
        let name_bytes = path.len() as u32 + 1;
        // magic, ino, mode, uid, gid, nlink, mtime, size, device of the file, device number, name
        let fields =
            [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_bytes, 0];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(header.len() + path.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Header with name, and content, each end at a multiple of 4 bytes.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_archive_ends_at_a_multiple_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("/bin", 0o755).unwrap();
        archive.file("/bin/a", 0o755, b"12345").unwrap();
        archive.device("/console", 0o600, (5, 1)).unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let magics = bytes.windows(6).enumerate().filter(|(_, window)| window == b"070701");
        let starts = magics.map(|(start, _)| start).collect::<Vec<_>>();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|start| start % 4 == 0));
        assert!(bytes.windows(8).any(|window| window == b"12345\0\0\0"));
    }
}
