//! An act of the observer's own that must be denied, twice a second: one sysctl
//! (`kernel.ftrace_enabled`) disarms LSM and fexit programs without a word, and then only what they
//! no longer do tells.
//!
//! The act is a rename of a file labelled `oversight`, by a process in a cgroup of its own. To the
//! probes that cgroup is a run of its own, in a slot that no run has, with a table and counts of its
//! own: what they record of it is in no run's effects. `renameat` is the system call that others use
//! least; kernels that skip a program while another task waits in the middle of it so seldom skip
//! this one.
//!
//! Where no hook decides, the file is not there, and the act must leave a record.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use ebpf_common::{
    Label, LabelId, Verb, Verdict,
    maps::{CANARY_SLOT, TABLE_BYTES, Table, table_index},
};
use journal::manifest::{Mode, ProbeSet};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, renameat},
};

use crate::{
    kernel_maps::{KernelMaps, MapsError},
    kernel_run::KernelRun,
    mounts::{Mounts, OpenRoot},
};

/// The command of this program that becomes the canary, before the path of its file.
pub const WORD: &str = "canary";

/// Where its file lies.
const DIRECTORY: &str = "/run/belljar";
/// How often the canary acts.
const PERIOD: Duration = Duration::from_millis(500);
/// How long it may take to act, on a host that is busy with the run.
const PATIENCE: Duration = Duration::from_secs(4);
/// So many acts in a row without a record are no accident. A kernel that skips a program does so once in
/// a while; that is in the account of the evidence anyway.
const UNRECORDED_IN_A_ROW: u32 = 2;

/// What came of one act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryResult {
    /// As it must.
    Held,
    /// Nothing refused it.
    Escaped,
    /// It left no record.
    Unrecorded,
    /// The canary did not act in time.
    Unanswered,
}

impl CanaryResult {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Held, Self::Escaped, Self::Unrecorded, Self::Unanswered];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Escaped => "escaped",
            Self::Unrecorded => "unrecorded",
            Self::Unanswered => "unanswered",
        }
    }

    /// Why the hooks cannot be relied on after this result.
    #[must_use]
    pub const fn alarm(self) -> Option<&'static str> {
        match self {
            Self::Held => None,
            Self::Escaped => Some(
                "the hooks do not fire any more: an act of the observer's own that they must refuse went through (is kernel.ftrace_enabled 0?)",
            ),
            Self::Unrecorded => {
                Some("the probes do not record any more: acts of the observer's own left no record")
            }
            Self::Unanswered => Some(
                "whether the hooks still fire is not known: the observer's own process that tries them does not act",
            ),
        }
    }
}

/// The canary's process: acts whenever it is asked to by a byte, and answers with the errno.
///
/// # Errors
///
/// When whoever asks is gone.
pub fn perform(file: &Path) -> io::Result<()> {
    let mut here = file.to_owned();
    let mut there = file.with_extension("gone");
    let (mut asked, mut answers) = (io::stdin().lock(), io::stdout().lock());
    let mut byte = [0];
    while asked.read(&mut byte)? == 1 {
        let errno = match renameat(AT_FDCWD, &here, AT_FDCWD, &there) {
            Err(errno) => errno as i32,
            Ok(()) => {
                std::mem::swap(&mut here, &mut there);
                0
            }
        };
        answers.write_all(&[u8::try_from(errno).unwrap_or(u8::MAX)])?;
        answers.flush()?;
    }
    Ok(())
}

/// Where the current act is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None is under way.
    Resting,
    /// It was asked for.
    Asked,
    /// It was refused as it must be; its record is looked for.
    Refused,
}

/// What is known of the canary's acts, without a process or a kernel.
#[derive(Debug)]
struct Watch {
    /// What the act must fail with.
    expected: Errno,
    state: State,
    /// Whether the act's record has been read.
    recorded: bool,
    unrecorded: u32,
}

impl Watch {
    const fn new(expected: Errno) -> Self {
        Self { expected, state: State::Resting, recorded: false, unrecorded: 0 }
    }

    fn asked(&mut self) {
        self.state = State::Asked;
        self.recorded = false;
    }

    /// Notes a record of the canary's.
    fn record(&mut self, outcome: i32) {
        self.recorded |= self.state != State::Resting && outcome == -(self.expected as i32);
    }

    /// Notes how an act ended.
    fn answered(&mut self, errno: u8) -> Option<CanaryResult> {
        if i32::from(errno) == self.expected as i32 {
            self.state = State::Refused;
            return None;
        }
        self.state = State::Resting;
        Some(CanaryResult::Escaped)
    }

