//! Compiles a policy's seccomp plan, and installs it in a child.
//!
//! Whatever the plan says, system calls of a foreign architecture kill the process (seccompiler
//! puts that check before each of its programs), and x32 calls, which are the native ones again
//! under other numbers, are refused.

use std::{collections::BTreeMap, env::consts::ARCH};

use nix::errno::Errno;
use policy::seccomp::{Comparison, Refusal, SeccompPlan};
use seccompiler::{BpfProgram, TargetArch, sock_filter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The bit that x32 system calls have in their number (`__X32_SYSCALL_BIT`,
/// arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;
/// System calls that install filters: after a filter that refuses one, no other can follow.
const INSTALLERS: [&str; 2] = ["prctl", "seccomp"];

/// A plan cannot be made into filters.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// No filter can be made for this machine.
    #[error("no seccomp filter can be made for the architecture {ARCH}")]
    Architecture,
    /// The compiler refused the plan.
    #[error("the seccomp plan cannot be compiled")]
    Compile(#[source] seccompiler::Error),
    /// The plan's filters would stop each other from being installed.
    #[error("the seccomp plan refuses prctl and seccomp with different errors")]
    LocksItself,
}

/// An instruction of classic BPF: code, jump if true, jump if false, operand.
type Instruction = (u16, u8, u8, u32);

/// A plan on its way to the spawner: one program for each error that it returns.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Filters {
    programs: Vec<Vec<Instruction>>,
    /// System calls of the plan that this architecture does not have.
    pub(crate) left_out: Vec<String>,
}

impl Filters {
    /// Compiles a plan for this machine.
    pub(crate) fn compile(plan: &SeccompPlan) -> Result<Self, SeccompError> {
        let arch = TargetArch::try_from(ARCH).map_err(|_| SeccompError::Architecture)?;
        let mut left_out: Vec<String> = Vec::new();
        let mut by_errno: BTreeMap<i32, Vec<&Refusal>> = BTreeMap::new();
        for refusal in &plan.refusals {
            if is_known(refusal.syscall, arch) {
                by_errno.entry(errno(refusal) as i32).or_default().push(refusal);
            } else {
                left_out.push(refusal.syscall.to_owned());
            }
        }
        left_out.dedup();
        let mut groups: Vec<_> = by_errno.into_iter().collect();
        let installs = |group: &[&Refusal]| group.iter().any(|it| INSTALLERS.contains(&it.syscall));
        groups.sort_by_key(|(_, group)| installs(group));
        if groups.iter().filter(|(_, group)| installs(group)).count() > 1 {
            return Err(SeccompError::LocksItself);
        }
        let mut programs = Vec::new();
        if arch == TargetArch::x86_64 {
            programs.push(refuse_x32());
        }
        if groups.is_empty() {
            groups.push((libc::EPERM, Vec::new()));
        }
        for (errno, group) in groups {
            let program = compile_rules(errno, &rules(&group), arch)?;
            programs.push(program.iter().map(|it| (it.code, it.jt, it.jf, it.k)).collect());
        }
        Ok(Self { programs, left_out })
    }

    /// Installs the filters in the calling thread, which gets no_new_privs. They can never be undone.
    pub(crate) fn install(&self) -> Result<(), Errno> {
        for program in &self.programs {
            let program: BpfProgram =
                program.iter().map(|&(code, jt, jf, k)| sock_filter { code, jt, jf, k }).collect();
            seccompiler::apply_filter(&program).map_err(|_| Errno::last())?;
        }
        Ok(())
    }
}

fn errno(refusal: &Refusal) -> Errno {
    match refusal.errno {
        policy::seccomp::Errno::Eperm => Errno::EPERM,
        policy::seccomp::Errno::Enosys => Errno::ENOSYS,
    }
}

/// Whether this architecture has a system call of that name.
fn is_known(syscall: &str, arch: TargetArch) -> bool {
    compile_rules(libc::EPERM, &[json!({ "syscall": syscall })], arch).is_ok()
}

/// The refusals as the compiler wants them. A call that is refused always needs no conditions; the
/// compiler would take those beside it for all.
fn rules(group: &[&Refusal]) -> Vec<Value> {
    let mut rules = Vec::new();
    for refusal in group {
        let is_always = |it: &&Refusal| it.syscall == refusal.syscall && it.condition.is_none();
        match refusal.condition {
            None => rules.push(json!({ "syscall": refusal.syscall })),
            Some(_) if group.iter().any(is_always) => {}
            Some(condition) => {
                let alternatives = condition.alternatives();
                rules.extend(alternatives.into_iter().map(|comparisons| {
                    let compare = |(argument, mask, value): Comparison| {
                        json!({
                            "index": argument,
                            "type": "dword",
                            "op": { "masked_eq": mask },
                            "val": value,
                        })
                    };
                    let comparisons: Vec<_> = comparisons.into_iter().map(compare).collect();
                    json!({ "syscall": refusal.syscall, "args": comparisons })
                }));
            }
        }
    }
    rules
}

fn compile_rules(
    errno: i32,
    rules: &[Value],
    arch: TargetArch,
) -> Result<BpfProgram, SeccompError> {
    const NAME: &str = "plan";
    let text = json!({ NAME: {
        "mismatch_action": "allow",
        "match_action": { "errno": errno },
        "filter": rules,
    }});
    let mut programs = seccompiler::compile_from_json(text.to_string().as_bytes(), arch)
        .map_err(SeccompError::Compile)?;
    Ok(programs.remove(NAME).expect("the compiler keeps the names of programs"))
}

/// `EPERM` for every number that has the x32 bit, or a higher one.
fn refuse_x32() -> Vec<Instruction> {
    let constant = |code: u32| u16::try_from(code).expect("BPF codes have 16 bits");
    let load = constant(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
    let jump_if_at_least = constant(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K);
    let answer = constant(libc::BPF_RET | libc::BPF_K);
    vec![
        // The number is the first member of `struct seccomp_data`.
        (load, 0, 0, 0),
        (jump_if_at_least, 0, 1, X32_BIT),
        (answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        (answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use policy::seccomp::{Condition, Errno};

    use super::*;

    fn refusal(syscall: &'static str, errno: Errno, condition: Option<Condition>) -> Refusal {
        Refusal { syscall, condition, errno, reason: "a test" }
    }

    #[test]
    fn each_error_gets_a_program_and_x32_one_of_its_own() {
        let refusals = vec![
            refusal("mount", Errno::Eperm, None),
            refusal("clone3", Errno::Enosys, None),
            refusal("no_such_call", Errno::Eperm, None),
        ];
        let filters = Filters::compile(&SeccompPlan { refusals }).unwrap();
        let x32 = usize::from(ARCH == "x86_64");
        assert_eq!(filters.programs.len(), 2 + x32);
        assert_eq!(filters.left_out, ["no_such_call"]);
    }

    #[test]
    fn an_empty_plan_still_refuses_foreign_calls() {
        let filters = Filters::compile(&SeccompPlan { refusals: Vec::new() }).unwrap();
        assert!(!filters.programs.is_empty());
    }

    #[test]
    fn a_filter_that_would_stop_the_next_one_comes_last() {
        let refusals =
            vec![refusal("seccomp", Errno::Eperm, None), refusal("clone3", Errno::Enosys, None)];
        let filters = Filters::compile(&SeccompPlan { refusals }).unwrap();
        let last = filters.programs.last().unwrap();
        assert!(last.iter().any(|it| it.3 == libc::SYS_seccomp as u32));
        let refusals =
            vec![refusal("seccomp", Errno::Eperm, None), refusal("prctl", Errno::Enosys, None)];
        let locked = Filters::compile(&SeccompPlan { refusals });
        assert!(matches!(locked, Err(SeccompError::LocksItself)));
    }

    #[test]
    fn a_call_refused_always_is_not_narrowed_by_a_condition_beside_it() {
        let condition = Condition::AnyBit { argument: 0, mask: 0b101 };
        let conditional = refusal("clone", Errno::Eperm, Some(condition));
        assert_eq!(rules(&[&conditional]).len(), 2);
        let always = refusal("clone", Errno::Eperm, None);
        assert_eq!(rules(&[&conditional, &always]), [json!({ "syscall": "clone" })]);
    }

    #[test]
    fn the_plans_of_all_tiers_compile() {
        for tier in policy::Tier::ALL {
            let filters = Filters::compile(&policy::seccomp::plan(tier)).unwrap();
            assert!(!filters.programs.is_empty());
            if ARCH == "x86_64" {
                assert!(filters.left_out.is_empty(), "{:?}", filters.left_out);
            }
        }
    }
}
