//! The program that `fork+exec` executes: the least that a kernel takes, so that what the probes add
//! is not hidden behind a runtime's start.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// `mov eax, 60 (exit); xor edi, edi; syscall`.
const CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];

/// An ELF file of one loadable segment (elf(5)) that exits with 0 at once.
fn bytes() -> Vec<u8> {
    let size = HEADERS + CODE.len() as u64;
    let mut file = Vec::new();
    // 64 bit, little endian, version 1; then an executable for x86_64.
    file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, BASE + HEADERS);
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    // Sizes of this header and of a program header, of which there is one; no section headers.
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    // One segment, readable and executable, page-aligned.
    word(&mut file, 1);
    word(&mut file, 5);
    for value in [0, BASE, BASE, size, size, 0x1000] {
        long(&mut file, value);
    }
    file.extend(CODE);
    file
}

/// Writes the program into a directory and returns its path.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn write(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join("exits");
    fs::write(&path, bytes())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
