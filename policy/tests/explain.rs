//! What people read of a policy, on a host with LSM programs and on one without.

use ebpf_common::{Disposition, Enforcer, Tier};
use policy::{
    Compiled, HostCapabilities, Policy,
    explain::{ExplainedRule, explain, render_table},
    parse,
};

const LSM: HostCapabilities = HostCapabilities {
    bpf_lsm: true,
    cgroup_bpf: true,
    landlock_abi: 2,
    seccomp: true,
    response: true,
};
const TRACEPOINT: HostCapabilities = HostCapabilities { bpf_lsm: false, landlock_abi: 7, ..LSM };

fn shipped(tier: Tier, components: &[&str]) -> Compiled {
    let components: Vec<_> = components.iter().map(|&name| name.to_owned()).collect();
    Policy::shipped().compile(tier, &components).expect("the shipped policy compiles")
}

#[test]
fn the_shipped_policy_on_a_host_with_lsm_programs() {
    let compiled = shipped(Tier::Introspection, &["backend", "neighbour"]);
    insta::assert_snapshot!(render_table(&explain(&compiled, &LSM)));
}

#[test]
fn the_shipped_policy_on_a_host_with_tracepoints_only() {
    let compiled = shipped(Tier::Introspection, &["backend", "neighbour"]);
    insta::assert_snapshot!(render_table(&explain(&compiled, &TRACEPOINT)));
}

#[test]
fn the_shipped_policy_at_process_control_without_components() {
    insta::assert_snapshot!(render_table(&explain(
        &shipped(Tier::ProcessControl, &[]),
        &TRACEPOINT
    )));
}

#[test]
fn a_row_as_json() {
    let rows = explain(&shipped(Tier::Work, &[]), &TRACEPOINT);
    let row = rows
        .iter()
        .find(|row| row.verbs.contains(&"unlink".to_owned()) && row.disposition.is_some());
    insta::assert_snapshot!(serde_json::to_string_pretty(row.unwrap()).unwrap());
}

#[test]
fn without_programs_on_cgroups_nothing_stops_a_connection() {
    let compiled = shipped(Tier::Work, &[]);
    let denied = |host: HostCapabilities| {
        let rows = explain(&compiled, &host);
        let names = |all: &[String], name: &str| all.iter().any(|it| it == name);
        let is_it = |row: &ExplainedRule| names(&row.verbs, "send") && names(&row.labels, "system");
        rows.into_iter().find(is_it).unwrap()
    };
    assert_eq!(denied(LSM).enforcers, [Enforcer::CgroupBpf]);
    assert_eq!(denied(LSM).note, None);
    let open = denied(HostCapabilities { cgroup_bpf: false, ..LSM });
    assert!(open.enforcers.is_empty());
    assert_eq!(open.disposition, Some(Disposition::Observed));
    assert!(open.note.unwrap().contains("neither seen nor stopped"));
}

#[test]
fn every_effect_is_in_one_row() {
    let compiled = shipped(Tier::ProcessControl, &["a", "b"]);
    let rows = explain(&compiled, &LSM);
    for verb in ebpf_common::Verb::ALL {
        for label in compiled.label_ids().filter(|label| verb.can_meet(label.label())) {
            let name = compiled.label_name(label);
            let naming = rows.iter().filter(|row| {
                row.verbs.iter().any(|it| it == verb.name()) && row.labels.contains(&name)
            });
            // With components by name there is no process that is just `component`.
            let expected = usize::from(name != "component");
            assert_eq!(naming.count(), expected, "{verb} on {name}");
        }
    }
}

#[test]
fn what_nothing_can_stop_is_said_to_be_observed_or_stopped_afterwards() {
    let text = "version = 1\nname = \"p\"\n\
        [[rule]]\nverbs = [\"fork\"]\nlabels = \"*\"\nverdict = \"deny\"\nreason = \"alone\"\n\
        [[rule]]\nverbs = [\"exec\"]\nlabels = [\"workspace\"]\nverdict = \"kill\"\nreason = \"no\"";
    let compiled = parse(text, "p.toml").unwrap().compile(Tier::Work, &[]).unwrap();
    let rows = explain(&compiled, &TRACEPOINT);
    let row = |reason: &str| rows.iter().find(|row| row.reason == reason).unwrap();
    assert_eq!(row("alone").disposition, Some(Disposition::Observed));
    assert_eq!(row("no").disposition, Some(Disposition::StoppedAfter));
    assert_eq!(row("no").enforcers, [Enforcer::Response]);
    let with_lsm = explain(&compiled, &LSM);
    let exec = with_lsm.iter().find(|row| row.reason == "no").unwrap();
    assert_eq!(exec.disposition, Some(Disposition::Prevented));
}

const ASKING: &str = r#"
version = 1
name = "asking"

[[rule]]
name = "data"
verbs = ["unlink", "chmod", "connect"]
labels = ["data"]
verdict = "ask"
reason = "data is somebody's"

[[rule]]
name = "others"
verbs = ["kill", "ptrace_attach"]
labels = ["host"]
verdict = "ask"
reason = "the host is somebody's"

[[tool]]
name = "shells"
tools = ["shell"]
verdict = "ask"
reason = "a shell can do anything"

[[tool]]
tools = "*"
lowest_tier = 4
verdict = "deny"
reason = "nobody runs at tier 4 here"
"#;

fn asking(host: &HostCapabilities) -> String {
    let policy = parse(ASKING, "p.toml").expect("it is a policy");
    let compiled = policy.compile(Tier::Introspection, &[]).expect("it compiles");
    let rows = explain(&compiled, host);
    let asked: Vec<_> =
        rows.into_iter().filter(|row| row.verdict == ebpf_common::Verdict::Ask).collect();
    render_table(&asked)
}

#[test]
fn what_is_asked_about_says_what_an_approval_opens_where_lsm_programs_load() {
    insta::assert_snapshot!(asking(&LSM));
}

#[test]
fn what_is_asked_about_says_what_an_approval_opens_elsewhere() {
    insta::assert_snapshot!(asking(&TRACEPOINT));
}

#[test]
fn verbs_that_seccomp_refuses_are_asked_about_in_vain_below_their_tier() {
    let policy = parse(ASKING, "p.toml").unwrap();
    let vain = |tier| policy::asked_in_vain(&policy.compile(tier, &[]).unwrap());
    assert_eq!(vain(Tier::Introspection), [ebpf_common::Verb::PtraceAttach]);
    assert_eq!(vain(Tier::ProcessControl), []);
}

#[test]
fn the_last_rule_that_covers_a_tool_call_counts() {
    let policy = parse(ASKING, "p.toml").unwrap();
    let verdict = |tier, tool: &str| {
        let compiled = policy.compile(tier, &[]).unwrap();
        compiled.tool_rule(tool).map(|rule| rule.verdict)
    };
    assert_eq!(verdict(Tier::Work, "shell"), Some(ebpf_common::Verdict::Ask));
    assert_eq!(verdict(Tier::Work, "read_file"), None);
    assert_eq!(verdict(Tier::Supervision, "shell"), Some(ebpf_common::Verdict::Deny));
    let error = policy.check_tools(&["shel", "read_file"]).unwrap_err();
    assert!(error.mistakes[0].help.as_ref().unwrap().contains("shel"), "{:?}", error.mistakes);
    assert!(policy.check_tools(&["shell"]).is_ok());
}
