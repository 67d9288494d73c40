//! One run, from the command line to the verdict.
//!
//! [`plan`] reads and checks everything that was asked for, before anything is started. [`host`]
//! makes what the run needs of this host; a run directory is [`fresh`] until the run starts, and its
//! [`manifest`] says how it does. [`supervise`] carries the run, [`settle`] ends it: what would outlive
//! it is recorded, then nothing of it is left, and a resident observer hears the [`judgement`].
//! [`tell`] prints how it ended. [`bring_up`] starts components and sandbox, [`equipment`] is what
//! calls need of them; [`outside`] lets others make the calls; a [`served`] model is what a wrapped
//! command is given; [`terminal`] shows the run meanwhile, on a [`surface`] behind an [`outlet`].

mod bring_up;
mod equipment;
mod fresh;
mod host;
mod interrupt;
mod judgement;
mod log;
mod manifest;
mod model;
mod outlet;
pub(crate) mod outside;
mod persistence;
mod pins;
mod plan;
mod redact;
mod require;
mod served;
mod settle;
mod supervise;
mod surface;
mod surroundings;
mod tell;
mod terminal;
mod watch;

pub(crate) use host::{PATIENCE, boot_time_unix_ns, new_name, reap_stale};
pub(crate) use interrupt::Interrupt;
pub(crate) use pins::{PINS, bpf_file_system, pins_of, remove_pins};
pub(crate) use plan::{
    check as check_plan, host_capabilities, parsed as parsed_policy, policy as read_policy,
    scenario as read_scenario, tier as read_tier,
};
pub(crate) use settle::INTERRUPTED;
pub(crate) use settle::Settled;
pub(crate) use supervise::run;
pub(crate) use terminal::Terminal;
pub(crate) use watch::Observer;
