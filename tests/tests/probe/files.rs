//! `unlink`, `rmdir`, `rename`, `exec`: every road, every spelling of a path.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use journal::{Effect, Verb};
use serde_json::Value;
use tests::{
    expect::{Expected, path_text},
    world::{World, words},
};

use crate::{
    part::{Part, Prepared},
    parts,
    script::Script,
};

fn system(verb: Verb, path: &Path) -> Expected {
    Expected::file(verb, "system", path)
}

fn moved(from: &Path, to: &Path, flags: u32) -> Expected {
    Expected::rename(("system", from), ("system", to), flags)
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("root owns the world");
}

pub(crate) fn removals(world: &World) -> Prepared {
    let d = world.directory("d");
    for number in 0..4 {
        world.file(format!("d/file-{number}"));
        world.directory(format!("d/directory-{number}"));
    }
    world.file("d/full/content");
    Script::default()
        .act("unlink", &[d.join("file-0")])
        .act("unlinkat", &words([&"cwd", &d.join("file-1")]))
        .act("unlinkat", &words([&d, &"file-2"]))
        .act("chdir", &[&d])
        .act("unlinkat", &["cwd", "file-3"])
        .act("rmdir", &[d.join("directory-0")])
        .act("unlinkat", &words([&"cwd", &d.join("directory-1"), &"directory"]))
        .act("unlinkat", &words([&d, &"directory-2", &"directory"]))
        .act("unlinkat", &["cwd", "directory-3", "directory"])
        .act("unlink", &[d.join("missing")])
        .act("rmdir", &[d.join("missing")])
        .act("unlinkat", &words([&d, &"missing"]))
        .act("unlinkat", &words([&d, &"missing", &"directory"]))
        .act("unlink", &[d.join("full")])
        .act("rmdir", &[d.join("full")])
        .into()
}

#[test]
fn every_road_to_a_removal_is_one_unlink_or_rmdir_of_that_path() {
    for part in parts("removals") {
        let d = part.path("d");
        let numbered = |name: &str| -> Vec<PathBuf> {
            (0..4).map(|number| d.join(format!("{name}-{number}"))).collect()
        };
        let (files, directories) = (numbered("file"), numbered("directory"));
        let mut expected: Vec<_> = files.iter().map(|file| system(Verb::Unlink, file)).collect();
        expected.extend(directories.iter().map(|directory| system(Verb::Rmdir, directory)));
        for verb in [Verb::Unlink, Verb::Rmdir, Verb::Unlink, Verb::Rmdir] {
            expected.push(system(verb, &d.join("missing")).before_hooks("ENOENT"));
        }
        let full = d.join("full");
        expected.push(system(Verb::Unlink, &full).outcome("EISDIR"));
        expected.push(system(Verb::Rmdir, &full).outcome("ENOTEMPTY"));
        part.assert_did(&expected);
        assert!(!files.iter().chain(&directories).any(|gone| part.has(gone)));
        assert!(part.has(&full));
    }
}

pub(crate) fn renames(world: &World) -> Prepared {
    let (d, e) = (world.directory("d"), world.directory("e"));
    for name in ["a", "b", "c", "g", "h", "x", "y"] {
        world.file(Path::new("d").join(name));
    }
    world.directory("d/directory");
    let (from, to) = (|name: &str| d.join(name), |name: &str| e.join(name));
    Script::default()
        .act("rename", &words([&from("a"), &to("a")]))
        .act("renameat", &words([&d, &"b", &e, &"b"]))
        .act("renameat2", &words([&d, &"c", &e, &"c", &"none"]))
        .act("renameat2", &words([&"cwd", &from("g"), &e, &"g", &"noreplace"]))
        .act("renameat2", &words([&d, &"h", &e, &"g", &"noreplace"]))
        .act("renameat2", &words([&d, &"x", &d, &"y", &"exchange"]))
        // What stood there is gone.
        .act("rename", &words([&from("h"), &to("g")]))
        .act("rename", &words([&from("directory"), &to("directory")]))
        .act("rename", &words([&from("missing"), &to("missing")]))
        .act("rename", &words([&to("directory"), &to("directory/below")]))
        .into()
}

