//! The user that directories and files are given to, and filling files.

use std::{
    fs::{DirBuilder, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use super::{PrepareError, file_error};

/// The run's user, and the directory of its stage.
pub(super) struct Owner {
    pub(super) stage: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// Makes a directory and what is missing above it. What is above it in the stage can be passed
    /// through; only the directory itself is given away, if it is.
    pub(super) fn directory(
        &self,
        path: &Path,
        mode: u32,
        given: bool,
    ) -> Result<(), PrepareError> {
        let missing: Vec<&Path> =
            path.ancestors().skip(1).take_while(|above| !above.is_dir()).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(file_error("create", path))?;
        // The creation mask would have taken from the mode.
        for above in missing {
            set_mode(above, 0o755)?;
        }
        set_mode(path, mode)?;
        if given { self.give(path) } else { Ok(()) }
    }

    pub(super) fn file(&self, path: &Path, content: &[u8]) -> Result<(), PrepareError> {
        self.make(path, content, 0o644)?;
        self.give(path)
    }

    /// Makes a file that stays the harness's own.
    pub(super) fn make(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), PrepareError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(content))
            .map_err(file_error("create", path))?;
        set_mode(path, mode)
    }

    pub(super) fn give(&self, path: &Path) -> Result<(), PrepareError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(file_error("change the owner of", path))
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PrepareError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(file_error("set the mode of", path))
}

/// Bytes without meaning that no archiver makes smaller, the same for the same seed (splitmix64).
pub(super) fn filling(seed: u64, size: u64) -> Vec<u8> {
    let mut state = seed;
    let words = (0..size.div_ceil(8)).flat_map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    });
    words.take(usize::try_from(size).expect("a file of a scenario fits in memory")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_has_the_size_and_depends_on_the_seed_alone() {
        assert_eq!(filling(1, 13).len(), 13);
        assert_eq!(filling(1, 64), filling(1, 64));
        assert_ne!(filling(1, 64), filling(2, 64));
    }
}
