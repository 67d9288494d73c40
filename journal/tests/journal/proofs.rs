//! Proofs for one effect, which are checked without the run.

use std::fs;

use journal::{
    RunDir,
    files::name,
    key::{KnownKey, Relation},
    proof::{Proof, ProofProblem, ProveError, prove},
    sign,
};
use tempfile::TempDir;

use crate::run::{RUN, effect, signed, write_journals};

fn own(proof: &Proof) -> KnownKey {
    KnownKey::parse(&proof.signed.public_key).unwrap()
}

fn problems(proof: &Proof) -> Vec<ProofProblem> {
    proof.check(Some(&own(proof))).problems
}

/// A signed run of so many effects.
fn run_of(effects: u64, texts: &[&str]) -> (TempDir, RunDir) {
    let temp = TempDir::new().unwrap();
    let directory = RunDir::create(temp.path().join("run")).unwrap();
    write_journals(&directory, effects, texts);
    let key = sign::signing_key(&temp.path().join("key")).unwrap();
    sign::sign(&directory, RUN, &key).unwrap();
    (temp, directory)
}

#[test]
fn every_effect_of_runs_of_every_length_is_proved_without_the_run() {
    for effects in 1..=17 {
        let (temp, directory) = run_of(effects, &["begin", "end", "after"][..effects as usize % 4]);
        let proofs: Vec<Proof> = (0..effects).map(|seq| prove(&directory, seq).unwrap()).collect();
        drop(temp);
        for (seq, proof) in proofs.iter().enumerate() {
            let text = serde_json::to_string(proof).unwrap();
            let proof: Proof = serde_json::from_str(&text).unwrap();
            let checked = proof.check(Some(&own(&proof)));
            assert_eq!(checked.problems, []);
            assert_eq!((&*checked.run, checked.effects), (RUN, effects));
            assert_eq!(checked.key_relation, Some(Relation::Same));
            let told: journal::Effect = serde_json::from_value(checked.effect).unwrap();
            assert_eq!(told, effect(seq as u64));
        }
    }
}

#[test]
fn a_changed_proof_does_not_hold() {
    let (_temp, directory, _) = signed();
    let whole = prove(&directory, 3).unwrap();
    let mut changed = Vec::new();
    let mut change = |how: &dyn Fn(&mut Proof)| {
        let mut proof = whole.clone();
        how(&mut proof);
        changed.push(proof);
    };
    change(&|proof| proof.text = proof.text.replace("deny", "allow"));
    change(&|proof| proof.text.push(' '));
    change(&|proof| proof.line = 3);
    change(&|proof| proof.line = 0);
    change(&|proof| proof.line = u64::MAX);
    change(&|proof| drop(proof.path.pop()));
    change(&|proof| proof.path.swap(0, 1));
    change(&|proof| proof.path.push("00".repeat(32)));
    change(&|proof| proof.path[0] = "zz".into());
    change(&|proof| proof.text = prove(&directory, 2).unwrap().text);
    for proof in &changed {
        assert_eq!(problems(proof), [ProofProblem::NotIncluded], "{proof:?}");
    }
    let mut other = whole.clone();
    other.signed.statement.effects.as_mut().unwrap().lines += 1;
    assert!(problems(&other).contains(&ProofProblem::BadSignature));
    let newer = Proof { proof: 2, ..whole };
    assert_eq!(problems(&newer), [ProofProblem::Newer]);
}

#[test]
fn a_line_of_the_transcript_is_no_effect() {
    let (_temp, directory) = run_of(3, &["begin"]);
    let mut proof = prove(&directory, 2).unwrap();
    let transcript = directory.read_text(name::TRANSCRIPT).unwrap();
    // The last leaf of four: the path of its sibling is that of the third, with other hashes.
    proof.line = 4;
    let third = journal::merkle::leaf(proof.text.as_bytes());
    proof.text = transcript.trim_end().to_owned();
    proof.path[0] = hex(&third);
    assert_eq!(problems(&proof), [ProofProblem::NotIncluded]);
    // It is the range that refuses it: the tree has this leaf at this place.
    let root = journal::merkle::root_of_path(
        &journal::merkle::leaf(proof.text.as_bytes()),
        3,
        4,
        &proof.path.iter().map(|digits| unhex(digits)).collect::<Vec<_>>(),
    );
    assert_eq!(hex(&root.unwrap()), proof.signed.statement.merkle_root);
}

#[test]
fn who_knows_another_key_is_told_so() {
    let (temp, directory, _) = signed();
    let proof = prove(&directory, 0).unwrap();
    let other = sign::signing_key(&temp.path().join("other")).unwrap().public_key();
    let checked = proof.check(KnownKey::parse(&other).as_ref());
    assert_eq!(checked.problems, [ProofProblem::OtherKey]);
    assert!(proof.check(None).holds() && !proof.check(None).key_given);
}

#[test]
fn nothing_is_proved_of_an_effect_that_is_not_there_or_a_run_that_is_not_whole() {
    let (_temp, directory, _) = signed();
    assert!(matches!(prove(&directory, 5), Err(ProveError::NoSuchEffect { seq: 5 })));
    fs::write(directory.file(name::POLICY), "tier = 5\n").unwrap();
    let Err(ProveError::NotWhole { problems }) = prove(&directory, 0) else { panic!("proved") };
    assert_eq!(problems.len(), 1);
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}
