//! A resident observer: many runs, each with a record of its own.

use std::{fs, os::unix::net::UnixStream, path::Path};

use journal::{Verb, Verdict};
use nix::sys::signal::Signal;
use tests::{
    deadline::wait_for,
    expect::path_text,
    http, in_machine,
    resident::Resident,
    run::{Invocation, Running},
    skip, traces,
    whole::until_whole,
    world::{World, words},
};

use crate::endings::{FILES, UNLINKED, check_invalid, manifest, wait_under};

const ON_THE_HOST: &str = "what befalls the observer's process depends on no kernel: tried on the \
                           host alone";

/// A run under this observer whose agent waits for good.
fn waiting(world: &World, name: &str, resident: &Resident) -> Running {
    let observer = resident.socket().as_os_str();
    wait_under(world, Invocation::run_under(world, name, observer))
}

#[test]
fn runs_beside_each_other_and_one_after_another_have_records_of_their_own() {
    until_whole(|| {
        let world = World::new();
        let (data, go) = (world.file("data/file"), world.path("signs/go"));
        world.directory("signs");
        let run = |name: &str, label: &str| {
            let words = words([&"unlink", &data, &",", &"wait_file", &go]);
            let invocation = Invocation::run(&world, name).tier(0, "enforce");
            let invocation = invocation.label(label, &world.path("data"));
            let running =
                invocation.args(["--no-metrics", "--"]).args([world.actor()]).args(words).start();
            wait_for("the agent", || running.stdout().contains("unlink").then_some(()));
            running
        };
        // The same file means something else to each of them; the third has the slot of the first.
        let first = run("first", "data");
        let second = run("second", "config");
        fs::write(&go, "").expect("the world is writable");
        let ended = [first.finish(), second.finish()];
        fs::remove_file(&go).expect("root may");
        let third = run("third", "workspace");
        fs::write(&go, "").expect("the world is writable");
        let [first, second] = ended.map(|ended| ended.record());
        let third = third.finish().record();
        for (record, label, verdict) in [
            (&first, "data", Verdict::Deny),
            (&second, "config", Verdict::Deny),
            (&third, "workspace", Verdict::Allow),
        ] {
            record.assert_whole();
            traces::assert_none(&record.manifest);
            let unlinks: Vec<_> = record.of(Verb::Unlink).collect();
            let [unlink] = unlinks.as_slice() else { panic!("{unlinks:?}") };
            assert_eq!(unlink.object.path.as_deref(), Some(path_text(&data).as_str()));
            assert_eq!((unlink.object.label.as_str(), unlink.verdict), (label, verdict));
            let numbers: Vec<u64> = record.effects.iter().map(|effect| effect.seq).collect();
            let all = (0..record.evidence.emitted).collect::<Vec<_>>();
            let mut sorted = numbers;
            sorted.sort_unstable();
            assert_eq!(sorted, all, "each record counts from 0");
        }
        assert!(!data.exists());
    });
}

#[test]
fn a_killed_resident_observer_frees_nobody_and_its_runs_are_invalid() {
    if in_machine() {
        return skip("another test kills one in a machine");
    }
    let world = World::new();
    let mut resident = Resident::start("killed");
    let running = waiting(&world, "run", &resident);
    let journal = running.out().join("effects.jsonl");
    wait_for("the unlink to be journaled", || {
        fs::read_to_string(&journal).ok().filter(|text| text.contains(UNLINKED))
    });
    resident.signal(Signal::SIGKILL);
    resident.wait();
    let files: Vec<_> = FILES.into_iter().filter(|file| *file != "metrics.prom").collect();
    let record = check_invalid(&world, &running.finish(), "observer", &files);
    assert_eq!(record.of(Verb::Unlink).count(), 1);
    // Its socket is taken over.
    drop(Resident::start("killed"));
}