#[test]
fn every_road_to_a_rename_is_one_rename_with_both_paths() {
    for part in parts("renames") {
        let from = |name: &str| part.path("d").join(name);
        let to = |name: &str| part.path("e").join(name);
        part.assert_did(&[
            moved(&from("a"), &to("a"), 0),
            moved(&from("b"), &to("b"), 0),
            moved(&from("c"), &to("c"), 0),
            moved(&from("g"), &to("g"), 1),
            moved(&from("h"), &to("g"), 1).before_hooks("EEXIST"),
            moved(&from("x"), &from("y"), 2),
            moved(&from("h"), &to("g"), 0),
            moved(&from("directory"), &to("directory"), 0),
            moved(&from("missing"), &to("missing"), 0).before_hooks("ENOENT"),
            moved(&to("directory"), &to("directory/below"), 0).before_hooks("EINVAL"),
        ]);
        assert!(part.has(&from("x")) && part.has(&to("g")) && !part.has(&from("h")));
    }
}

/// A name that is no UTF-8, breaks lines and would colour a terminal.
const STRANGE: &[u8] = b"no\xff utf-8,\n\x1b[31m\\ and lines";

pub(crate) fn spellings(world: &World) -> Prepared {
    let real = world.directory("real/below");
    let link = world.path("link");
    symlink(&real, &link).expect("the world is writable");
    symlink(world.file("real/kept"), world.path("real/to-file")).expect("the world is writable");
    let strange = world.file(Path::new("real/below").join(OsStr::from_bytes(STRANGE)));
    for name in ["one", "two", "three", "four"] {
        world.file(Path::new("real/below").join(name));
    }
    Script::default()
        .act("chdir", &[world.path("real")])
        .act("unlink", &["below/../below/./one"])
        .act("unlink", &[link.join("two")])
        .act("unlinkat", &words([&link, &"three"]))
        .act("unlink", &[&strange])
        .act("rename", &words([&link.join("four"), &"../real/below/moved"]))
        .act("unlink", &["to-file"])
        .into()
}

#[test]
fn a_path_is_recorded_as_where_it_leads_and_byte_for_byte() {
    for part in parts("spellings") {
        let below = |name: &str| part.path("real/below").join(name);
        part.assert_did(&[
            system(Verb::Unlink, &below("one")),
            system(Verb::Unlink, &below("two")),
            system(Verb::Unlink, &below("three")),
            system(Verb::Unlink, &part.path("real/below").join(OsStr::from_bytes(STRANGE))),
            moved(&below("four"), &below("moved"), 0),
            // The link itself goes, not what it leads to.
            system(Verb::Unlink, &part.path("real/to-file")),
        ]);
        assert!(part.has(&part.path("real/kept")));
    }
}

pub(crate) fn execs(world: &World) -> Prepared {
    let d = world.directory("d");
    let plain = world.file("d/plain");
    let text = world.file("d/text");
    executable(&text);
    let link = d.join("link");
    symlink(world.actor(), &link).expect("the world is writable");
    Script::default()
        .act("exec", &[d.join("missing")])
        .act("exec", &[&plain])
        .act("exec", &[&d])
        .act("exec", &[&text])
        // Only asks: that is no exec.
        .act("execveat_check", &[&link])
        .act("execveat_check", &[&plain])
        .act("exec", &words([&link, &"touch", &d.join("touched")]))
        .into()
}

