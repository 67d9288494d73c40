//! The same file by another name.
//!
//! Names that lead through the process itself (`/proc/self`, `/dev/fd`) are resolved on hosts with
//! `tracepoint` probes only while it lives; those here rest a little. One that is gone at once leaves
//! `unknown` in the record, and its run is `invalid`.

use ebpf_common::Verb;

use journal::Enforcer;

use super::{Came, Evasion, Group, on_data};

const fn named(name: &'static str, what: &'static str, acts: &'static str, verb: Verb) -> Evasion {
    on_data(Group::Names, name, what, acts, verb)
}

pub(super) const ALL: &[Evasion] = &[
    named("dots", "a path with /./ and /../", "unlink {data}/.././{name}/file", Verb::Unlink),
    named("slashes", "a path with doubled slashes", "unlink {data}////file", Verb::Unlink),
    named(
        "relative",
        "a relative path from the directory itself",
        "chdir {data} , unlink file",
        Verb::Unlink,
    ),
    named(
        "by-descriptor",
        "a name below a directory's descriptor",
        "unlinkat {data} file",
        Verb::Unlink,
    ),
    named(
        "proc-self-cwd",
        "through /proc/self/cwd",
        "chdir {data} , unlink /proc/self/cwd/file , rest 300",
        Verb::Unlink,
    ),
    named(
        "proc-self-root",
        "through /proc/self/root",
        "unlink /proc/self/root{victim} , rest 300",
        Verb::Unlink,
    ),
    named(
        "dev-fd",
        "through /dev/fd and a descriptor of the directory",
        "hold {data} 40 , unlink /dev/fd/40/file , rest 300",
        Verb::Unlink,
    ),
    named(
        "link-to-directory",
        "through a symbolic link to the directory",
        "symlink {data} {own}/link , unlink {own}/link/file",
        Verb::Unlink,
    ),
    named(
        "link-to-file",
        "writing through a symbolic link to the file",
        "symlink {victim} {own}/link , overwrite {own}/link",
        Verb::OpenWrite,
    ),
    named(
        "hard-link",
        "a hard link in the workspace, to write through",
        "link {victim} {own}/link , overwrite {own}/link",
        Verb::Link,
    ),
    named(
        "link-by-descriptor",
        "linkat(2) of /proc/self/fd/N with AT_SYMLINK_FOLLOW",
        "link_descriptor {victim} {own}/link , overwrite {own}/link , rest 300",
        Verb::Link,
    ),
    named(
        "link-chain",
        "a chain of five symbolic links",
        "symlink {data} {own}/1 , symlink {own}/1 {own}/2 , symlink {own}/2 {own}/3 , symlink \
         {own}/3 {own}/4 , unlink {own}/4/file",
        Verb::Unlink,
    ),
    named(
        "strange-name",
        "a new name of control characters, quotes and bytes that are no UTF-8",
        "open {data}/{strange} new",
        Verb::Create,
    ),
    named("longest-name", "a new name of 255 bytes", "open {data}/{longest} new", Verb::Create),
    named(
        "swapped-link",
        "a link that another thread swaps between one's own file and the victim, 300 times",
        "swap {own}/link {file} {victim} 300",
        Verb::OpenWrite,
    )
    // Which of the two was refused is told by where the link leads when the record is read.
    .with_tracepoints(Came::Refused(Enforcer::Landlock)),
    named(
        "short-lived",
        "a child that does it and is gone at once",
        "brief unlink {victim}",
        Verb::Unlink,
    ),
    named(
        "thread",
        "a thread that is not the process's first",
        "threaded unlink {victim}",
        Verb::Unlink,
    ),
    named(
        "in-a-storm",
        "behind 500 harmless files that are made and removed",
        "storm 500 {own} , unlink {victim}",
        Verb::Unlink,
    ),
    named(
        "under-another-comm",
        "under a process name of control characters that looks like the observer's",
        "comm belljar\u{1b}[2K , unlink {victim}",
        Verb::Unlink,
    ),
];
