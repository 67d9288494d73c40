//! Signing keys: their file, their rotation, who is recognised by whom.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use journal::{
    RunDir,
    key::{self, KeyError, KnownKey, Relation},
    sign,
    verify::{Problem, verify},
};
use tempfile::TempDir;

use crate::run::{RUN, signed};

const NOW: &str = "2026-11-24T04:10:46.000000000Z";

fn place() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("a/b/signing.key");
    (temp, path)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn known(public: &key::PublicKey) -> KnownKey {
    KnownKey::parse(&serde_json::to_string(public).unwrap()).unwrap()
}

#[test]
fn the_key_is_made_once_and_must_be_its_owners_alone() {
    let (_temp, path) = place();
    let first = sign::signing_key(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(sign::signing_key(&path).unwrap().public_key(), first.public_key());
    chmod(&path, 0o644);
    assert!(matches!(sign::signing_key(&path), Err(KeyError::OpenToOthers { mode: 0o644, .. })));
    assert!(matches!(key::rotate(&path, NOW), Err(KeyError::OpenToOthers { .. })));
}

#[test]
fn what_is_no_key_is_refused_and_left_alone() {
    let (_temp, path) = place();
    assert!(matches!(key::read(&path), Err(KeyError::Missing { .. })));
    assert!(matches!(key::rotate(&path, NOW), Err(KeyError::Missing { .. })));
    let key = key::new(&path).unwrap();
    assert!(matches!(key::new(&path), Err(KeyError::Exists { .. })));
    fs::write(&path, "short").unwrap();
    assert!(matches!(key::read(&path), Err(KeyError::Length { bytes: 5, .. })));
    for record in ["x", "{}\n", "[1]", "{\"old\":\"\",\"new\":\"\",\"time\":\"\"}"] {
        fs::write(&path, [&[7; 32], record.as_bytes()].concat()).unwrap();
        assert!(matches!(key::read(&path), Err(KeyError::Record { .. })), "{record}");
        assert!(matches!(key::rotate(&path, NOW), Err(KeyError::Record { .. })), "{record}");
    }
    assert!(matches!(key::new(&path), Err(KeyError::Exists { .. })));
    assert!(matches!(key::read(path.parent().unwrap()), Err(KeyError::NotAFile { .. })));
    drop(key);
}

#[test]
fn a_rotation_is_signed_by_both_keys_and_continues_the_record() {
    let (_temp, path) = place();
    let keys = [key::new(&path).unwrap(), key::rotate(&path, NOW).unwrap()];
    let third = key::rotate(&path, NOW).unwrap();
    let read = key::read(&path).unwrap();
    assert_eq!((read.public_key(), read.rotations()), (third.public_key(), third.rotations()));
    let chain: Vec<(&str, &str)> =
        read.rotations().iter().map(|rotation| (rotation.old(), rotation.new_key())).collect();
    let [first, second] = keys.each_ref().map(key::SigningKey::public_key);
    assert_eq!(chain, [(&*first, &*second), (&*second, &*third.public_key())]);
    assert!(read.rotations().iter().all(key::Rotation::holds));
    assert_eq!(read.rotations()[0].time(), NOW);
}

#[test]
fn a_rotation_leaves_nothing_beside_the_key_and_none_of_the_old_secret() {
    let (_temp, path) = place();
    key::new(&path).unwrap();
    let secret = fs::read(&path).unwrap();
    key::rotate(&path, NOW).unwrap();
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1);
    let now = fs::read(&path).unwrap();
    assert!(!now.windows(32).any(|window| window == secret));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_key_behind_a_link_is_rotated_where_it_is() {
    let (temp, path) = place();
    key::new(&path).unwrap();
    let link = temp.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let new = key::rotate(&link, NOW).unwrap();
    assert_eq!(key::read(&path).unwrap().public_key(), new.public_key());
}

#[test]
fn rotations_at_once_lose_none() {
    let (_temp, path) = place();
    key::new(&path).unwrap();
    let done: usize = std::thread::scope(|scope| {
        let rotate = || (0..20).filter(|_| key::rotate(&path, NOW).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(key::read(&path).unwrap().rotations().len(), done);
    assert!(done > 0);
}

#[test]
fn who_knows_the_first_key_follows_the_rotations_that_the_run_brings() {
    let (temp, directory, first) = signed();
    let path = temp.path().join("keys/signing.key");
    key::rotate(&path, NOW).unwrap();
    let last = key::rotate(&path, NOW).unwrap();
    sign::sign(&directory, RUN, &last).unwrap();
    let verification = verify(&directory, KnownKey::parse(&first.public_key).as_ref());
    assert!(verification.holds(), "{:?}", verification.problems);
    assert_eq!(verification.key_relation, Some(Relation::Successor));
    assert_eq!(verification.public_key, Some(last.public_key()));
}

#[test]
fn who_knows_the_last_key_and_its_record_recognises_the_runs_of_the_first() {
    let (temp, directory, _) = signed();
    let path = temp.path().join("keys/signing.key");
    key::rotate(&path, NOW).unwrap();
    let last = key::rotate(&path, NOW).unwrap().public();
    let verification = verify(&directory, Some(&known(&last)));
    assert!(verification.holds(), "{:?}", verification.problems);
    assert_eq!(verification.key_relation, Some(Relation::Predecessor));
    // Of the digits alone nothing leads back.
    let digits = KnownKey::parse(&last.public_key).unwrap();
    assert_eq!(verify(&directory, Some(&digits)).problems, [Problem::OtherKey]);
}

/// Signs the run with `signer`'s key and an altered record, and says what who knows `first` finds.
fn verify_with_record(directory: &RunDir, path: &Path, record: &str, first: &str) -> Vec<Problem> {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(32);
    fs::write(path, [&bytes, record.as_bytes()].concat()).unwrap();
    match key::read(path) {
        // Such a record is not even read by the signer.
        Err(KeyError::Record { .. }) => vec![Problem::OtherKey],
        Err(error) => panic!("{error}"),
        Ok(key) => {
            sign::sign(directory, RUN, &key).unwrap();
            verify(directory, KnownKey::parse(first).as_ref()).problems
        }
    }
}

#[test]
fn a_stranger_cannot_make_himself_a_successor() {
    let (temp, directory, first) = signed();
    let path = temp.path().join("stranger.key");
    key::new(&path).unwrap();
    let stranger = key::rotate(&path, NOW).unwrap();
    let record = serde_json::to_string(&stranger.rotations()[0]).unwrap();
    let forged = record.replace(stranger.rotations()[0].old(), &first.public_key);
    for record in ["", &record, &forged] {
        let problems = verify_with_record(&directory, &path, record, &first.public_key);
        assert_eq!(problems, [Problem::OtherKey], "{record}");
    }
}

#[test]
fn a_known_key_is_digits_or_what_the_keeper_of_the_key_prints() {
    let (_temp, path) = place();
    let public = key::new(&path).unwrap().public();
    assert_eq!(KnownKey::parse(&format!("{}\n", public.public_key)), Some(known(&public)));
    for text in ["", "00", "{}", &public.public_key[1..], &"zz".repeat(32), "{\"public_key\":\"\"}"]
    {
        assert_eq!(KnownKey::parse(text), None, "{text}");
    }
}