    /// What came of an act that was refused, once every record that was there when it ended has been
    /// read; nothing yet where the next act is to tell. `lost`: the probes have counted a record of the
    /// canary's as lost, so they do fire.
    fn read_all(&mut self, lost: bool) -> Option<CanaryResult> {
        self.state = State::Resting;
        if self.recorded || lost {
            self.unrecorded = 0;
            return Some(CanaryResult::Held);
        }
        self.unrecorded += 1;
        (self.unrecorded >= UNRECORDED_IN_A_ROW).then_some(CanaryResult::Unrecorded)
    }
}

/// Why there is no canary.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// A file, a cgroup or a process of its own.
    #[error("cannot set up the canary at {}", path.display())]
    Io {
        /// What was done to.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The probes' maps refused.
    #[error(transparent)]
    Maps(#[from] MapsError),
}

fn failed(path: &Path) -> impl Fn(io::Error) -> CanaryError {
    move |source| CanaryError::Io { path: path.to_owned(), source }
}

/// A canary at work.
pub(crate) struct Canary {
    process: Option<Process>,
    place: Place,
    kernel: KernelRun,
    watch: Watch,
    acted: Option<Instant>,
    lost: u64,
    _roots: Vec<OpenRoot>,
}

impl Canary {
    /// Starts it and tells the probes of it. `cgroups` is the cgroup that holds all runs.
    ///
    /// # Errors
    ///
    /// When a file, the process or a map refuses.
    pub(crate) fn start(
        cgroups: &Path,
        set: ProbeSet,
        maps: &Rc<RefCell<KernelMaps>>,
    ) -> Result<Self, CanaryError> {
        let place = Place::make(cgroups)?;
        let cgroup = fs::metadata(&place.cgroup).map_err(failed(&place.cgroup))?.ino();
        let mut kernel = KernelRun::new(Rc::clone(maps), CANARY_SLOT, cgroup);
        let (expected, roots) = match set {
            ProbeSet::Lsm => {
                File::create_new(&place.file).map_err(failed(&place.file))?;
                let roots = Mounts::read().and_then(|mounts| mounts.open_root(&place.file));
                (Errno::EPERM, roots.map_err(failed(&place.file))?)
            }
            ProbeSet::Tracepoint => (Errno::ENOENT, Vec::new()),
        };
        for root in &roots {
            kernel.label(root, Label::Oversight)?;
        }
        kernel.leaf(cgroup, LabelId::of(Label::Oversight))?;
        kernel.set_policy(&table(), Mode::Enforce, false)?;
        kernel.start()?;
        let process = Some(Process::start(&place)?);
        let watch = Watch::new(expected);
        Ok(Self { process, place, kernel, watch, acted: None, lost: 0, _roots: roots })
    }

    /// Notes a record that the probes made of the canary.
    pub(crate) fn record(&mut self, outcome: i32) {
        self.watch.record(outcome);
    }

    /// Lets the next act come at once. One that is under way is the next.
    pub(crate) fn hasten(&mut self) {
        if self.watch.state == State::Resting {
            self.acted = None;
        }
    }

    /// Goes on: asks for the next act when it is time, takes the answer of the last. `has_read_all`:
    /// the ring buffers were read until they were empty. Gives what came of an act that has ended.
    ///
    /// # Errors
    ///
    /// When a map refuses.
    pub(crate) fn go_on(&mut self, has_read_all: bool) -> Result<Option<CanaryResult>, MapsError> {
        Ok(match self.watch.state {
            State::Resting if self.acted.is_some_and(|acted| acted.elapsed() < PERIOD) => None,
            State::Resting => self.ask(),
            State::Asked => self.answer(),
            State::Refused if has_read_all || self.watch.recorded => {
                let lost = self.kernel.dropped()?.map(|(_, dropped)| dropped).sum();
                let result = self.watch.read_all(lost > self.lost);
                self.lost = lost;
                if result.is_none() {
                    self.hasten();
                }
                result
            }
            State::Refused => None,
        })
    }

    fn ask(&mut self) -> Option<CanaryResult> {
        self.acted = Some(Instant::now());
        if self.process.is_none() {
            match Process::start(&self.place) {
                Ok(process) => self.process = Some(process),
                Err(error) => {
                    tracing::error!(%error, "the canary cannot be started again");
                    return Some(CanaryResult::Unanswered);
                }
            }
        }
        self.watch.asked();
        if let Some(process) = &mut self.process {
            // One byte fits; a process that is gone gives no answer.
            let _ = process.asks.write_all(&[1]);
        }
        None
    }

    fn answer(&mut self) -> Option<CanaryResult> {
        let mut byte = [0];
        let is_late = self.acted.is_none_or(|acted| acted.elapsed() >= PATIENCE);
        match self.process.as_mut().map(|process| process.answers.read(&mut byte)) {
            Some(Ok(1)) => self.watch.answered(byte[0]),
            Some(Err(error))
                if !is_late
                    && matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
            {
                None
            }
            _ => {
                self.watch.state = State::Resting;
                // Another takes its place with the next act.
                self.process = None;
                Some(CanaryResult::Unanswered)
            }
        }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // Its slot is clear when nobody acts in it.
        self.process = None;
        if let Err(error) = self.kernel.release() {
            tracing::debug!(%error, "the canary's slot is not clear");
        }
    }
}

/// The canary's one rule: a rename of what carries `oversight` is refused.
fn table() -> Table {
    let mut verdicts = [Verdict::Allow as u8; TABLE_BYTES];
    verdicts[table_index(Verb::Rename.number(), Label::Oversight as u8)] = Verdict::Deny as u8;
    Table { verdicts }
}

/// Its cgroup and its file, whose names have a dot and the observer's process id. Dropping it takes
/// both away.
#[derive(Debug)]
struct Place {
    cgroup: PathBuf,
    file: PathBuf,
}

impl Place {
    fn make(cgroups: &Path) -> Result<Self, CanaryError> {
        let name = format!("{}.canary", std::process::id());
        let place = Self { cgroup: cgroups.join(&name), file: Path::new(DIRECTORY).join(&name) };
        // What an observer left whose process id this one has.
        place.remove();
        fs::create_dir(&place.cgroup).map_err(failed(&place.cgroup))?;
        Ok(place)
    }

    /// Takes both away, the file under whichever name.
    fn remove(&self) {
        // They may be there or not.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_file(self.file.with_extension("gone"));
        let _ = fs::remove_dir(&self.cgroup);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The process that acts. Dropping it ends it.
#[derive(Debug)]
struct Process {
    child: Child,
    asks: ChildStdin,
    answers: ChildStdout,
}

impl Process {
    fn start(place: &Place) -> Result<Self, CanaryError> {
        let program = Path::new("/proc/self/exe");
        let mut child = Command::new(program)
            .arg(WORD)
            .arg(&place.file)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed(program))?;
        let asks = child.stdin.take().expect("it was asked for");
        let answers = child.stdout.take().expect("it was asked for");
        let process = Self { child, asks, answers };
        let flags = fcntl(&process.answers, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        flags
            .and_then(|flags| fcntl(&process.answers, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)))
            .map_err(|errno| failed(program)(errno.into()))?;
        // It waits to be asked, so that nothing it does can be taken for another's.
        let procs = place.cgroup.join("cgroup.procs");
        fs::write(&procs, process.child.id().to_string()).map_err(failed(&procs))?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is reaped all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPERM: i32 = -(Errno::EPERM as i32);

    fn refused(watch: &mut Watch) {
        watch.asked();
        assert_eq!(watch.answered(Errno::EPERM as u8), None);
    }

    #[test]
    fn an_act_that_is_refused_and_recorded_holds() {
        let mut watch = Watch::new(Errno::EPERM);
        watch.asked();
        watch.record(EPERM);
        assert_eq!(watch.answered(Errno::EPERM as u8), None);
        assert_eq!(watch.read_all(false), Some(CanaryResult::Held));
        assert_eq!(CanaryResult::Held.alarm(), None);
    }

    #[test]
    fn an_act_that_goes_through_is_an_alarm_at_once() {
        let mut watch = Watch::new(Errno::EPERM);
        watch.asked();
        let result = watch.answered(0).unwrap();
        assert_eq!(result, CanaryResult::Escaped);
        assert!(result.alarm().unwrap().contains("do not fire"));
    }

    #[test]
    fn one_missing_record_may_be_the_kernels_skipping_and_two_are_not() {
        let mut watch = Watch::new(Errno::EPERM);
        refused(&mut watch);
        assert_eq!(watch.read_all(false), None);
        refused(&mut watch);
        assert_eq!(watch.read_all(false), Some(CanaryResult::Unrecorded));
        // What a full ring lost was made, so the probes fire.
        refused(&mut watch);
        assert_eq!(watch.read_all(true), Some(CanaryResult::Held));
        refused(&mut watch);
        assert_eq!(watch.read_all(false), None);
    }

    #[test]
    fn a_record_with_another_outcome_or_of_another_act_proves_nothing() {
        let mut watch = Watch::new(Errno::EPERM);
        watch.record(EPERM);
        refused(&mut watch);
        watch.record(ebpf_common::record::OUTCOME_UNKNOWN);
        assert_eq!(watch.read_all(false), None);
    }
}
