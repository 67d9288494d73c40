//! What is written of a run, and how: lines, a spinner, the command's output, the report.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
    os::unix::fs::MetadataExt as _,
    time::Duration,
};

use agent_runner::StreamName;
use indicatif::{ProgressBar, ProgressStyle};
use journal::escape::visible;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How much is written at a time: as much as one page of a pipe, so that a slow reader is told from
/// one that does not read.
const PIECE_BYTES: usize = 4096;

/// One thing to write.
pub(crate) enum Item {
    /// What goes on now, shown by the spinner.
    Phase(String),
    /// A line that stays, on standard error.
    Line(String),
    /// What a wrapped command wrote.
    Output(StreamName, Vec<u8>),
    /// The report, on standard output.
    Report(String),
    /// The spinner goes.
    Done,
}

impl Item {
    /// How much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Phase(text) | Self::Line(text) | Self::Report(text) => text.len(),
            Self::Output(_, bytes) => bytes.len(),
            Self::Done => 0,
        }
    }
}

/// Both standard streams, and a spinner on standard error if there is one.
///
/// The streams are copies of the process's own: the locks of [`std::io::stdout`] and
/// [`std::io::stderr`] would be held as long as a write waits.
pub(crate) struct Surface {
    stdout: File,
    stderr: File,
    spinner: Option<ProgressBar>,
}

impl Surface {
    /// With a spinner, if standard error can show one. Where standard output is somebody else's, all
    /// goes to standard error.
    pub(crate) fn new(spins: bool, has_stdout: bool) -> io::Result<Self> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        Ok(Self {
            stdout: copy(if has_stdout { stdout.as_fd() } else { stderr.as_fd() })?,
            stderr: copy(io::stderr().as_fd())?,
            spinner: spins.then(spinner).filter(|spinner| !spinner.is_hidden()),
        })
    }

    /// Whether there is a spinner.
    pub(crate) fn spins(&self) -> bool {
        self.spinner.is_some()
    }

    /// Whether both streams lead to the same place, so that their order is seen.
    pub(crate) fn is_one(&self) -> io::Result<bool> {
        let (stdout, stderr) = (self.stdout.metadata()?, self.stderr.metadata()?);
        Ok((stdout.dev(), stdout.ino()) == (stderr.dev(), stderr.ino()))
    }

    /// Writes an item; tells of each piece that was taken.
    pub(crate) fn write(&mut self, item: Item, taken: &dyn Fn(usize)) -> io::Result<()> {
        match (item, &self.spinner) {
            (Item::Phase(text), Some(spinner)) => spinner.set_message(text),
            (Item::Line(text), Some(spinner)) => spinner.println(text),
            (Item::Phase(text) | Item::Line(text), None) => {
                write(&self.stderr, format!("{text}\n").as_bytes(), taken)?;
            }
            (Item::Output(stream, bytes), spinner) => {
                let to = match stream {
                    StreamName::Stdout => &self.stdout,
                    StreamName::Stderr => &self.stderr,
                };
                let write = || pass_on(to, &bytes, taken);
                match spinner {
                    Some(spinner) => spinner.suspend(write)?,
                    None => write()?,
                }
            }
            (Item::Report(text), _) => write(&self.stdout, text.as_bytes(), taken)?,
            (Item::Done, _) => {
                // What comes now is plain: a spinner that has finished ends no line.
                if let Some(spinner) = self.spinner.take() {
                    spinner.finish_and_clear();
                }
            }
        }
        Ok(())
    }
}

fn copy(stream: BorrowedFd<'_>) -> io::Result<File> {
    stream.try_clone_to_owned().map(File::from)
}

fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a valid template");
    let spinner = ProgressBar::new_spinner().with_style(style);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A wrapped command's output, as it is; what goes to a terminal could deceive who looks at it, so
/// there control characters are shown and not carried out.
fn pass_on(to: &File, bytes: &[u8], taken: &dyn Fn(usize)) -> io::Result<()> {
    if !to.is_terminal() {
        return write(to, bytes, taken);
    }
    let mut text = String::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, "\n"));
        text.push_str(&visible(&String::from_utf8_lossy(line)));
        text.push_str(end);
    }
    write(to, text.as_bytes(), taken)
}

fn write(mut to: &File, bytes: &[u8], taken: &dyn Fn(usize)) -> io::Result<()> {
    for piece in bytes.chunks(PIECE_BYTES) {
        let mut left = piece;
        while !left.is_empty() {
            match to.write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares the stream may have set it so.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
                }
                Err(error) => return Err(error),
            }
        }
        taken(piece.len());
    }
    Ok(())
}
