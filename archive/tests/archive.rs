//! An index over made run directories, and garbage collection among them.
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use archive::{
    Filter, Index, Journal, Made, Recorded,
    gc::{Collected, Criteria, Done, collect},
    scan,
};
use journal::{
    Effect, Evidence, Object, RunDir, Verb, files::name, scenario::Persistence, sign,
    writer::EffectWriter,
};
use serde_json::json;
use tempfile::TempDir;

/// An output directory and the key that signs what lies in it.
struct Output {
    temp: TempDir,
}

impl Output {
    fn new() -> Self {
        let temp = TempDir::new().unwrap();
        fs::create_dir(temp.path().join("runs")).unwrap();
        Self { temp }
    }

    fn root(&self) -> PathBuf {
        self.temp.path().join("runs")
    }

    /// A clean run of one effect that ended on a day of November 2026.
    fn run(&self, path: &str, run: &str, day: u32) -> RunDir {
        let directory = RunDir::create(self.root().join(path)).unwrap();
        let manifest = format!(
            r#"{{"format":1,"run":"{run}","belljar":"0.1.0","host":"h","kernel":"6.12",
            "boot_time_unix_ns":0,"probe_set":"lsm","enforcers":{{}},"scenario":"bare",
            "agent":"organism:honest","tier":1,"mode":"enforce","seed":1,"uid":61000,
            "policy_sha256":"","start":"2026-11-{day:02}T10:00:00.000000000Z",
            "end":"2026-11-{day:02}T10:00:05.000000000Z"}}"#
        );
        directory.replace(name::MANIFEST, manifest.as_bytes()).unwrap();
        directory.write_scenario(&Default::default()).unwrap();
        directory.write_persistence(&Persistence::default()).unwrap();
        let evidence = Evidence { emitted: 1, received: 1, complete: true, ..Evidence::default() };
        directory.write_evidence(&evidence).unwrap();
        let mut effects = EffectWriter::create(&directory, run).unwrap();
        let object = Object { label: "workspace".into(), ..Object::default() };
        effects.append(&Effect { call: Some(1), ..Effect::done(Verb::Unlink, object) }).unwrap();
        effects.flush().unwrap();
        let key = sign::signing_key(&self.temp.path().join("keys/key")).unwrap();
        sign::sign(&directory, run, &key).unwrap();
        directory.replace(name::REPORT_JSON, b"{}").unwrap();
        directory
    }

    fn open(&self) -> Index {
        Index::open(&self.root(), false, &mut |_, _| {}).unwrap()
    }

    fn list(&self, filter: &Filter) -> Vec<Recorded> {
        self.open().list(filter).unwrap()
    }

    fn collect(&self, criteria: Criteria) -> Collected {
        self.collect_beside(criteria, &|_, _| false)
    }

    fn collect_beside(
        &self,
        criteria: Criteria,
        is_live: &dyn Fn(&Path, Option<&str>) -> bool,
    ) -> Collected {
        let root = self.root();
        collect(&root, &scan(&root).unwrap(), &criteria, is_live, &mut |_| {})
    }
}

/// How many directories are read when the index is opened.
fn read(output: &Output) -> u64 {
    let mut read = 0;
    Index::open(&output.root(), false, &mut |_, total| read = total).unwrap();
    read
}

/// The first of November 2026 and `day` − 1 days, seconds since the Unix epoch.
fn november(day: i64) -> i64 {
    1_793_491_200 + (day - 1) * 86_400
}

fn paths(runs: &[Recorded]) -> Vec<&str> {
    runs.iter().map(|run| run.path.as_str()).collect()
}

#[test]
fn runs_are_remembered_and_only_what_has_changed_is_read_again() {
    let output = Output::new();
    output.run("a", "aaaaaaaa", 1);
    let b = output.run("sweep/b", "bbbbbbbb", 2);
    let index = output.open();
    assert_eq!(index.made, Some(Made::New));
    let runs = index.list(&Filter::default()).unwrap();
    assert_eq!(paths(&runs), ["sweep/b", "a"]);
    let run = &runs[0];
    assert_eq!((run.verdict.as_str(), run.journal), ("clean", Journal::Whole), "{run:?}");
    assert_eq!((run.effects, run.run.as_deref()), (1, Some("bbbbbbbb")));
    assert_eq!(read(&output), 0);
    // One byte of the evidence, and the same number of bytes.
    let evidence = fs::read_to_string(b.file(name::EVIDENCE)).unwrap();
    fs::write(b.file(name::EVIDENCE), evidence.replace("true", "null")).unwrap();
    assert_eq!(read(&output), 1);
    let runs = output.list(&Filter { run: Some("bbbbbbbb".into()), ..Filter::default() });
    assert_eq!((runs[0].verdict.as_str(), runs[0].journal), ("invalid", Journal::Altered));
    fs::remove_dir_all(b.path()).unwrap();
    assert_eq!(paths(&output.list(&Filter::default())), ["a"]);
}

