//! Measures how fast effects are appended, signed and verified: `cargo run --release -p journal
//! --example append -- 200000`.

use std::{error::Error, time::Instant};

use journal::{Effect, Object, RunDir, Subject, Verb, sign, verify::verify, writer::EffectWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).unwrap_or_else(|| "200000".into()).parse()?;
    let scratch = std::env::temp_dir().join(format!("belljar-append-{}", std::process::id()));
    let directory = RunDir::create(scratch.join("run"))?;
    let object = Object {
        label: "workspace".into(),
        path: Some("/tmp/belljar/abcd1234/workspace/some/file".into()),
        device: Some("0:45".into()),
        inode: Some(123_456),
        ..Object::default()
    };
    let mut effect = Effect {
        time: "2026-11-24T04:10:46.000000005Z".into(),
        subject: Subject {
            tgid: 4711,
            tid: 4711,
            uid: 61_000,
            exe: Some("/usr/bin/rm".into()),
            comm: "rm".into(),
            exec_id: Some(3),
        },
        call: Some(1),
        ..Effect::done(Verb::Unlink, object)
    };
    let start = Instant::now();
    let mut writer = EffectWriter::create(&directory, "abcd1234")?;
    for seq in 0..count {
        effect.seq = seq;
        effect.boot_ns = seq * 1000;
        writer.append(&effect)?;
    }
    writer.flush()?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("appended {count} lines, {rate:.0} a second");
    let key = sign::signing_key(&scratch.join("key"))?;
    let start = Instant::now();
    sign::sign(&directory, "abcd1234", &key)?;
    println!("signed in {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    assert!(verify(&directory, None).holds());
    println!("verified in {:.2} s", start.elapsed().as_secs_f64());
    std::fs::remove_dir_all(scratch)?;
    Ok(())
}
