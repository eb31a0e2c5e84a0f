//! Single keys from a terminal. Without a terminal there are none, and everything else works.

use super::Event;
use crate::ui::set_raw;
use crossterm::event::{Event as Input, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::io::IsTerminal;
use std::sync::mpsc;

/// Puts the terminal back when dropped.
pub struct Keys(bool);

/// Whether somebody can press keys.
#[must_use]
pub fn are_read() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Reads keys until the process ends.
pub fn start(events: mpsc::Sender<Event>) -> Keys {
    if !are_read() || enable_raw_mode().is_err() {
        return Keys(false);
    }
    set_raw(true);
    std::thread::spawn(move || {
        while let Ok(input) = read() {
            let Input::Key(key) = input else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            // In raw mode Ctrl-C is a key like any other.
            let event = match key.code {
                KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Event::Stop,
                KeyCode::Char(c) => Event::Key(c.to_ascii_lowercase()),
                _ => continue,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Keys(true)
}

impl Drop for Keys {
    fn drop(&mut self) {
        if self.0 {
            set_raw(false);
            let _ = disable_raw_mode();
        }
    }
}