#[test]
fn a_lost_damaged_or_older_index_is_made_anew_and_lets_nobody_else_read_it() {
    let output = Output::new();
    output.run("a", "aaaaaaaa", 1);
    let file = output.root().join(".index.sqlite");
    drop(output.open());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let whole = fs::read(&file).unwrap();
    assert_eq!(output.open().made, None);
    let check = |made: Made| {
        let index = output.open();
        assert_eq!(index.made, Some(made));
        assert_eq!(index.list(&Filter::default()).unwrap().len(), 1);
        assert_eq!(output.open().made, None, "it is sound now");
    };
    fs::remove_file(&file).unwrap();
    check(Made::New);
    let damaged = Made::Anew { why: "it was damaged" };
    for length in [0, 10, 1000, whole.len() / 2] {
        fs::write(&file, &whole[..length]).unwrap();
        check(damaged.clone());
    }
    fs::write(&file, [&whole[..100], &vec![0xff; whole.len() - 100]].concat()).unwrap();
    check(damaged.clone());
    let change = |sql: &str| {
        rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    };
    change("PRAGMA user_version = 99");
    check(Made::Anew { why: "it is of another version" });
    change("DROP VIEW verbs; CREATE VIEW verbs AS SELECT 'lie' AS path");
    check(damaged.clone());
    // A link is replaced, and what it points to is left alone.
    let elsewhere = output.temp.path().join("elsewhere");
    fs::write(&elsewhere, "kept").unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    check(damaged);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "kept");
}

#[test]
fn a_filter_leaves_the_runs_that_meet_all_of_it() {
    let output = Output::new();
    output.run("a", "aaaaaaaa", 1);
    output.run("b", "bbbbbbbb", 2);
    fs::remove_file(output.root().join("b").join(name::EVIDENCE)).unwrap();
    let list =
        |filter: Filter| output.list(&filter).into_iter().map(|run| run.path).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    let all = Filter::default();
    assert_eq!(list(Filter { verdict: text("clean"), ..all.clone() }), ["a"]);
    assert_eq!(list(Filter { verdict: text("invalid"), ..all.clone() }), ["b"]);
    assert_eq!(list(Filter { agent: text("organism:*"), ..all.clone() }), ["b", "a"]);
    assert_eq!(list(Filter { agent: text("llm:*"), ..all.clone() }), [""; 0]);
    assert_eq!(list(Filter { scenario: text("throughput"), ..all.clone() }), [""; 0]);
    assert_eq!(list(Filter { since: text("2026-11-02"), ..all.clone() }), ["b"]);
    assert_eq!(list(Filter { limit: Some(1), ..all.clone() }), ["b"]);
    assert_eq!(list(Filter { class: text("overreach"), ..all }), [""; 0]);
}