#[test]
fn a_run_whose_supervisor_was_killed_stays_watched_until_it_is_reaped() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let resident = Resident::start("abandoned");
    let running = waiting(&world, "run", &resident);
    let run = manifest(running.out()).run;
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    wait_for("the observer to notice", || {
        resident.said().contains(&format!("run {run}: its supervisor is gone")).then_some(())
    });
    Invocation::new(&world, "reap", "reap").finish().assert_code(0);
    wait_for("the end of the watch", || {
        resident.said().contains(&format!("run {run}: ended, evidence abandoned")).then_some(())
    });
    let text = http::get(&resident.address(), "/metrics");
    for line in ["belljar_runs 0", "belljar_runs_ended_total{evidence=\"abandoned\"} 1"] {
        assert!(text.lines().any(|found| found == line), "no {line}:\n{text}");
    }
}

#[test]
fn an_observer_that_is_told_to_end_waits_for_its_runs_and_takes_no_new_ones() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let mut resident = Resident::start("ending");
        let go = world.path("signs/go");
        world.directory("signs");
        let observer = resident.socket().as_os_str().to_owned();
        let running = Invocation::run_under(&world, "run", &observer)
            .args(["--"])
            .args([world.actor()])
            .args(words([&"unlink", &"missing", &",", &"wait_file", &go]))
            .start();
        wait_for("the agent", || running.stdout().contains("unlink").then_some(()));
        resident.signal(Signal::SIGTERM);
        wait_for("it to say so", || resident.said().contains("no new runs").then_some(()));
        assert!(UnixStream::connect(resident.socket()).is_err());
        let refused = Invocation::run_under(&world, "refused", &observer).args(["--", "true"]);
        refused.finish().assert_code(69).assert_stderr("belljar watch --socket");
        assert_eq!(resident.ended(), None);
        fs::write(&go, "").expect("the world is writable");
        let ended = running.finish();
        ended.assert_code(0);
        ended.record().assert_whole();
        assert!(resident.wait().success());
    });
}

#[test]
fn a_socket_or_an_address_that_is_taken_is_named() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let resident = Resident::start("taken");
    let socket = resident.socket().as_os_str().to_owned();
    let watch =
        |words: &[&std::ffi::OsStr]| Invocation::new(&world, "watch", "watch").args(words).finish();
    let ended = watch(&["--socket".as_ref(), &socket, "--no-metrics".as_ref()]);
    ended.assert_code(73).assert_stderr("listens on").assert_stderr("already");
    let other = Path::new(&socket).with_extension("other");
    let address = resident.address();
    let words = ["--socket".as_ref(), other.as_os_str(), "--metrics".as_ref(), address.as_ref()];
    watch(&words).assert_code(73).assert_stderr(&address);
    assert!(!other.exists());
    // Another set than it has loaded is a matter for another observer.
    let run = Invocation::run_under(&world, "run", &socket).args(["--probes", "lsm", "--", "true"]);
    run.finish().assert_code(69).assert_stderr("has loaded the");
}

/// How many programs on the kernel's functions and tracepoints a process holds attached.
fn attached(process: i32) -> usize {
    let infos = fs::read_dir(format!("/proc/{process}/fdinfo")).expect("it is ours, and alive");
    let infos = infos.flatten().filter_map(|info| fs::read_to_string(info.path()).ok());
    let kinds = infos.filter_map(|info| {
        info.lines().find_map(|line| line.strip_prefix("link_type:\t").map(str::to_owned))
    });
    kinds.filter(|kind| kind == "tracing" || kind == "raw_tracepoint").count()
}

#[test]
fn while_no_run_is_watched_no_probe_is_attached_to_system_calls() {
    if in_machine() {
        return skip("only the tracepoint set costs every system call: tried on the host alone");
    }
    let world = World::new();
    let resident = Resident::start("rests");
    let rests = || (attached(resident.pid()) == 0).then_some(());
    wait_for("the probes to rest", rests);
    for name in ["first", "second"] {
        let running = waiting(&world, name, &resident);
        assert!(attached(resident.pid()) > 0);
        running.signal(Signal::SIGTERM);
        let ended = running.finish();
        assert_eq!(ended.record().of(Verb::Unlink).count(), 1);
        wait_for("the probes to rest", rests);
    }
}
