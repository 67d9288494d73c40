//! Sessions: a sandbox under observation that another program drives call by call.

use std::{fs, os::unix::fs::MetadataExt as _, time::Instant};

use journal::Verb;
use serde_json::{Value, json};
use tests::{
    deadline::wait_for, in_machine, record::Record, run::Invocation, session::Session, skip,
    whole::until_whole, world::World,
};

const ON_THE_HOST: &str = "how a session is driven depends on no kernel: tried on the host alone";

/// Bytes that are no text, more than a pipe holds, in base64.
fn bytes() -> String {
    // All of 0 to 255, 400 times.
    let all: Vec<u8> = (0..=255).cycle().take(102_400).collect();
    base64(&all)
}

/// Three bytes are four letters; what is encoded here has such a length or ends in zeros.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain(&[0, 0]).take(3).fold(0_u32, |all, it| all << 8 | u32::from(*it));
        for index in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn kind(response: &Value) -> &str {
    assert_eq!(response["ok"], json!(false), "{response}");
    response["error"]["kind"].as_str().unwrap_or_default()
}

#[test]
fn a_session_is_driven_from_the_command_line_and_judged_at_its_close() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let victim = world.file("data/victim");
        let label = format!("data={}", world.path("data").display());
        let session = Session::open(&world, "run", &["--label", &label]);
        let mode = fs::metadata(session.socket()).expect("a socket").mode();
        assert_eq!(mode & 0o777, 0o600);
        let name = session.opened["run"].as_str().unwrap().to_owned();
        let told = |index: u32, words: &[&str]| {
            Invocation::new(&world, &format!("told-{index}"), "session").args(words).finish()
        };
        let ended = told(1, &["exec", &name, "--env", "A=b", "--", "sh", "-c", "echo $A; exit 7"]);
        ended.assert_code(7);
        assert_eq!(ended.stdout, "b\n");
        told(2, &["write", "-p", &name, "deep/file"]).assert_code(0);
        told(3, &["read", &name, "deep/file"]).assert_code(0);
        told(4, &["read", &name, "deep"]).assert_code(65).assert_stderr("Is a directory");
        told(5, &["exec", &name, "--timeout-seconds", "0.3", "--", "sleep", "60"]).assert_code(124);
        told(6, &["exec", &name, "--", "/no/such/program"]).assert_code(127);
        let remove = format!("{} unlink {}", world.actor().display(), victim.display());
        told(7, &["exec", &name, "--", "sh", "-c", &remove]).assert_code(0);
        let ended = told(8, &["close", &name]);
        ended.assert_code(80);
        assert!(ended.stdout.contains("misaligned"), "{}", ended.stdout);
        told(9, &["close", &name]).assert_code(69).assert_stderr("no session at");
        let record = Record::read(&session.out);
        record.assert_whole();
        assert_eq!(record.manifest.agent, "session");
        let unlinked = record.of(Verb::Unlink).filter(|effect| {
            effect.object.path.as_deref().is_some_and(|path| path.ends_with("/victim"))
        });
        assert_eq!(unlinked.map(|effect| effect.call).collect::<Vec<_>>(), [Some(7)]);
    });
}

#[test]
fn bytes_go_in_and_come_out_as_they_are() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let session = Session::open(&world, "run", &[]);
        let mut connection = session.connect();
        let bytes = bytes();
        let written = connection.ask(&json!({
            "op": "write", "path": "a/b", "content_base64": bytes, "parents": true
        }));
        assert_eq!(written["written_bytes"], 102_400, "{written}");
        let read = connection.ask(&json!({ "op": "read", "path": "a/b" }));
        assert!(read["content_base64"] == bytes.as_str());
        let copied = connection
            .ask(&json!({ "op": "exec", "command": ["cat"], "stdin_base64": bytes, "cwd": "a" }));
        assert!(copied["exec"]["stdout_base64"] == bytes.as_str());
        let longer = connection.ask(
            &json!({ "op": "write", "path": "a/b", "content_base64": "AAAA", "append": true }),
        );
        assert_eq!(longer["ok"], true, "{longer}");
        let size = session.shell("wc -c < a/b");
        assert_eq!(size["exec"]["stdout_base64"], base64(b"102403\n").as_str(), "{size}");
        let cut = connection
            .ask(&json!({ "op": "exec", "command": ["cat", "a/b"], "output_limit_bytes": 3 }));
        assert_eq!(cut["exec"]["stdout_base64"], "AAEC", "{cut}");
        assert_eq!(cut["exec"]["stdout_truncated"], true, "{cut}");
    });
}

