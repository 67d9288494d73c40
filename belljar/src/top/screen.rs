//! The terminal: drawn on while the view lasts, and left as it was found, however that ends.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use super::{
    draw::{self, Palette},
    frame::Frame,
    host::Host,
};
use crate::{
    exit::{Exit, Failure, OrExit as _},
    run::Interrupt,
};

/// How long a signal may wait to be heard.
const LISTEN: Duration = Duration::from_millis(100);
/// How long keys are listened to while there is more to read.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The terminal in raw mode, on a screen of its own. A panic restores it too, before it is told.
struct Raw {
    terminal: DefaultTerminal,
}

impl Raw {
    fn enter() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let raw = Self { terminal };
        // It begins to listen to changes of size: one before the first look at keys would be missed.
        event::poll(Duration::ZERO)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs none.
        let _ = ratatui::try_restore();
    }
}

/// Shows the runs until a key or a signal ends it.
pub(crate) fn show(host: &mut Host, interval: Duration) -> Result<(), Failure> {
    // Before the terminal is changed, so that no signal can leave it so.
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    let mut raw = Raw::enter().context("cannot use the terminal").or_exit(Exit::Io)?;
    let mut view = View { frame: look(host)?, chosen: None, palette: Palette::of_environment() };
    while !interrupt.happened() {
        let shown = view.show(&mut raw.terminal, &interrupt, interval);
        // A terminal that went away has sent a signal, which says more than the error.
        if interrupt.happened() {
            break;
        }
        match shown.context("cannot use the terminal").or_exit(Exit::Io)? {
            Next::Look => view.frame = look(host)?,
            Next::End => break,
        }
    }
    Ok(())
}

fn look(host: &mut Host) -> Result<Frame, Failure> {
    host.look().or_exit(Exit::Os)
}

enum Next {
    /// It is time for another frame.
    Look,
    End,
}

/// What is on the screen.
struct View {
    frame: Frame,
    /// The name of the run whose calls and effects are shown; the first while nobody has chosen.
    chosen: Option<String>,
    palette: Palette,
}

impl View {
    /// Shows one frame until it is time for the next one.
    fn show(
        &mut self,
        terminal: &mut DefaultTerminal,
        interrupt: &Interrupt,
        interval: Duration,
    ) -> io::Result<Next> {
        let is_behind = self.frame.runs.iter().any(|run| run.is_behind);
        let next = Instant::now() + if is_behind { CATCH_UP } else { interval };
        loop {
            let position = self.position();
            terminal.draw(|screen| draw::draw(screen, &self.frame, position, self.palette))?;
            // Until something changes what is shown.
            loop {
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() || interrupt.happened() {
                    return Ok(Next::Look);
                }
                if !event::poll(left.min(LISTEN))? {
                    continue;
                }
                match event::read()? {
                    Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                        _ if ends(&key) => return Ok(Next::End),
                        KeyCode::Up | KeyCode::Char('k') => self.choose(position.saturating_sub(1)),
                        KeyCode::Down | KeyCode::Char('j') => self.choose(position + 1),
                        _ => continue,
                    },
                    Event::Resize(..) => {}
                    _ => continue,
                }
                break;
            }
        }
    }

    fn position(&self) -> usize {
        let is_chosen = |run: &str| self.chosen.as_deref() == Some(run);
        self.frame.runs.iter().position(|run| is_chosen(&run.run)).unwrap_or(0)
    }

    fn choose(&mut self, position: usize) {
        if let Some(run) = self.frame.runs.get(position) {
            self.chosen = Some(run.run.clone());
        }
    }
}

/// In raw mode Ctrl-C is a key.
fn ends(key: &KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
}
