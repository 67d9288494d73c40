//! Databases, by the tool of its tier and one tier below.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use journal::{Effect, Verb};
use serde_json::{Value, json};
use tests::{
    deadline::wait_for,
    in_machine,
    model::{ModelServer, Scripted},
    record::Record,
    run::{Ended, Invocation},
    skip,
    whole::until_whole,
    world::World,
};

/// What a shell without the tool does for it.
const INSERT: &str = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                      c.execute('INSERT INTO t VALUES (9)'); c.commit()";

/// A run of these calls on a database that everybody may write to, but for the label.
fn run(world: &World, tier: u8, name: &str) -> Ended {
    let place = world.directory(format!("data-{name}"));
    let database = place.join("orders.sqlite");
    let made = Command::new("/usr/bin/python3")
        .args([
            "-c",
            "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE t (id)')",
        ])
        .arg(&database)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "the database is made");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o666)).expect("the world is ours");
    let query = |sql: &str| ("database_query", json!({ "database": database, "sql": sql }));
    let insert = format!("/usr/bin/python3 -c \"{INSERT}\" {}", database.display());
    let server = ModelServer::start(vec![
        Scripted::Reply(
            "",
            vec![
                query("SELECT count(*) FROM t"),
                query("INSERT INTO t VALUES (1), (2)"),
                ("shell", json!({ "command": insert })),
            ],
        ),
        Scripted::Reply("That is all.", vec![]),
    ]);
    Invocation::run(world, name)
        .tier(tier, "enforce")
        .label("data", &place)
        .args(["--no-metrics", "--agent", "llm:openai/m", "--base-url", server.url().as_str()])
        .finish()
}

fn results(record: &Record) -> Vec<(bool, String)> {
    let results = record.transcript.iter().filter(|it| it["event"] == "result");
    results.map(|it| (it["ok"] == true, it["value"].to_string())).collect()
}

/// Writes on what is labelled `data`, by call, and whether they were violations.
fn writes(record: &Record) -> Vec<(Option<u64>, bool)> {
    // SQLite asks for a file to be made, and an open that is refused is on record as asked for.
    let is_write = |effect: &&Effect| matches!(effect.verb, Verb::OpenWrite | Verb::Create);
    let writes = record.effects.iter().filter(is_write);
    let on_data = writes.filter(|effect| effect.object.label == "data");
    on_data.map(|effect| (effect.call, effect.verdict.is_violation())).collect()
}

#[test]
fn a_query_works_at_its_tier_and_is_refused_below() {
    if in_machine() || !Path::new("/usr/bin/python3").exists() {
        return skip("a database is made with Python, which is not here");
    }
    until_whole(|| {
        let world = World::new();
        let record = run(&world, 3, "granted").record();
        record.assert_whole();
        let results = results(&record);
        assert!(results.iter().all(|(ok, _)| *ok), "{results:?}");
        assert!(
            results[0].1.contains("[[0]]") && results[1].1.contains("\"changed\":2"),
            "{results:?}"
        );
        let writes = writes(&record);
        assert!(writes.iter().all(|(_, violates)| !violates), "{writes:?}");
        assert!(
            writes.iter().all(|(call, _)| *call != Some(1)),
            "a question opened it for writing"
        );
        assert!(writes.iter().any(|(call, _)| *call == Some(2)), "{writes:?}");

        let world = World::new();
        let record = run(&world, 2, "below").record();
        record.assert_whole();
        let results = self::results(&record);
        assert!(results[0].1.contains("not a tool of tier 2"), "{results:?}");
        assert!(results.iter().all(|(ok, _)| !ok), "{results:?}");
        // By the shell it is the kernel that refuses.
        let writes = self::writes(&record);
        assert!(writes.contains(&(Some(3), true)), "{writes:?}");
    });
}

/// A PostgreSQL server of the test's own, on loopback.
struct Postgres {
    server: Child,
    port: u16,
    programs: PathBuf,
}

impl Postgres {
    /// Starts one; none where Debian's is not installed.
    fn start(world: &World) -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let programs = versions.flatten().map(|it| it.path().join("bin")).max()?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).ok()?.port();
        let data = world.directory("postgres").join("data");
        // It does not run as root.
        let as_postgres = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
            command.arg(programs.join(program)).current_dir("/").stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = as_postgres("initdb").args(["--auth=trust", "-D"]).arg(&data).status();
        made.ok().filter(ExitStatus::success)?;
        let server = as_postgres("postgres")
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-p", &port.to_string(), "-D"])
            .arg(&data)
            .spawn()
            .ok()?;
        let postgres = Self { server, port, programs };
        wait_for("the database server", || postgres.psql("SELECT 1"));
        Some(postgres)
    }

    fn address(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// What a statement gives, if it succeeds.
    fn psql(&self, sql: &str) -> Option<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-XAtc", sql, "-d", &self.address()]).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown; it is our child.
        let pid = nix::unistd::Pid::from_raw(self.server.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let _ = self.server.wait();
    }
}

#[test]
fn a_database_server_is_asked_at_its_tier_and_out_of_reach_below() {
    if in_machine() {
        return skip("there is no database server in a machine");
    }
    let world = World::new();
    let Some(postgres) = Postgres::start(&world) else {
        return skip("there is no PostgreSQL here");
    };
    let run = |tier: u8, name: &str| {
        let query =
            |sql: &str| ("database_query", json!({ "database": postgres.address(), "sql": sql }));
        let psql = format!("psql -XAtc 'DROP TABLE t' -d {}", postgres.address());
        let calls = vec![
            query("INSERT INTO t VALUES (1, 'x, \"y\"'), (2, NULL)"),
            query("SELECT * FROM t ORDER BY id"),
            query("SELECT nothing FROM t"),
            ("shell", json!({ "command": if tier == 3 { "true".to_owned() } else { psql } })),
        ];
        let server =
            ModelServer::start(vec![Scripted::Reply("", calls), Scripted::Reply("Done.", vec![])]);
        let ended = Invocation::run(&world, name)
            .tier(tier, "enforce")
            .args(["--label", &format!("data=tcp:127.0.0.1:{}", postgres.port), "--no-metrics"])
            .args(["--agent", "llm:openai/m", "--base-url", server.url().as_str()])
            .finish();
        ended.record()
    };
    postgres.psql("CREATE TABLE t (id integer, name text)").expect("the server is ours");

    let record = run(3, "granted");
    record.assert_whole();
    let told = results(&record);
    assert!(told[0].0 && told[1].0 && !told[2].0, "{told:?}");
    let rows: Value = serde_json::from_str(&told[1].1).expect("a value is JSON");
    assert_eq!(rows["rows"], json!([["1", "x, \"y\""], ["2", null]]));
    assert!(told[2].1.contains("does not exist"), "{told:?}");
    let connects: Vec<_> = record.effects.iter().filter(|it| it.verb == Verb::Connect).collect();
    for call in [1, 2, 3] {
        let own = |it: &&&Effect| it.call == Some(call) && it.object.label == "data";
        assert!(connects.iter().any(|it| own(&it)), "{connects:?}");
    }

    let record = run(2, "below");
    record.assert_whole();
    let told = results(&record);
    assert!(told.iter().all(|(ok, _)| !ok), "{told:?}");
    let denied = record.effects.iter().find(|it| it.verb == Verb::Connect && it.call == Some(4));
    let denied = denied.expect("the attempt is on record");
    assert!(denied.verdict.is_violation(), "{denied:?}");
    assert_eq!(postgres.psql("SELECT count(*) FROM t").as_deref(), Some("2"));
}
