//! Secrets that the policy names reach no file of the run directory.

use std::{fs, path::Path};

use tests::{
    in_machine,
    run::{Ended, Invocation},
    skip,
    world::World,
};

const ON_THE_HOST: &str = "what is written depends on no kernel: tried on the host alone";

const TOKEN: &str = "tok-0123456789-abcdefghij";
/// JSON and the escapes of paths spell it otherwise.
const PASSWORD: &str = "pass\"word\\with spaces";

fn policy(world: &World) -> std::path::PathBuf {
    let file = world.path("password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("the world is writable");
    let policy = world.path("policy.toml");
    let text = format!(
        "version = 1\nname = \"redacting\"\n\n[redact]\nenvironment = [\"TOKEN\", \"NOT_SET\"]\n\
         files = [\"{}\"]\npatterns = [\"sk-[a-z]{{12}}\"]\n",
        file.display()
    );
    fs::write(&policy, text).expect("the world is writable");
    policy
}

/// Every spelling that must not be found, and the beginnings that would give one away.
fn spellings() -> Vec<String> {
    let json = |text: &str| {
        let quoted = serde_json::to_string(text).expect("it is text");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let escaped = PASSWORD.replace('\\', "\\\\");
    let mut spellings = vec![
        TOKEN.to_owned(),
        // The kernel cuts a command's name.
        TOKEN[..15].to_owned(),
        PASSWORD.to_owned(),
        json(PASSWORD),
        escaped.clone(),
        json(&escaped),
        json(&json(PASSWORD)),
        "sk-abcdefghijkl".to_owned(),
    ];
    // As the page spells it.
    spellings.push(PASSWORD.replace('"', "&quot;"));
    spellings.push(PASSWORD.replace('"', "&#34;"));
    spellings
}

fn search(directory: &Path) {
    let mut files = 0;
    for entry in fs::read_dir(directory).expect("root may").flatten() {
        let bytes = fs::read(entry.path()).expect("root may");
        let text = String::from_utf8_lossy(&bytes);
        for spelling in spellings() {
            if let Some(at) = text.find(&spelling) {
                let start = text.floor_char_boundary(at.saturating_sub(200));
                let end = text.ceil_char_boundary((at + 100).min(text.len()));
                panic!("{spelling:?} in {:?}: {}", entry.file_name(), &text[start..end]);
            }
        }
        files += 1;
    }
    assert!(files >= 10, "a whole run directory");
}

fn run(world: &World, script: &str) -> Ended {
    Invocation::run(world, "run")
        .tier(0, "enforce")
        .args(["--no-metrics", "--env", &format!("TOKEN={TOKEN}"), "--policy"])
        .args([policy(world)])
        .args(["--", "sh", "-c", script, "name", PASSWORD, &format!("its {TOKEN} is here")])
        .finish()
}

#[test]
fn no_file_of_a_run_directory_holds_a_secret_that_the_policy_names() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    // Said whole and in halves, as paths, as a program and its name, as arguments, and left
    // running.
    let script = r#"
        echo "$TOKEN"; echo "$1" >&2; printf 'sk-abcdefghijkl\n'
        printf '%s' "${TOKEN%?????????}"; sleep 0.1; printf '%s\n' "${TOKEN#????????????????}"
        mkdir "$TOKEN" && echo x > "$TOKEN/$1" && mv "$TOKEN/$1" "$TOKEN/x$1" && rm -r "$TOKEN"
        cp "$(command -v sleep)" "./$TOKEN" && { "./$TOKEN" 60 & }
        sh -c 'exit 0' "$1"
    "#;
    let ended = run(&world, script);
    let record = ended.record();
    record.assert_whole();
    search(&ended.out);
    // What was there is marked.
    let read = |name: &str| fs::read_to_string(ended.out.join(name)).expect("it is there");
    let marker = format!("[redacted {} bytes]", TOKEN.len());
    for name in ["effects.jsonl", "transcript.jsonl", "manifest.json", "persistence.json"] {
        assert!(read(name).contains(&marker), "{name}");
    }
    assert!(read("transcript.jsonl").contains("[redacted 15 bytes]"), "the pattern's");
    assert!(read("policy.toml").contains("NOT_SET"), "the policy stays as it was given");
    // Before it was chained and signed.
    let verified = Invocation::new(&world, "verify", "verify").args([&ended.out]).finish();
    verified.assert_code(0);
    ended.assert_stderr("NOT_SET");
    let json = Invocation::new(&world, "report", "report").args(["json"]).args([&ended.out]);
    assert!(!json.finish().assert_code(0).stdout.contains(TOKEN));
}

#[test]
fn what_is_kept_out_of_the_record_is_kept_out_of_the_lines_that_tell_of_calls() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let ended = run(&world, "printf 'a\nb'");
    let line = ended.stderr.lines().find(|line| line.starts_with("  call 1: command"));
    let line = line.unwrap_or_else(|| panic!("no line tells of the call: {}", ended.stderr));
    assert!(spellings().iter().all(|spelling| !line.contains(spelling)), "{line}");
    assert!(line.contains("[redacted"), "{line}");
    // Escaped once, and not as JSON of what was escaped.
    assert!(line.contains("printf 'a\\x0ab'") && !line.contains("\\\\"), "{line}");
}

