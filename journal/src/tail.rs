//! Following a journal that grows, for views of a run that goes on.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    marker::PhantomData,
    os::unix::fs::MetadataExt as _,
};

use serde::de::DeserializeOwned;

use crate::files::{FileError, RunDir, os};

/// A reader of lines that come as they are written. It holds no line longer than it takes to read it.
#[derive(Debug)]
pub struct Tail<T> {
    directory: RunDir,
    name: &'static str,
    file: Option<File>,
    /// What was read of a line that is not whole yet.
    rest: Vec<u8>,
    value: PhantomData<fn() -> T>,
}

/// What has come since the last look.
#[derive(Debug)]
pub struct Batch<T> {
    /// The file was put in the place of another one: what was read before counts no more.
    pub restarted: bool,
    /// The lines, in order of arrival.
    pub values: Vec<T>,
    /// Lines that do not read as what they should hold.
    pub malformed: u64,
    /// Whether more is there already than was to be read at once.
    pub is_behind: bool,
}

impl<T: DeserializeOwned> Tail<T> {
    /// Follows a file of the directory from its beginning; it need not be there yet.
    #[must_use]
    pub fn new(directory: RunDir, name: &'static str) -> Self {
        Self { directory, name, file: None, rest: Vec::new(), value: PhantomData }
    }

    /// Reads what has come, about `most_bytes` at most. A line that is not whole waits for its end.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn read(&mut self, most_bytes: u64) -> Result<Batch<T>, FileError> {
        let mut batch =
            Batch { restarted: false, values: Vec::new(), malformed: 0, is_behind: false };
        let path = self.directory.file(self.name);
        if let Some(file) = &self.file {
            let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let named = fs::symlink_metadata(&path).map(identity);
            let open = file.metadata().map(identity).map_err(os("read", &path))?;
            // Where it was only taken away, what is known of it stays known.
            if named.is_ok_and(|named| named != open) {
                self.file = None;
                self.rest.clear();
                batch.restarted = true;
            }
        }
        if self.file.is_none() {
            match self.directory.reader(self.name) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.is_missing() => return Ok(batch),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(batch) };
        let read = read_to(file, most_bytes, &mut self.rest).map_err(os("read", &path))?;
        batch.is_behind = read == most_bytes;
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in self.rest[..whole].split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(value) => batch.values.push(value),
                Err(_) => batch.malformed += 1,
            }
        }
        self.rest.drain(..whole);
        Ok(batch)
    }
}

fn read_to(file: &mut File, most_bytes: u64, to: &mut Vec<u8>) -> io::Result<u64> {
    file.take(most_bytes).read_to_end(to).map(|read| read as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const NAME: &str = "lines.jsonl";

    fn directory() -> (tempfile::TempDir, RunDir) {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDir::open(directory.path()).unwrap();
        (directory, run)
    }

    #[test]
    fn lines_come_once_and_only_when_they_are_whole() {
        let (_kept, directory) = directory();
        let mut tail = Tail::<u32>::new(directory.clone(), NAME);
        assert!(tail.read(100).unwrap().values.is_empty(), "there is no file yet");
        let mut file = File::create(directory.file(NAME)).unwrap();
        file.write_all(b"1\n2\n3").unwrap();
        assert_eq!(tail.read(100).unwrap().values, [1, 2]);
        assert!(tail.read(100).unwrap().values.is_empty());
        file.write_all(b"4\nno number\n5\n").unwrap();
        let batch = tail.read(100).unwrap();
        assert_eq!((batch.values, batch.malformed, batch.restarted), (vec![34, 5], 1, false));
    }

    #[test]
    fn a_long_file_is_read_piece_by_piece() {
        let (_kept, directory) = directory();
        fs::write(directory.file(NAME), "11\n22\n33\n").unwrap();
        let mut tail = Tail::<u32>::new(directory, NAME);
        let (mut values, mut looks) = (Vec::new(), 0);
        loop {
            let batch = tail.read(4).unwrap();
            values.extend(batch.values);
            looks += 1;
            if !batch.is_behind {
                break;
            }
        }
        assert_eq!((values, looks), (vec![11, 22, 33], 3));
    }

    #[test]
    fn a_file_in_the_place_of_another_is_read_from_its_beginning() {
        let (_kept, directory) = directory();
        fs::write(directory.file(NAME), "1\n2\n").unwrap();
        let mut tail = Tail::<u32>::new(directory.clone(), NAME);
        assert_eq!(tail.read(100).unwrap().values, [1, 2]);
        directory.replace(NAME, b"1\n").unwrap();
        let batch = tail.read(100).unwrap();
        assert_eq!((batch.values, batch.restarted), (vec![1], true));
    }
}
