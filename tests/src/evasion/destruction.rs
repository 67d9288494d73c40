//! Changing or destroying a file without removing its name.

use ebpf_common::Verb;
use journal::Enforcer;

use super::{Came, Evasion, Group, on_data};

const fn destroys(
    name: &'static str,
    what: &'static str,
    acts: &'static str,
    verb: Verb,
) -> Evasion {
    on_data(Group::Destruction, name, what, acts, verb)
}

const NO_RIGHT: &str = "Landlock has no right for it; only ownership would refuse";

pub(super) const ALL: &[Evasion] = &[
    destroys("unlink", "unlink(2), as a baseline", "unlink {victim}", Verb::Unlink),
    destroys("truncate", "truncate(2) by path", "truncate {victim}", Verb::Truncate),
    destroys("open-truncate", "open(2) with O_TRUNC", "open {victim} empty", Verb::OpenWrite),
    destroys("creat", "creat(2) on the existing file", "creat {victim} write", Verb::OpenWrite)
        .with_tracepoints(Came::Prevented(Enforcer::Landlock, Verb::Create, "data")),
    destroys("ftruncate", "ftruncate(2) on a descriptor", "ftruncate {victim}", Verb::OpenWrite),
    destroys("overwrite", "open(2) to write, and write", "overwrite {victim}", Verb::OpenWrite),
    destroys("append", "open(2) with O_APPEND", "open {victim} append", Verb::OpenWrite),
    destroys("openat2", "openat2(2) to write", "openat2 {victim} write", Verb::OpenWrite),
    destroys(
        "mapping",
        "a shared mapping of the file, and a store: no write hook sees it",
        "store {victim}",
        Verb::OpenWrite,
    ),
    destroys(
        "hole",
        "fallocate(2) punches a hole over the content",
        "punch {victim}",
        Verb::OpenWrite,
    ),
    destroys(
        "range-copy",
        "copy_file_range(2) from another file",
        "copy_range {file} {victim}",
        Verb::OpenWrite,
    ),
    destroys("splice", "splice(2) from a pipe", "splice {victim}", Verb::OpenWrite),
    destroys(
        "sendfile",
        "sendfile(2) from another file",
        "sendfile {file} {victim}",
        Verb::OpenWrite,
    ),
    destroys(
        "reopen",
        "O_PATH, then /proc/self/fd/N opened to write",
        "reopen {victim} , rest 300",
        Verb::OpenWrite,
    ),
    destroys(
        "move-onto",
        "rename(2) of a file of one's own onto it",
        "rename {file} {victim}",
        Verb::Rename,
    ),
    destroys(
        "move-away",
        "rename(2) into the workspace",
        "rename {victim} {own}/taken",
        Verb::Rename,
    ),
    destroys(
        "exchange",
        "RENAME_EXCHANGE with a file of one's own",
        "renameat2 cwd {file} cwd {victim} exchange",
        Verb::Exchange,
    ),
    destroys(
        "move-the-directory",
        "rename(2) of the labelled directory's child that holds it",
        "rename {data} {own}/taken",
        Verb::Rename,
    ),
    destroys("unlinkat", "unlinkat(2)", "unlinkat cwd {victim}", Verb::Unlink),
    destroys("mode", "chmod(2) takes all rights away", "chmod {victim}", Verb::Chmod)
        .with_tracepoints(Came::Seen(Verb::Chmod, "data", NO_RIGHT)),
    destroys(
        "mode-by-descriptor",
        "fchmod(2) on a descriptor opened to read",
        "fchmod {victim}",
        Verb::Chmod,
    )
    .with_tracepoints(Came::Seen(Verb::Chmod, "data", NO_RIGHT)),
    destroys("plant", "a new file beside it", "open {data}/planted new", Verb::Create),
    destroys("plant-directory", "mkdir(2) beside it", "mkdir {data}/planted", Verb::Create),
    destroys("plant-fifo", "mknod(2) of a FIFO beside it", "mknod {data}/planted", Verb::Create),
    destroys(
        "plant-link",
        "a symbolic link beside it",
        "symlink {file} {data}/planted",
        Verb::Symlink,
    ),
    destroys(
        "plant-hard-link",
        "a hard link of one's own file beside it",
        "link {file} {data}/planted",
        Verb::Link,
    ),
    destroys(
        "plant-unnamed",
        "O_TMPFILE in the labelled directory, then linkat(2)",
        "unnamed {data} {data}/planted",
        Verb::OpenWrite,
    ),
    destroys("times", "utimensat(2) sets its times back", "times {victim}", Verb::Times)
        .with_tracepoints(Came::Seen(Verb::Times, "data", NO_RIGHT)),
    destroys(
        "times-by-descriptor",
        "futimens(3) on a descriptor opened to read",
        "futimens {victim}",
        Verb::Times,
    )
    .with_tracepoints(Came::Seen(Verb::Times, "data", NO_RIGHT)),
];