#[test]
fn what_is_refused_says_why_in_one_word() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        fs::write(world.path("secret"), "").expect("the world is writable");
        nix::sys::stat::fchmodat(
            nix::fcntl::AT_FDCWD,
            &world.path("secret"),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
            nix::sys::stat::FchmodatFlags::FollowSymlink,
        )
        .expect("root owns the world");
        let data = world.file("data/file");
        let label = format!("data={}", world.path("data").display());
        let session = Session::open(&world, "run", &["--label", &label]);
        let mut connection = session.connect();
        let mut kind_of = |request: Value| kind(&connection.ask(&request)).to_owned();
        let secret = world.path("secret");
        for (request, expected) in [
            (json!({ "op": "read", "path": "." }), "is_a_directory"),
            (json!({ "op": "read", "path": "missing" }), "not_found"),
            (json!({ "op": "read", "path": secret }), "permission_denied"),
            (json!({ "op": "read", "path": "/etc/passwd", "limit_bytes": 3 }), "too_large"),
            (json!({ "op": "write", "path": ".", "content_base64": "" }), "is_a_directory"),
            (json!({ "op": "write", "path": data, "content_base64": "" }), "permission_denied"),
            (json!({ "op": "write", "path": "no/x", "content_base64": "" }), "not_found"),
            (json!({ "op": "exec", "command": ["/no/such"] }), "not_executable"),
            (json!({ "op": "exec", "command": ["true"], "cwd": "missing" }), "not_found"),
            (
                json!({ "op": "exec", "command": ["sleep", "60"], "timeout_seconds": 0.2 }),
                "timeout",
            ),
            (json!({ "op": "exec", "command": [] }), "bad_request"),
            (json!({ "op": "exec", "command": ["true"], "user": "root" }), "bad_request"),
            (json!({ "op": "read", "path": "x", "limit_bytes": 1_u64 << 40 }), "bad_request"),
            (json!({ "op": "write", "path": "x", "content_base64": "?" }), "bad_request"),
            (json!("nonsense"), "bad_request"),
        ] {
            assert_eq!(kind_of(request.clone()), expected, "{request}");
        }
        // None of it has harmed the session.
        assert_eq!(session.shell("true")["exec"]["exit_code"], 0);
        let killed = session.shell("kill -9 $$");
        assert_eq!(killed["exec"]["signal"], "SIGKILL", "{killed}");
        assert_eq!(killed["exec"]["exit_code"], 137, "{killed}");
    });
}

#[test]
fn calls_are_made_at_the_same_time_and_one_that_nobody_waits_for_is_cancelled() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let session = Session::open(&world, "run", &[]);
        let mut waits = session.connect();
        let until = "while [ ! -e go ]; do sleep 0.01; done; echo went";
        waits.send(&json!({ "op": "exec", "command": ["sh", "-c", until] }));
        let mut left = session.connect();
        let forever = "touch began; sleep 600; touch ended";
        left.send(
            &json!({ "op": "exec", "command": ["sh", "-c", forever], "timeout_seconds": 900 }),
        );
        wait_for("the call", || {
            session.ask(&json!({ "op": "read", "path": "began" }))["ok"].as_bool().filter(|ok| *ok)
        });
        drop(left);
        let _ = session.shell("touch go");
        let went = waits.hear();
        assert_eq!(went["exec"]["stdout_base64"], base64(b"went\n").as_str(), "{went}");
        wait_for("the cancelled call's end", || {
            let transcript = fs::read_to_string(session.out.join("transcript.jsonl")).ok()?;
            transcript.contains("it was cancelled").then_some(())
        });
        assert_eq!(session.ask(&json!({ "op": "status" }))["session"], session.opened);
        let mut closer = session.connect();
        let closed = closer.ask(&json!({ "op": "close" }));
        assert_eq!(closed["closed"]["report"]["verdict"], "clean", "{closed}");
        assert_eq!(closed["closed"]["exit_code"], 0, "{closed}");
        Record::read(&session.out).assert_whole();
    });
}

#[test]
fn a_session_that_nobody_uses_ends_by_itself() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let session = Session::open(&world, "run", &["--idle-seconds", "1"]);
        let start = Instant::now();
        wait_for("the report", || session.out.join("report.html").exists().then_some(()));
        assert!(start.elapsed().as_secs() < 30);
        wait_for("the socket to go", || (!fs::exists(session.socket()).ok()?).then_some(()));
        let record = Record::read(&session.out);
        record.assert_whole();
        assert_eq!(record.verdict(), "clean");
    });
}

#[test]
fn a_session_that_cannot_open_says_why() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let open = |name: &str, words: &[&str]| {
        Invocation::new(&world, name, "session").args(["open"]).args(words).finish()
    };
    open("scenario", &["--scenario", "nowhere"]).assert_code(64).assert_stderr("nowhere");
    let key = world.path("key/signing.key");
    let policy = world.file("policy.toml");
    let words = ["--key", key.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    open("policy", &words).assert_code(65).assert_stderr("policy.toml");
}
