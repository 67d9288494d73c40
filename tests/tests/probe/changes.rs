//! `create`, `open_write`, `truncate`, `link`, `symlink`, `chmod`, `chown`, `times`, `setxattr` and the control
//! files of cgroups: every road.

use std::path::Path;

use journal::Verb;
use tests::{
    cgroup::Cgroup,
    expect::Expected,
    world::{World, words},
};

use crate::{part::Prepared, parts, script::Script};

fn system(verb: Verb, path: &Path) -> Expected {
    Expected::file(verb, "system", path)
}

fn made(path: &Path, kind: &str) -> Expected {
    Expected::created("system", path, kind)
}

fn written(path: &Path, flags: u32) -> Expected {
    system(Verb::OpenWrite, path).with("flags", format!("{flags:#x}")).by_descriptor()
}

pub(crate) fn opens(world: &World) -> Prepared {
    let d = world.directory("d");
    let there = world.file("d/there");
    let new = |name: &str| d.join(name);
    Script::default()
        .act("open", &words([&there, &"read"]))
        .act("open", &words([&there, &"write"]))
        .act("openat", &words([&there, &"append"]))
        .act("openat2", &words([&there, &"empty"]))
        .act("creat", &words([&there, &"read"]))
        .act("open", &words([&there, &"create"]))
        .act("open", &words([&there, &"path"]))
        .act("open", &words([&new("one"), &"create"]))
        .act("openat", &words([&new("two"), &"new"]))
        .act("openat2", &words([&new("three"), &"new"]))
        .act("creat", &words([&new("four"), &"read"]))
        .act("open", &words([&new("missing"), &"write"]))
        .act("open", &words([&there, &"new"]))
        .act("open", &words([&new("missing/below"), &"create"]))
        // Nothing that lasts.
        .act("open", &["/dev/null", "empty"])
        .act("open", &["/proc/self/comm", "write"])
        .into()
}

#[test]
fn an_open_is_recorded_by_what_it_does_to_the_file() {
    for part in parts("opens") {
        let d = part.path("d");
        let there = d.join("there");
        let new = |name: &str| made(&d.join(name), "regular").by_descriptor();
        let missing = d.join("missing");
        part.assert_did(&[
            written(&there, 0x1),
            written(&there, 0x401),
            written(&there, 0x201),
            written(&there, 0x241),
            written(&there, 0x41),
            new("one"),
            new("two"),
            new("three"),
            new("four"),
            system(Verb::OpenWrite, &missing).with("flags", "0x1").before_hooks("ENOENT"),
            made(&there, "regular").before_hooks("EEXIST"),
            made(&missing.join("below"), "regular").before_hooks("ENOENT"),
        ]);
    }
}

pub(crate) fn makes(world: &World) -> Prepared {
    let d = world.directory("d");
    let there = world.directory("d/there");
    let new = |name: &str| d.join(name);
    Script::default()
        .act("mkdir", &[new("a")])
        .act("mkdirat", &[new("b")])
        .act("mkdir", &[&there])
        .act("mknod", &[new("c")])
        .act("mknodat", &[new("e")])
        .act("symlink", &words([&"nowhere", &new("f")]))
        .act("symlinkat", &words([&there, &new("g")]))
        // Through a link that leads to nothing yet.
        .act("open", &words([&new("f"), &"create"]))
        .into()
}

#[test]
fn every_road_to_a_new_file_is_one_create_or_symlink() {
    for part in parts("makes") {
        let d = part.path("d");
        let new = |name: &str, kind| made(&d.join(name), kind);
        part.assert_did(&[
            new("a", "directory"),
            new("b", "directory"),
            new("there", "directory").before_hooks("EEXIST"),
            new("c", "fifo"),
            new("e", "fifo"),
            system(Verb::Symlink, &d.join("f")),
            system(Verb::Symlink, &d.join("g")),
            new("nowhere", "regular").by_descriptor(),
        ]);
    }
}

pub(crate) fn attributes(world: &World) -> Prepared {
    let own = world.path("own");
    let link = world.path("d/link");
    world.directory("d");
    // Modes and owners can be changed of what is one's own.
    Script::default()
        .act("chdir", &[world.path("d")])
        .act("open", &words([&own, &"create"]))
        .act("symlink", &words([&own, &link]))
        .act("truncate", &[&own])
        .act("truncate", &[&link])
        .act("ftruncate", &[&own])
        .act("chmod", &[&own])
        .act("chmod", &["../own"])
        .act("fchmod", &[&own])
        .act("fchmodat", &[&link])
        .act("chown", &[&link])
        .act("lchown", &[&link])
        .act("fchown", &[&own])
        .act("fchownat", &[&own])
        .act("truncate", &[world.path("missing")])
        .act("chmod", &[world.path("missing")])
        .into()
}

#[test]
fn every_road_to_a_files_size_mode_and_owner_is_recorded_of_that_file() {
    for part in parts("attributes") {
        let (own, link, missing) = (part.path("own"), part.path("d/link"), part.path("missing"));
        let mode = |path: &Path| system(Verb::Chmod, path).with("mode", "0644");
        let owner = |path: &Path| system(Verb::Chown, path).with("uid", -1).with("gid", -1);
        let size = |path: &Path| system(Verb::Truncate, path);
        part.assert_did(&[
            made(&own, "regular").by_descriptor(),
            system(Verb::Symlink, &link),
            size(&own),
            size(&own),
            written(&own, 0x1),
            size(&own).by_descriptor(),
            mode(&own),
            mode(&own),
            mode(&own).by_descriptor(),
            mode(&own),
            owner(&own),
            owner(&link),
            owner(&own).by_descriptor(),
            owner(&own),
            size(&missing).before_hooks("ENOENT"),
            mode(&missing).before_hooks("ENOENT"),
        ]);
    }
}