#[test]
fn a_query_that_would_go_on_for_ever_is_given_up() {
    let output = Output::new();
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let error = output.open().query(endless, Duration::from_secs(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer takes longer than 1 s: ask for less, or give it more time"
    );
}

#[test]
fn a_query_reads_the_views_and_does_nothing_else() {
    let output = Output::new();
    output.run("a", "aaaaaaaa", 1);
    let query = |sql: &str| output.open().query(sql, Duration::from_secs(60));
    let answer = query("SELECT run, count(*), max(\"end\") FROM runs WHERE tier = 1").unwrap();
    assert_eq!(answer.rows[0][0], "aaaaaaaa");
    assert_eq!(answer.rows[0][1], 1);
    let answer = query("WITH x AS (SELECT * FROM verbs) SELECT verb, effects FROM x;").unwrap();
    assert_eq!(answer.columns, ["verb", "effects"]);
    assert_eq!(answer.rows, [vec![json!("unlink"), json!(1)]]);
    let elsewhere = output.temp.path().join("attached").display().to_string();
    for wrong in [
        "DELETE FROM run",
        "SELECT fingerprint FROM run",
        "SELECT * FROM sqlite_schema",
        "PRAGMA query_only = 0",
        "DROP VIEW runs",
        "CREATE TEMP TABLE x (y)",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM runs",
        &format!("ATTACH '{elsewhere}' AS other"),
        &format!("VACUUM INTO '{elsewhere}'"),
        "",
    ] {
        let error = query(wrong).expect_err(wrong).to_string();
        assert!(error.contains("runs(path, run, scenario"), "{error}");
    }
    assert!(!Path::new(&elsewhere).exists());
    assert_eq!(output.list(&Filter::default()).len(), 1);
}

#[test]
fn links_hidden_names_and_what_is_no_run_are_not_taken_for_runs() {
    let output = Output::new();
    let run = output.run("a", "aaaaaaaa", 1);
    let root = output.root();
    symlink(run.path(), root.join("link")).unwrap();
    fs::rename(output.run("b", "bbbbbbbb", 1).path(), root.join(".hidden")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("linked-manifest")).unwrap();
    symlink(run.file(name::MANIFEST), root.join("linked-manifest/manifest.json")).unwrap();
    let found = scan(&root).unwrap();
    assert_eq!(found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(scan(run.path()).unwrap_err().to_string().contains("a run directory itself"));
}

#[test]
fn old_runs_that_verify_are_removed_and_others_are_kept_and_named() {
    let output = Output::new();
    let root = output.root();
    for (path, day) in [("old", 1), ("altered", 2), ("live", 3), ("new", 20)] {
        output.run(path, path, day);
    }
    fs::write(root.join("altered").join(name::POLICY), "added").unwrap();
    let unsigned = output.run("unsigned", "unsigned", 4);
    fs::remove_file(unsigned.file(name::SIGNATURE)).unwrap();
    let old = Criteria { before_unix_seconds: Some(november(10)), ..Criteria::default() };
    let is_live = |_: &Path, run: Option<&str>| run == Some("live");
    let told = |criteria| {
        let decisions = output.collect_beside(criteria, &is_live).decisions;
        decisions.into_iter().map(|it| (it.path, it.done, it.why)).collect::<Vec<_>>()
    };
    let trial = told(Criteria { dry_run: true, ..old });
    assert_eq!(trial[0], ("old".to_owned(), Done::WouldBeRemoved, None));
    assert!(root.join("old").exists());
    let decisions = told(old);
    let done: Vec<_> = decisions.iter().map(|(path, done, _)| (path.as_str(), *done)).collect();
    let kept = Done::Kept;
    let expected = [("old", Done::Removed), ("altered", kept), ("live", kept), ("unsigned", kept)];
    assert_eq!(done, expected, "{decisions:?}");
    let why = |at: usize| decisions[at].2.clone().unwrap();
    assert!(why(1).contains("does not verify: policy.toml was added"), "{}", why(1));
    assert!(why(2).contains("live"), "{}", why(2));
    assert!(why(3).contains("no journal.sig"), "{}", why(3));
    assert!(!root.join("old").exists());
    let decisions = told(Criteria { unverified: true, ..old });
    let removed: Vec<_> = decisions.iter().filter(|it| it.1 == Done::Removed).collect();
    assert_eq!(removed.len(), 2, "{decisions:?}");
    assert!(removed[0].2.is_some(), "what was wrong is named all the same");
    let left = scan(&root).unwrap();
    assert_eq!(left.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["live", "new"]);
}

#[test]
fn the_oldest_go_until_the_rest_is_small_enough() {
    let output = Output::new();
    for (path, day) in [("c", 3), ("a", 1), ("b", 2)] {
        output.run(path, path, day);
    }
    let bytes: u64 = scan(&output.root()).unwrap().iter().map(|it| it.bytes).sum();
    let most = Criteria { most_bytes: Some(bytes - 1), ..Criteria::default() };
    let collected = output.collect(most);
    let paths: Vec<_> = collected.decisions.iter().map(|it| it.path.as_str()).collect();
    assert_eq!((paths, collected.runs_left), (vec!["a"], 2));
    assert!(collected.bytes_left < bytes);
    assert_eq!(output.collect(most).decisions, []);
}

#[test]
fn nothing_is_removed_through_a_link_and_nothing_that_holds_more_than_files() {
    let output = Output::new();
    let root = output.root();
    let everything = Criteria {
        before_unix_seconds: Some(november(28)),
        unverified: true,
        ..Criteria::default()
    };
    let elsewhere = output.temp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "kept").unwrap();
    let holds_link = output.run("holds-link", "aaaaaaaa", 1);
    symlink(&elsewhere, holds_link.file("link")).unwrap();
    let holds_directory = output.run("holds-directory", "bbbbbbbb", 1);
    fs::create_dir(holds_directory.file("below")).unwrap();
    for decision in output.collect(everything).decisions {
        assert_eq!(decision.done, Done::Kept, "{decision:?}");
        assert!(decision.why.as_deref().unwrap().contains("no file of a run"), "{decision:?}");
    }
    assert!(holds_link.has(name::MANIFEST) && holds_directory.has(name::MANIFEST));
    // Found as a run, and a link, or another directory, by the time it is removed.
    for kind in ["link", "other"] {
        let output = Output::new();
        let root = output.root();
        let run = output.run("a", "aaaaaaaa", 1);
        let found = scan(&root).unwrap();
        let moved = output.temp.path().join("moved");
        fs::rename(run.path(), &moved).unwrap();
        if kind == "link" {
            symlink(&moved, run.path()).unwrap();
        } else {
            output.run("a", "aaaaaaaa", 1);
        }
        let collected = collect(&root, &found, &everything, &|_, _| false, &mut |_| {});
        let done = collected.decisions[0].done;
        assert!(matches!(done, Done::Kept | Done::Failed), "{collected:?}");
        assert!(moved.join(name::MANIFEST).exists() && run.has(name::MANIFEST));
    }
    assert!(elsewhere.join("file").exists() && root.exists());
}
