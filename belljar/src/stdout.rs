//! Data goes to standard output; a reader that has read enough is no error.

use std::{
    fmt,
    io::{self, Write as _},
};

use anyhow::Context as _;

use crate::exit::{Exit, Failure, OrExit as _};

/// Writes to standard output and flushes it.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output").or_exit(Exit::Io)
        }
        _ => Ok(()),
    }
}

/// As `print!`, but errors are returned and a closed pipe is none.
macro_rules! out {
    ($($argument:tt)*) => { $crate::stdout::print(format_args!($($argument)*))? };
}

/// As [`out!`], with a newline behind it.
macro_rules! outln {
    ($($argument:tt)*) => {
        $crate::stdout::print(format_args!("{}\n", format_args!($($argument)*)))?
    };
}

pub(crate) use {out, outln};
