//! A program on a terminal of its own.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::deadline::wait_for;

/// A program whose standard streams and controlling terminal are a terminal that the test holds the
/// other end of.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    keyboard: File,
    /// Kept, so that the terminal's state outlives the program.
    terminal: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    /// Starts it on a terminal of so many columns and rows.
    ///
    /// # Panics
    ///
    /// When there is no terminal to have, or no such program.
    #[must_use]
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("there is a terminal to have");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let terminal = ioctl_tiocgptpeer(&ours, flags).expect("it has another end");
        let file = || File::from(terminal.try_clone().expect("there are descriptors left"));
        let keyboard = File::from(ours);
        resize(&keyboard, columns, rows);
        // It makes the terminal the program's controlling one, which signals go by.
        let mut on_terminal = Command::new("setsid");
        on_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(variable, value),
                None => on_terminal.env_remove(variable),
            };
        }
        on_terminal.env("TERM", "xterm-256color").stdin(file()).stdout(file()).stderr(file());
        let child = on_terminal.spawn().expect("util-linux is essential to Debian");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (heard, mut reader) =
            (Arc::clone(&shown), keyboard.try_clone().expect("there are descriptors left"));
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            // It ends with an error when nobody has the other end open any more.
            while let Ok(bytes @ 1..) = reader.read(&mut chunk) {
                heard.lock().expect("no holder panics").extend_from_slice(&chunk[..bytes]);
            }
        });
        Self { child, keyboard, terminal, shown }
    }

    /// Types.
    ///
    /// # Panics
    ///
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Makes the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.keyboard, columns, rows);
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("the kernel's process ids are positive");
        kill(Pid::from_raw(id), signal).expect("it is our child and not waited for");
    }

    /// Everything that was sent to the terminal so far, control sequences included.
    ///
    /// # Panics
    ///
    /// Never: nothing panics that holds what was shown.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no holder panics")).into_owned()
    }

    /// Waits until the terminal was sent a text.
    pub fn wait_until_shown(&self, text: &str) {
        wait_for(&format!("{text:?} on the terminal"), || {
            self.shown().contains(text).then_some(())
        });
    }

    /// Whether the terminal echoes and hands over whole lines, as a shell expects to find it.
    ///
    /// # Panics
    ///
    /// When the terminal does not say.
    #[must_use]
    pub fn is_as_found(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits for the program's end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the program", || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