#[test]
fn secrets_that_cannot_be_kept_out_are_refused_before_anything_starts() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let refused = |redact: &str, text: &str| {
        let policy = world.path("wrong.toml");
        let head = "version = 1\nname = \"x\"\n\n[redact]\n";
        fs::write(&policy, format!("{head}{redact}\n")).expect("the world is writable");
        let ended = Invocation::run(&world, "refused")
            .args(["--env", "SHORT=abc", "--env", "NAME=redacted-in-vain", "--policy"])
            .args([&policy])
            .args(["--", "true"])
            .finish();
        ended.assert_code(65).assert_stderr(text);
        assert!(!ended.out.exists());
        ended
    };
    refused("files = [\"/does/not/exist\"]", "/does/not/exist");
    refused("environment = [\"SHORT\"]", "SHORT");
    refused("patterns = [\"(\"]", "wrong.toml:5");
    refused("patterns = [\"a*\"]", "found everywhere");
    refused("enviroment = [\"X\"]", "environment");
    refused("files = [\"relative\"]", "no absolute path");
    let ended = refused("environment = [\"NAME\"]\n# redacted-in-vain", "holds the secret");
    assert!(!ended.stderr.contains("redacted-in-vain"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_kept_out_is_refused_before_anything_starts() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let pipe = world.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("the world is writable");
    let policy = world.path("policy.toml");
    for (redact, secret, told) in [
        ("environment = [\"TOKEN\"]", "oversight", "occurs in `oversight`"),
        ("environment = [\"TOKEN\"]", "several lines\nverdict", "occurs in `verdict`"),
        ("patterns = [\"s[aeiou]ccomp\"]", "", "occurs in `seccomp`"),
        (&format!("files = [\"{}\"]", pipe.display()), "", "no regular file"),
        ("files = [\"/dev/zero\"]", "", "no regular file"),
    ] {
        let text = format!("version = 1\nname = \"redacting\"\n\n[redact]\n{redact}\n");
        fs::write(&policy, text).expect("the world is writable");
        let ended = Invocation::run(&world, "run")
            .env("TOKEN", secret)
            .args(["--no-metrics", "--policy"])
            .args([&policy])
            .args(["--", "true"])
            .finish();
        ended.assert_code(65).assert_stderr(told);
        assert!(!ended.out.exists(), "{redact}");
    }
}

#[test]
fn a_line_of_a_secret_of_many_is_one_wherever_the_secret_comes_from() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let policy = world.path("policy.toml");
    let text = "version = 1\nname = \"redacting\"\n\n[redact]\nenvironment = [\"TOKEN\"]\n";
    fs::write(&policy, text).expect("the world is writable");
    let ended = Invocation::run(&world, "run")
        .env("TOKEN", "linefirst1\nlinesecond2")
        .args(["--no-metrics", "--policy"])
        .args([&policy])
        .args(["--", "sh", "-c", "echo linesecond2"])
        .finish();
    ended.assert_code(0);
    for entry in fs::read_dir(&ended.out).expect("root may").flatten() {
        let text = fs::read(entry.path()).expect("root may");
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("linesecond2"), "{:?}", entry.file_name());
    }
}

/// Keys of an object and of all below it, but for what an agent put in.
fn keys(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                into.insert(key.clone());
                if key != "arguments" {
                    keys(value, into);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

#[test]
fn every_key_of_a_record_is_a_word_that_no_secret_may_take_away() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let ended = Invocation::run(&world, "run")
        .args(["--no-metrics", "--scenario", "throughput", "--agent", "organism:greedy-killer"])
        .finish();
    let mut found = std::collections::BTreeSet::new();
    for name in ["manifest", "evidence", "declared", "persistence", "baseline"] {
        let text = fs::read_to_string(ended.out.join(format!("{name}.json"))).expect("it is there");
        keys(&serde_json::from_str(&text).expect("it is JSON"), &mut found);
    }
    for name in ["effects", "transcript", "objective"] {
        let text =
            fs::read_to_string(ended.out.join(format!("{name}.jsonl"))).expect("it is there");
        for line in text.lines() {
            keys(&serde_json::from_str(line).expect("it is JSON"), &mut found);
        }
    }
    // Labelled paths and addresses are keys, and whose they are no format says.
    found.retain(|key| !key.contains(['/', ':']));
    let known: Vec<_> = journal::words::words().collect();
    let unknown: Vec<_> = found.iter().filter(|key| !known.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
