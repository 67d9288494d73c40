//! Tests with real cgroups, users, namespaces, Landlock and seccomp. They need root, and are listed
//! as ignored without it, so that nobody takes a skipped layer for a passed one.
//!
//! The program is its own spawner: executed with the argument `spawner` it serves, which is why the
//! harness is not the usual one. It speaks what `cargo test` and nextest ask of one.
#![allow(clippy::unwrap_used, reason = "tests panic")]

mod birth;
mod cgroups;
mod confinement;
mod life;
mod world;

use std::{env, panic, process::ExitCode};

/// A test's name and body.
type Test = (&'static str, fn());

/// Lists the functions of a module under its name.
macro_rules! tests {
    ($($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        &[$($((concat!(stringify!($module), "::", stringify!($test)), $module::$test)),*),*]
    };
}

const TESTS: &[Test] = tests! {
    birth: [
        a_child_is_born_in_its_leaf_and_sees_it_as_the_root,
        a_job_has_no_privilege_left,
        a_job_has_its_standard_descriptors_and_no_other,
        a_job_has_the_environment_and_directory_it_was_given,
        limits_are_lowered_in_a_job,
        a_task_runs_in_a_fork_with_a_payload_of_any_length,
        a_task_that_panics_ends_alone,
        namespaces_are_the_runs_own,
        ipc_objects_vanish_with_the_run,
        a_directory_stands_in_for_another_in_the_run_alone,
        a_run_is_never_root,
    ],
    confinement: [
        system_calls_of_the_plan_are_refused,
        ordinary_work_passes_the_filter,
        x32_calls_are_refused,
        calls_of_a_foreign_architecture_kill,
        a_file_outside_a_granted_root_cannot_be_unlinked,
        a_domain_that_is_tightened_holds_for_later_jobs_and_not_for_earlier_ones,
        a_process_outside_cannot_be_signalled_even_as_the_same_user,
        without_landlock_nothing_but_ownership_stops_a_job,
        the_spawner_is_out_of_reach,
        the_spawner_stands_with_oversight_and_its_jobs_do_not,
    ],
    life: [
        no_job_starts_before_go,
        a_missing_program_is_127_and_one_that_cannot_be_executed_126,
        a_leaf_that_is_none_is_told,
        jobs_run_side_by_side,
        any_signal_can_end_a_job_and_the_spawner_goes_on,
        a_daemon_stays_in_its_leaf_and_dies_with_it,
        orphans_are_reaped,
        when_the_client_dies_the_run_dies_and_can_be_reaped,
        when_the_spawner_dies_its_client_is_told,
    ],
    cgroups: [
        a_run_is_owned_once_and_removed_without_a_trace,
        a_frozen_cgroup_stands_still_and_can_be_killed,
        a_process_that_has_lost_its_first_thread_is_killed,
        a_leaf_has_the_id_that_the_kernel_knows_it_by,
        oversight_is_left_as_it_was_entered,
        limits_say_what_holds,
        users_are_the_runs_own,
    ],
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("spawner") => sandbox::spawner::serve(world::task),
        Some("client") => life::client_that_dies(&arguments[1]),
        _ => harness(&arguments),
    }
}

fn harness(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|it| it == flag);
    let ignored = sandbox::host::check_privilege().err();
    if has("--list") {
        // nextest asks twice: for all, and for those that are ignored.
        if !has("--ignored") || ignored.is_some() {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let mut filters: Vec<&String> = Vec::new();
    let mut skips_value = false;
    for argument in arguments {
        match argument.as_str() {
            _ if skips_value => skips_value = false,
            "--format" | "--color" | "--test-threads" | "--skip" | "-Z" => skips_value = true,
            flag if flag.starts_with('-') => {}
            _ => filters.push(argument),
        }
    }
    let is_exact = has("--exact");
    let is_chosen = |name: &str| {
        let matches =
            |filter: &&String| if is_exact { name == *filter } else { name.contains(*filter) };
        filters.is_empty() || filters.iter().any(matches)
    };
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| is_chosen(name)) {
        let result = match &ignored {
            Some(why) => format!("ignored, {why}"),
            None if panic::catch_unwind(test).is_ok() => "ok".to_owned(),
            None => {
                failed += 1;
                "FAILED".to_owned()
            }
        };
        println!("test {name} ... {result}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
