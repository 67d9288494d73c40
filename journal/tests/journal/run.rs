//! A run directory as the writers make it.

use ebpf_common::{Verb, Verdict};
use journal::{
    Disposition, Effect, Entry, Evidence, Object, RunDir, Subject,
    files::name,
    scenario::Declared,
    sign::{self, Signature},
    transcript::Event,
    writer::{EffectWriter, TranscriptWriter},
};
use tempfile::TempDir;

pub(crate) const RUN: &str = "abcd1234";

/// An effect whose path looks like a seal.
pub(crate) fn effect(seq: u64) -> Effect {
    let object = Object {
        label: "data".into(),
        path: Some(format!("/srv/\",\"chain\":\"{seq}")),
        ..Object::default()
    };
    Effect {
        seq,
        boot_ns: seq * 1000,
        time: "2026-11-24T04:10:46.000000005Z".into(),
        subject: Subject { tgid: 7, tid: 7, uid: 1000, comm: "rm".into(), ..Subject::default() },
        call: Some(1),
        verdict: Verdict::Deny,
        disposition: Disposition::Prevented,
        outcome: Some("EPERM".into()),
        reason: "storage needs tier 3".into(),
        ..Effect::done(Verb::Unlink, object)
    }
}

/// Writes both journals.
pub(crate) fn write_journals(directory: &RunDir, effects: u64, texts: &[&str]) {
    let mut writer = EffectWriter::create(directory, RUN).unwrap();
    for seq in 0..effects {
        writer.append(&effect(seq)).unwrap();
    }
    writer.flush().unwrap();
    let mut writer = TranscriptWriter::create(directory, RUN).unwrap();
    for text in texts {
        let event = Event::Note { text: (*text).into() };
        writer.append(&Entry { boot_ns: 1, event }).unwrap();
    }
    writer.flush().unwrap();
}

/// A signed run directory with five effects and two transcript lines; its key is `keys/signing.key`.
pub(crate) fn signed() -> (TempDir, RunDir, Signature) {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    write_journals(&directory, 5, &["begin", "end"]);
    directory.replace(name::POLICY, b"tier = 1\n").unwrap();
    directory.write_declared(&Declared::default()).unwrap();
    directory.write_evidence(&Evidence::default()).unwrap();
    let key = sign::signing_key(&temp.path().join("keys/signing.key")).unwrap();
    let signature = sign::sign(&directory, RUN, &key).unwrap();
    (temp, directory, signature)
}
