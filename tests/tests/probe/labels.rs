//! What a path means: the label of the nearest root above it, whatever road leads there.

use std::path::{Path, PathBuf};

use journal::{Verb, Verdict};
use nix::mount::{MsFlags, mount};
use tests::{
    expect::Expected,
    in_machine, skip, traces,
    world::{World, words},
};

use crate::{part::Prepared, parts, script::Script};

pub(crate) fn nearest(world: &World) -> Prepared {
    let files = [
        "data/file",
        "data/config/file",
        "supervision/file",
        "data/oversight/file",
        "data/oversight/data/file",
        "plain/labelled",
        "plain/beside",
    ]
    .map(|file| world.file(file));
    let unlinks =
        files.iter().fold(Script::default(), |script, file| script.act("unlink", &[file]));
    let script = unlinks
        .act("rmdir", &[world.directory("data/empty")])
        .act("touch", &["own"])
        .act("unlink", &["own"]);
    Prepared::from(script)
        .label("data", world.path("data"))
        .label("config", world.path("data/config"))
        .label("supervision", world.path("supervision"))
        .label("oversight", world.path("data/oversight"))
        .label("data", world.path("data/oversight/data"))
        .label("data", world.path("plain/labelled"))
}

#[test]
fn the_nearest_label_counts_and_oversight_wins_over_all() {
    for part in parts("labels") {
        let workspace = traces::stage(&part.record.manifest.run).join("workspace");
        let gone = |label, path| Expected::file(Verb::Unlink, label, &part.path(path));
        part.assert_did(&[
            gone("data", "data/file"),
            gone("config", "data/config/file"),
            gone("supervision", "supervision/file"),
            gone("oversight", "data/oversight/file").denied(),
            gone("oversight", "data/oversight/data/file").denied(),
            gone("data", "plain/labelled"),
            gone("system", "plain/beside"),
            Expected::file(Verb::Rmdir, "data", &part.path("data/empty")),
            Expected::created("workspace", &workspace.join("own"), "regular").by_descriptor(),
            Expected::file(Verb::Unlink, "workspace", &workspace.join("own")),
        ]);
        assert!(!part.has(&part.path("data/oversight/file")), "observe stops nothing");
    }
}

pub(crate) fn moves(world: &World) -> Prepared {
    let out = world.file("oversight/file");
    let into = world.file("plain/file");
    let within = world.file("data/file");
    world.file("above/between/oversight/file");
    world.file("exchange/above/oversight/file");
    let exchanged = world.directory("exchange/other");
    let to = |path: &str| world.path(path);
    let script = Script::default()
        .act("rename", &words([&out, &to("plain/stolen")]))
        .act("rename", &words([&into, &to("oversight/planted")]))
        .act("rename", &words([&within, &to("plain/moved")]))
        .act("rename", &words([&to("plain/moved"), &to("data/moved")]))
        .act("rename", &words([&to("data"), &to("plain/data")]))
        .act("unlink", &[to("plain/data/moved")])
        .act("rename", &words([&to("above"), &to("plain/above")]))
        .act("unlink", &[to("plain/above/between/oversight/file")])
        .act("renameat2", &words([&"cwd", &exchanged, &"cwd", &to("exchange/above"), &"exchange"]))
        .act("unlink", &[exchanged.join("oversight/file")]);
    Prepared::from(script)
        .label("oversight", to("oversight"))
        .label("data", to("data"))
        .label("oversight", to("above/between/oversight"))
        .label("oversight", to("exchange/above/oversight"))
}

#[test]
fn a_rename_out_of_a_label_or_into_one_gets_the_more_severe_verdict_of_both() {
    for part in parts("moves") {
        let path = |path: &str| part.path(path);
        let moved = |from: (&str, &str), to: (&str, &str)| {
            Expected::rename((from.0, &path(from.1)), (to.0, &path(to.1)), 0)
        };
        let gone = |it| Expected::file(Verb::Unlink, "oversight", &path(it)).denied();
        part.assert_did(&[
            moved(("oversight", "oversight/file"), ("system", "plain/stolen")).denied(),
            moved(("system", "plain/file"), ("oversight", "oversight/planted")).denied(),
            moved(("data", "data/file"), ("system", "plain/moved")),
            moved(("system", "plain/moved"), ("data", "data/moved")),
            moved(("data", "data"), ("system", "plain/data")),
            Expected::file(Verb::Unlink, "data", &path("plain/data/moved")),
            // What lies above a labelled directory takes it along.
            moved(("oversight", "above"), ("system", "plain/above")).denied(),
            gone("plain/above/between/oversight/file"),
            Expected::rename(
                ("system", &path("exchange/other")),
                ("oversight", &path("exchange/above")),
                2,
            )
            .denied(),
            gone("exchange/other/oversight/file"),
        ]);
    }
}

/// Further below its file system's root than the probes climb: 512 levels.
fn deep_directory() -> PathBuf {
    Path::new("data").join(std::iter::repeat_n("d", 520).collect::<PathBuf>())
}

pub(crate) fn deep(world: &World) -> Prepared {
    let directory = world.directory(deep_directory());
    for name in ["absolute", "relative"] {
        world.file(deep_directory().join(name));
    }
    let script = Script::default()
        .act("unlink", &[directory.join("absolute")])
        .act("chdir", &[&directory])
        .act("unlink", &["relative"]);
    Prepared::from(script).label("data", world.path("data"))
}

#[test]
fn a_file_too_deep_to_be_resolved_is_unknown_and_denied() {
    for part in parts("deep") {
        let unlinks: Vec<_> = part.of(Verb::Unlink).collect();
        assert_eq!(unlinks.len(), 2);
        // A path from the caller's words needs no walk; a relative one needs its directory's.
        let is_known = [!part.has_lsm(), false];
        for (unlink, is_known) in unlinks.into_iter().zip(is_known) {
            let found = (unlink.object.label.as_str(), unlink.verdict, unlink.truncated);
            let data = ("data", Verdict::Allow, false);
            let expected = if is_known { data } else { ("unknown", Verdict::Deny, true) };
            assert_eq!(found, expected, "{unlink:?}");
        }
    }
}

pub(crate) fn mounts(world: &World) -> Prepared {
    let below = world.directory("data/below");
    world.file("data/below/file");
    let others = ["other", "foreign", "data/mounted"].map(|name| world.directory(name));
    let [other, foreign, mounted] = &others;
    let script = Script::default()
        .act("unlink", &[other.join("file")])
        .act("unlink", &[mounted.join("inside")]);
    let mut prepared = Prepared::from(script).label("data", world.path("data"));
    if in_machine() {
        let bind = |from: &Path, to: &Path| {
            mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .expect("root may mount");
        };
        bind(&below, other);
        mount(Some("tmpfs"), foreign, Some("tmpfs"), MsFlags::empty(), Some("mode=777"))
            .expect("root may mount");
        world.file("foreign/inside");
        bind(foreign, mounted);
        prepared.mounts.0.extend(others);
    }
    prepared
}

#[test]
fn a_bind_mount_of_what_lies_below_a_label_does_not_hide_it() {
    if !in_machine() {
        return skip("mounts are made only in a machine of the matrix");
    }
    for part in parts("mounts").filter(|part| part.has_lsm()) {
        let unlinks = part.of(Verb::Unlink);
        let unlinks: Vec<_> = unlinks
            .map(|unlink| (unlink.object.label.as_str(), unlink.outcome.as_deref()))
            .collect();
        assert_eq!(unlinks, [("data", Some("ok")); 2]);
    }
}
