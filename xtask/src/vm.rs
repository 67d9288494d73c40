//! `x vm`: Debian's kernels in QEMU, with an initramfs of static programs.
//!
//! No KVM and no root is needed: QEMU interprets, and the initramfs is written here. A machine boots,
//! runs its job and powers off within seconds.

mod initramfs;
mod job;
mod kernels;
mod machine;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};

use self::{initramfs::Archive, machine::Machine};
pub(crate) use self::{
    job::Job,
    kernels::Kernel,
    machine::{Ended, Time},
};
use crate::{
    layers::{self, Row},
    statics,
};

/// Arguments of `x vm`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Kernel to boot; may be repeated (default: the whole matrix)
    #[arg(long, value_enum)]
    kernel: Vec<Kernel>,
    /// Run this shell command in place of the system layers; builds nothing
    #[arg(long, value_name = "CMD")]
    shell_command: Option<String>,
    /// Put a file of the host into the machine, readable and executable
    #[arg(long, value_name = "HOST=VM", value_parser = parse_file)]
    file: Vec<(PathBuf, String)>,
    /// Run only the system tests whose name contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "shell_command")]
    filter: Option<String>,
    /// Seconds after which a machine is stopped; its console is kept
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
}

fn parse_file(text: &str) -> Result<(PathBuf, String), String> {
    match text.split_once('=') {
        Some((host, vm)) if !host.is_empty() && vm.starts_with('/') => {
            Ok((PathBuf::from(host), vm.to_owned()))
        }
        _ => Err("expected HOST_PATH=/PATH/IN/THE/VM".to_owned()),
    }
}

/// Boots each kernel and shows what came of it.
///
/// # Errors
///
/// When a kernel, a static program or QEMU is not to be had, or a test fails to run at all.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let kernels = match arguments.kernel.as_slice() {
        [] => Kernel::ALL.to_vec(),
        some => some.to_vec(),
    };
    let mut job = match &arguments.shell_command {
        Some(command) => Job::shell(command),
        None => Job::layers(&statics::build()?, arguments.filter.as_deref()),
    };
    job.files.extend(arguments.file.iter().cloned());
    let deadline = Duration::from_secs(arguments.deadline);
    let mut code = ExitCode::SUCCESS;
    let mut rows = Vec::new();
    for kernel in kernels {
        let ended = boot(kernel, &job, deadline)?;
        if arguments.shell_command.is_some() {
            print!("{}", ended.output("shell"));
            if let Some(failure) = ended.failure("shell") {
                eprintln!("x: {kernel}: {failure}; console in {}", ended.log().display());
                code = ExitCode::FAILURE;
            }
        } else {
            rows.extend(layer_rows(kernel, &job, &ended));
        }
    }
    if arguments.shell_command.is_none() && !layers::summarize(&rows) {
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

/// Boots the kernel with the job's files and waits until it has powered off.
///
/// # Errors
///
/// When the kernel or QEMU is not to be had. What goes wrong inside is [`Ended`]'s to tell.
pub(crate) fn boot(kernel: Kernel, job: &Job, deadline: Duration) -> Result<Ended> {
    let image = kernel.image()?;
    let mut archive = Archive::default();
    job.pack(&mut archive)?;
    let machine = Machine::new(kernel, archive, job.time)
        .with_context(|| format!("cannot prepare the machine for kernel {kernel}"))?;
    eprintln!("x: booting {}", image.package);
    machine.run(&image.path, deadline)
}

/// One row for each layer that the job holds; what did not end well prints its console's tail.
pub(crate) fn layer_rows(kernel: Kernel, job: &Job, ended: &Ended) -> Vec<Row> {
    let place = kernel.to_string();
    job.layers
        .iter()
        .map(|layer| {
            let row = match ended.failure_to_finish(layer) {
                None => layers::read(layer, &place, &ended.output(layer), ended.code(layer)),
                Some(failure) => Row::failed(layer, &place, &ended.output(layer), &failure),
            };
            if row.failed > 0 {
                eprintln!("{}", ended.tail(layer));
                eprintln!("x: {layer} on {place} failed; console in {}", ended.log().display());
            }
            row
        })
        .collect()
}
