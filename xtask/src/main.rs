//! Belljar's build tool: the only one beside cargo. `./x` starts it.

#![forbid(unsafe_code)]

mod bench;
mod build;
mod check;
mod debian;
mod demo;
mod failure;
mod generate;
mod judge;
mod layers;
mod programs;
mod project;
mod setup;
mod statics;
mod supervised;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, demonstrates and tests Belljar.
#[derive(Parser)]
#[command(name = "x", bin_name = "./x")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: core's source, bpf-linker, packages
    Setup(setup::Arguments),
    /// Build the binary `belljar`, probes included
    Build(build::Arguments),
    /// Run the scenario `throughput` with a scripted agent under real probes
    Demo(demo::Arguments),
    /// Run all tests: checks, unit, golden, system layers on host and kernel matrix
    Test(test::Arguments),
    /// Boot the kernel matrix in QEMU and run the system layers, or a command, in it
    Vm(vm::Arguments),
    /// Measure what an effect costs, beside the floor, on this kernel or in a machine
    Bench(bench::Arguments),
    /// Run every organism in its scenario and write how right the judge is to docs/confusion.md
    Judge(judge::Arguments),
    /// Check dependency direction, file sizes, docs and unsafe code
    Check(check::Arguments),
    /// Write the generated reference pages, or check that they are current
    Generate(generate::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Build(arguments) => build::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Vm(arguments) => vm::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Judge(arguments) => judge::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Generate(arguments) => generate::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("x: {error:#}");
            ExitCode::FAILURE
        }
    }
}
