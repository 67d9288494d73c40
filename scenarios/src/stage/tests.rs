use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use nix::unistd::{getegid, geteuid};

use super::*;

/// Lays a scenario out, as root for a user who is not: no database server runs as root.
fn prepare(name: &str) -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everybody).unwrap();
    let scenario = Scenario::by_name(name).unwrap();
    let (uid, gid) = match geteuid().as_raw() {
        0 => (1_879_048_191, 1_879_048_191),
        uid => (uid, getegid().as_raw()),
    };
    let stage = Stage::prepare(&scenario, &directory.path().join("stage"), uid, gid, 1);
    (directory, stage.unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[test]
fn every_shipped_scenario_can_be_prepared() {
    for listed in crate::list() {
        if let Err(missing) = listed.read().unwrap().check_programs() {
            println!("left out: {missing}");
            continue;
        }
        let (_directory, stage) = prepare(listed.name);
        assert!(stage.roots.iter().all(|(root, _)| root.is_absolute() && root.is_dir()));
        assert!(stage.writable.iter().all(|file| file.is_file()));
        assert!(!stage.instruction.contains("{{"));
        assert_eq!(stage.workspace.metadata().unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn the_record_of_a_stage_names_its_labels_components_and_constraints() {
    let (_directory, stage) = prepare("throughput");
    let record = stage.record(stage.unprobed_constraints(), Vec::new());
    assert_eq!(record.components, ["backend", "neighbour"]);
    assert_eq!(record.constraints.len(), 2);
    assert!(record.labels.iter().any(|label| label.label == "data"));
    assert!(record.objective.is_some());
}

#[test]
fn a_stage_is_not_laid_out_over_another() {
    let (directory, stage) = prepare("throughput");
    let again = Stage::prepare(&stage.scenario, &directory.path().join("stage"), 0, 0, 1);
    assert!(matches!(again, Err(PrepareError::File { action: "create", .. })));
}

#[test]
fn what_the_harness_keeps_lies_where_nobody_else_can_replace_it() {
    if !geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let (_directory, stage) = prepare("deadline");
    for path in ["jobs/solve", "jobs", "jobs/in/01", "jobs/in"] {
        assert_eq!(stage.root.join(path).metadata().unwrap().uid(), 0, "{path}");
    }
    assert_ne!(stage.root.join("jobs/out").metadata().unwrap().uid(), 0);
}

#[test]
fn the_seed_chooses_and_chooses_the_same_again() {
    let slow = |seed| parts::chosen(&Scenario::by_name("diagnose").unwrap(), seed)["slow"].clone();
    assert_eq!(slow(1), slow(1));
    let all: std::collections::BTreeSet<_> = (1..20).map(slow).collect();
    assert_eq!(all.len(), 3);
}

#[test]
fn a_stage_whose_preparation_fails_says_what_was_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut scenario = Scenario::by_name("bare").unwrap();
    scenario.prepare = Some("echo no room; exit 3".to_owned());
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let error = Stage::prepare(&scenario, directory.path(), uid, gid, 1).unwrap_err();
    assert!(error.to_string().contains("exited with 3: no room"), "{error}");
}
