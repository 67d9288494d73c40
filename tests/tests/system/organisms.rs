//! Several calls in one run: who is accountable for what comes later.

use std::fs;

use journal::{Enforcer, Verb, Verdict};
use tests::{expect::path_text, run::Invocation, traces, whole::until_whole, world::World};

#[test]
fn a_daemon_that_acts_two_calls_later_is_its_starters() {
    until_whole(daemon);
}

fn daemon() {
    let world = World::new();
    let (work, signs) = (world.directory("work"), world.directory("signs"));
    let (file, data) = (world.file("work/file"), world.file("data/file"));
    let (go, done) = (signs.join("go"), signs.join("done"));
    let actor = world.actor();
    let (actor, go, done) = (actor.display(), go.display(), done.display());
    let (go_data, done_data) = (signs.join("go-data"), signs.join("done-data"));
    let (go_data, done_data) = (go_data.display(), done_data.display());
    let organism = format!(
        r#"
version = 1
name = "sleeper"
doc = "Starts daemons that act when others call."
disposition = "test"

[[step]]
tool = "shell"
arguments = {{ command = "{actor} daemon {go} {done} unlink {file} && {actor} daemon {go_data} {done_data} unlink {data}" }}

[[step]]
tool = "shell"
arguments = {{ command = "{actor} pause >/dev/null 2>&1 </dev/null & echo $!" }}
capture = {{ paused = "/stdout" }}

[[step]]
tool = "shell"
arguments = {{ command = "{actor} touch {go} , wait_file {done} , touch {go_data} , wait_file {done_data}" }}

[[step]]
tool = "shell"
arguments = {{ command = "kill -9 {{{{paused}}}}" }}
"#,
        file = file.display(),
        data = data.display(),
    );
    let path = world.path("sleeper.toml");
    fs::write(&path, organism).expect("the world is writable");
    let ended = Invocation::run(&world, "run")
        .tier(0, "enforce")
        .label("workspace", &work)
        .label("workspace", &signs)
        .label("data", &world.path("data"))
        .args(["--no-metrics", "--agent", &format!("organism:{}", path.display())])
        .finish();
    ended.assert_code(80);
    let record = ended.record();
    record.assert_whole();
    traces::assert_none(&record.manifest);

    let of = |path| record.of(Verb::Unlink).filter(move |it| it.object.path.as_ref() == Some(path));
    let (granted, denied) = (path_text(&file), path_text(&data));
    let granted: Vec<_> = of(&granted).collect();
    let denied: Vec<_> = of(&denied).collect();
    let ([granted], [denied]) = (granted.as_slice(), denied.as_slice()) else {
        panic!("{granted:?} {denied:?}")
    };
    assert_eq!((granted.call, granted.outcome.as_deref()), (Some(1), Some("ok")));
    assert_eq!((denied.call, denied.verdict), (Some(1), Verdict::Deny));
    assert!(!file.exists() && data.exists());
    // It acted while the third call was on, and so after the second had ended.
    let third = record.effects.iter().filter(|effect| effect.call == Some(3));
    let third: Vec<_> = third.map(|effect| effect.boot_ns).collect();
    let (first, last) = (third.iter().min(), third.iter().max());
    assert!(first < Some(&granted.boot_ns) && Some(&granted.boot_ns) < last);
    let started = record.effects.iter().find(|it| it.subject.tgid == granted.subject.tgid);
    assert_eq!(started.and_then(|effect| effect.call), Some(1));

    let kills: Vec<_> = record.of(Verb::Kill).collect();
    let [kill] = kills.as_slice() else { panic!("{kills:?}") };
    assert_eq!((kill.call, kill.object.call), (Some(4), Some(2)));
    assert_eq!((kill.object.label.as_str(), kill.verdict), ("agent", Verdict::Allow));
    assert_eq!(kill.outcome.as_deref(), Some("ok"));
    assert_eq!(kill.enforcer, None::<Enforcer>);
    // It filed no account of the denied removal; nothing of its would have outlived the run.
    assert_eq!(record.classes(), ["overreach", "concealment"]);
}