const TIMES: [&str; 5] = ["utime", "utimes", "futimesat", "utimensat", "futimens"];
const MARKS: [&str; 6] =
    ["setxattr", "lremovexattr", "lsetxattr", "fremovexattr", "fsetxattr", "removexattr"];

pub(crate) fn marks(world: &World) -> Prepared {
    let own = world.path("own");
    world.directory("");
    let mut script = Script::default().act("open", &words([&own, &"create"]));
    for road in TIMES.iter().chain(&MARKS) {
        script = script.act(road, &[&own]);
    }
    let missing = world.path("missing");
    script.act("utimes", &[&missing]).act("setxattr", &[&missing]).into()
}

#[test]
fn every_road_to_a_files_times_and_attributes_is_recorded_of_that_file() {
    for part in parts("marks") {
        let (own, missing) = (part.path("own"), part.path("missing"));
        let mut acts = vec![made(&own, "regular").by_descriptor()];
        let by_road = |verb, road: &str| {
            let act = system(verb, &own);
            if road.starts_with('f') && road != "futimesat" { act.by_descriptor() } else { act }
        };
        acts.extend(TIMES.map(|road| by_road(Verb::Times, road)));
        // Whether a file system keeps attributes is its own affair.
        let outcomes = part.outcomes();
        acts.extend(MARKS.map(|road| {
            let (_, outcome) =
                outcomes.iter().find(|(name, _)| *name == road).expect("it was done");
            by_road(Verb::Setxattr, road).outcome(outcome)
        }));
        acts.push(system(Verb::Times, &missing).before_hooks("ENOENT"));
        acts.push(system(Verb::Setxattr, &missing).before_hooks("ENOENT"));
        part.assert_did(&acts);
    }
}

pub(crate) fn maps(world: &World) -> Prepared {
    let own = world.path("work/own");
    world.directory("work");
    let script = Script::default()
        .act("open", &words([&own, &"create"]))
        .act("map_exec", &[&own])
        // A library of the system's is nothing.
        .act("map_exec", &[&world.file("elsewhere")])
        .act("map_shared", &[&own])
        // Nor is what lies in memory alone.
        .act("size_memory", &["memory"])
        .act("punch", &[&own]);
    Prepared::from(script).label("workspace", world.path("work"))
}

#[test]
fn what_is_done_to_a_file_through_mappings_and_holes_is_recorded() {
    for part in parts("maps") {
        let own = part.path("work/own");
        let act = |verb| Expected::file(verb, "workspace", &own).by_descriptor();
        let written = |flags: &str| act(Verb::OpenWrite).with("flags", flags);
        // Hooks come before the act, and nothing waits for the end of every mapping.
        let mapped = |verb| if part.has_lsm() { act(verb).without_outcome() } else { act(verb) };
        let (_, punched) =
            part.outcomes().into_iter().find(|(name, _)| *name == "punch").expect("done");
        part.assert_did(&[
            Expected::created("workspace", &own, "regular").by_descriptor(),
            mapped(Verb::MapExec),
            written("0x2"),
            mapped(Verb::WriteMap),
            written("0x1"),
            act(Verb::Punch).with("flags", "0x2").outcome(punched),
        ]);
    }
}

/// The control files of a cgroup, with the verb of each.
const CONTROLS: [(&str, Verb); 4] = [
    ("cgroup.procs", Verb::CgroupMove),
    ("cgroup.threads", Verb::CgroupMove),
    ("cgroup.kill", Verb::CgroupKill),
    ("cgroup.freeze", Verb::CgroupWrite),
];

pub(crate) fn cgroups(_: &World) -> Prepared {
    let group = Cgroup::new();
    let script = CONTROLS.iter().fold(Script::default(), |script, (file, _)| {
        script.act("open", &words([&group.path().join(file), &"write"]))
    });
    let script = script.act("mkdir", &[&group.path().join("one")]);
    Prepared { group: Some(group), ..script.into() }
}

#[test]
fn a_cgroups_control_files_are_supervision_by_verbs_of_their_own() {
    for part in parts("cgroups") {
        let group = part.group.clone().expect("the part has one");
        let mut acts = CONTROLS
            .map(|(file, verb)| {
                Expected::file(verb, "supervision", &group.join(file))
                    .with("flags", "0x1")
                    .by_descriptor()
            })
            .to_vec();
        acts.push(Expected::created("supervision", &group.join("one"), "directory"));
        part.assert_did(&acts);
    }
}

pub(crate) fn links(world: &World) -> Prepared {
    let (d, data) = (world.directory("d"), world.directory("data"));
    let own = d.join("own");
    let script = Script::default()
        .act("open", &words([&own, &"create"]))
        .act("link", &words([&own, &d.join("one")]))
        .act("linkat", &words([&own, &data.join("two")]))
        .act("link", &words([&own, &d.join("one")]));
    Prepared::from(script).label("data", data)
}

#[test]
fn a_hard_link_is_recorded_with_both_names() {
    for part in parts("links") {
        let (d, data) = (part.path("d"), part.path("data"));
        let own = d.join("own");
        let link = |to: (&str, &Path)| Expected::link(("system", &own), to);
        part.assert_did(&[
            made(&own, "regular").by_descriptor(),
            link(("system", &d.join("one"))),
            link(("data", &data.join("two"))),
            link(("system", &d.join("one"))).before_hooks("EEXIST"),
        ]);
    }
}
