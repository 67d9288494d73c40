//! Ordinary work in a workspace at tier 0: it ends as it would outside, and nothing of it is a
//! violation.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use journal::Effect;
use tests::{in_machine, run::Invocation, skip, world::World};

/// Whoever may run what every user may.
const NOBODY: u32 = 65_534;

/// Carries out a script at tier 0, where each of these programs can be had.
#[track_caller]
fn work(world: &World, programs: &[&str], script: &str) {
    if in_machine() {
        return skip("what people work with is not in a machine: tried on the host alone");
    }
    for program in programs {
        if !can_run(program) {
            return skip(&format!("{program} is not installed for every user"));
        }
    }
    let ended = Invocation::run(world, "run")
        .tier(0, "enforce")
        .args(["--no-metrics", "--", "sh", "-euc", script])
        .finish();
    let record = ended.record();
    record.assert_whole();
    let violations: Vec<&Effect> =
        record.effects.iter().filter(|effect| effect.verdict.is_violation()).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(record.verdict(), "clean", "{}", ended.stdout);
    ended.assert_code(0);
    let end = ended.stdout.lines().any(|line| line == "the work is done");
    assert!(end, "{}\n{}", ended.stdout, ended.stderr);
}

fn can_run(program: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cd / && {program} --version")]).uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("HOME", "/nonexistent").status().is_ok_and(|status| status.success())
}

#[test]
fn git_commits_clones_and_rebases() {
    work(
        &World::new(),
        &["git"],
        r#"
        export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git init --quiet --initial-branch=main first
        cd first
        for number in 1 2 3 4 5; do
            echo "$number" > "file-$number"
            git add . && git commit --quiet -m "number $number"
        done
        git checkout --quiet -b side HEAD~2
        echo side > side && git add . && git commit --quiet -m side
        git rebase --quiet main
        git gc --quiet --prune=now
        git clone --quiet . ../second
        cd ../second && git log --oneline | wc -l | grep -q 6
        git stash list && git worktree add --quiet ../third HEAD && git worktree remove ../third
        echo the work is done
        "#,
    );
}

#[test]
fn make_builds_a_program_with_several_jobs() {
    work(
        &World::new(),
        &["make", "gcc"],
        r#"
        for number in 1 2 3 4 5 6; do
            echo "int part_$number(void) { return $number; }" > "part-$number.c"
        done
        echo 'int part_6(void); int main(void) { return part_6() - 6; }' > main.c
        printf 'all: program\nprogram: main.o $(patsubst %%.c,%%.o,$(wildcard part-*.c))\n\tgcc -o $@ $^\n' > Makefile
        make --jobs 4 --silent && ./program && make --silent && strip program && ./program
        echo the work is done
        "#,
    );
}

#[test]
fn tar_packs_and_unpacks() {
    work(
        &World::new(),
        &["tar", "gzip"],
        r#"
        mkdir -p tree/a/b && echo text > tree/a/b/file && ln -s file tree/a/b/link
        ln tree/a/b/file tree/a/hard && chmod 750 tree/a && touch -d 2001-01-01 tree/a/b/file
        tar --create --gzip --file tree.tar.gz tree
        rm -r tree && tar --extract --gzip --file tree.tar.gz
        test "$(cat tree/a/b/link)" = text && test "$(stat -c %a tree/a)" = 750
        echo the work is done
        "#,
    );
}

#[test]
fn sqlite_keeps_a_database() {
    work(
        &World::new(),
        &["sqlite3"],
        r#"
        sqlite3 work.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(a, b);'
        for number in 1 2 3 4 5; do
            sqlite3 work.db "INSERT INTO t VALUES ($number, hex(randomblob(1000)));"
        done
        sqlite3 work.db 'BEGIN; DELETE FROM t WHERE a = 3; COMMIT; VACUUM;'
        sqlite3 work.db 'PRAGMA journal_mode=DELETE; UPDATE t SET b = 1;' '.backup copy.db'
        test "$(sqlite3 copy.db 'SELECT count(*) FROM t;')" = 4
        echo the work is done
        "#,
    );
}

#[test]
fn pytest_runs_tests_in_processes() {
    work(
        &World::new(),
        &["/usr/bin/python3 -m pytest"],
        r#"
        mkdir -p package && echo 'def double(x): return 2 * x' > package/__init__.py
        cat > test_package.py <<'PYTHON'
import multiprocessing, signal, subprocess, tempfile, threading, os
from package import double

def test_pool():
    with multiprocessing.Pool(3) as pool:
        assert pool.map(double, range(50)) == [2 * x for x in range(50)]

def test_files(tmp_path):
    (tmp_path / "file").write_text("text")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"text")
    assert (tmp_path / "file").read_text() == "text"

def test_children():
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    os.killpg(child.pid, signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    assert subprocess.run("echo text | tr a-z A-Z", shell=True, capture_output=True).stdout == b"TEXT\n"

def test_threads():
    threads = [threading.Thread(target=double, args=(1,)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
PYTHON
        /usr/bin/python3 -m pytest -q
        echo the work is done
        "#,
    );
}

#[test]
fn npm_installs_from_a_tarball() {
    work(
        &World::new(),
        &["npm", "node"],
        r#"
        # It would ask the network whether there is a newer npm: that is no work in the workspace.
        export npm_config_update_notifier=false
        mkdir module && cd module
        echo '{"name": "module", "version": "1.0.0", "main": "index.js"}' > package.json
        echo 'module.exports = () => "answer";' > index.js
        npm pack --silent >/dev/null && cd ..
        mkdir app && cd app && echo '{"name": "app", "version": "1.0.0"}' > package.json
        npm install --silent --offline --no-audit --no-fund ../module/module-1.0.0.tgz
        test "$(node -p 'require("module/") && require("./node_modules/module")()')" = answer
        echo the work is done
        "#,
    );
}

#[test]
fn cargo_builds_and_tests_a_crate() {
    let world = World::new();
    let Some(toolchain) = toolchain(&world) else {
        return skip("there is no toolchain that can be shown to every user");
    };
    work(
        &world,
        &[toolchain.join("bin/cargo").to_str().expect("a plain path")],
        &format!(
            r#"
            export PATH={}/bin:$PATH CARGO_HOME=$HOME/cargo
            cargo init --quiet --vcs none --name program program && cd program
            echo 'fn main() {{ println!("{{}}", std::env::args().count()); }}
            #[test] fn one() {{ assert_eq!(1, 1); }}' > src/main.rs
            cargo build --quiet --offline && cargo test --quiet --offline && cargo run --quiet --offline
            touch src/main.rs && cargo build --quiet --offline && cargo clean --quiet
            echo the work is done
            "#,
            toolchain.display()
        ),
    );
}

/// The toolchain in use, by hard links in a directory that everybody may enter: it often lies in a
/// home that is closed to others.
fn toolchain(world: &World) -> Option<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(str::from_utf8(&sysroot.stdout).ok()?.trim());
    let copy = world.path("toolchain");
    link_tree(&sysroot, &copy).ok()?;
    Some(copy)
}

fn link_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // Documentation and sources are large and not needed.
        if matches!(entry.file_name().to_str(), Some("share" | "src")) {
            continue;
        }
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_tree(&entry.path(), &to)?;
        } else {
            fs::hard_link(entry.path(), to)?;
        }
    }
    Ok(())
}