#[test]
fn an_exec_is_recorded_once_whether_it_runs_is_missing_or_may_not_run() {
    for part in parts("execs") {
        let d = part.path("d");
        part.assert_did(&[
            system(Verb::Exec, &d.join("missing")).before_hooks("ENOENT"),
            system(Verb::Exec, &d.join("plain")).before_hooks("EACCES"),
            system(Verb::Exec, &d).before_hooks("EACCES"),
            system(Verb::Exec, &d.join("text")).by_hook().outcome("ENOEXEC"),
            system(Verb::Exec, part.actor()),
            Expected::created("system", &d.join("touched"), "regular").by_descriptor(),
        ]);
        assert!(part.has(&d.join("touched")), "the program did not run: {:?}", part.outcomes());
    }
}

pub(crate) fn script(world: &World) -> Prepared {
    let file = world.file("d/script");
    // The actor is its interpreter: `touch` is its act and the script's own path its word.
    let line = format!("#!{} touch\n", world.actor().display());
    fs::write(&file, line).expect("the world is writable");
    executable(&file);
    Script::default().act("exec", &[&file]).into()
}

#[test]
fn a_script_and_not_its_interpreter_is_what_was_executed() {
    for part in parts("script") {
        // Tracepoints see the interpreter by then; of the script they have the path.
        let script = part.path("d/script");
        part.assert_did(&[
            system(Verb::Exec, &script).by_hook(),
            // What the interpreter was told to do, to a file that is another's.
            Expected::created("system", &script, "regular").before_hooks("EACCES"),
        ]);
    }
}

/// What a program was given, as the record tells.
fn given(effect: &Effect) -> (Vec<String>, Option<u64>) {
    let argv = effect.args.get("argv").and_then(Value::as_array);
    let argv = argv.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    (argv.collect(), effect.args.get("argv_bytes").and_then(Value::as_u64))
}

#[test]
fn an_exec_tells_what_the_program_was_given_or_was_to_be() {
    let check = |part: &Part, words: [&Path; 3]| {
        // Refusals arrive by a ring of their own, perhaps after what was done later.
        let last = part.of(Verb::Exec).max_by_key(|exec| exec.seq).expect("an exec");
        let (argv, bytes) = given(last);
        assert_eq!(argv, words.map(path_text));
        assert_eq!(bytes, Some(argv.iter().map(|word| word.len() as u64 + 1).sum()));
    };
    for part in parts("execs") {
        let d = part.path("d");
        check(part, [&d.join("link"), Path::new("touch"), &d.join("touched")]);
        let refused = part.of(Verb::Exec).filter(|exec| exec.outcome.as_deref() != Some("ok"));
        let mut refused: Vec<_> = refused.collect();
        refused.sort_by_key(|exec| exec.seq);
        let refused: Vec<_> = refused.into_iter().map(given).collect();
        let wanted = ["missing", "plain", "", "text"].map(|name| {
            let path = if name.is_empty() { d.clone() } else { d.join(name) };
            (vec![path_text(&path)], None)
        });
        assert_eq!(refused, wanted);
    }
    for part in parts("script") {
        check(part, [part.actor(), Path::new("touch"), &part.path("d/script")]);
    }
}

pub(crate) fn protected(world: &World) -> Prepared {
    let file = world.file("d/file");
    executable(&world.path("d"));
    Script::default()
        .act("unlink", &[&file])
        .act("rename", &words([&file, &world.path("d/other")]))
        .into()
}

#[test]
fn what_ownership_refuses_is_recorded_with_its_errno_and_prevented_by_no_policy() {
    for part in parts("protected") {
        let (file, other) = (part.path("d/file"), part.path("d/other"));
        part.assert_did(&[
            system(Verb::Unlink, &file).outcome("EACCES"),
            moved(&file, &other, 0).outcome("EACCES"),
        ]);
    }
}

#[test]
fn a_file_that_the_kernel_names_has_device_and_inode() {
    for part in parts("removals") {
        let unlink = part.of(Verb::Unlink).next().expect("an unlink");
        assert_eq!(unlink.object.inode.is_some(), part.has_lsm());
        assert_eq!(unlink.object.device.is_some(), part.has_lsm());
    }
}
