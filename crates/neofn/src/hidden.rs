//! Reads what nobody may see: from standard input as it is, or from a prompt that shows nothing.

use crate::failure::Failure;
use crate::ui::Ui;
use base64::Engine as _;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use neofn_types::Code;
use std::io::{IsTerminal as _, Read as _, stdin};
use zeroize::Zeroizing;

/// More than any value has.
const BYTES_MAX: u64 = (16 << 10) + 1;

/// What was read.
pub enum Value {
    /// Text.
    Text(Zeroizing<String>),
    /// Bytes that are no text, in base64.
    Base64(Zeroizing<String>),
}

/// Reads a value: all of standard input, or, at a terminal, what is typed until the end of the line.
pub fn value(ui: &Ui, prompt: &str) -> Result<Value, Failure> {
    if stdin().is_terminal() {
        return typed(ui, prompt).map(Value::Text);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(32 << 10));
    let failed = |e: std::io::Error| Failure::usage(format!("cannot read standard input: {e}"), "");
    stdin()
        .lock()
        .take(BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.ends_with(b"\n") {
        ui.note("the value ends with a line end: `echo -n` and `printf %s` write none");
    }
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => Value::Text(Zeroizing::new(text.to_owned())),
        Err(_) => Value::Base64(Zeroizing::new(
            base64::engine::general_purpose::STANDARD.encode(&*bytes),
        )),
    })
}

/// A key or passphrase that is no text.
pub fn not_text() -> Failure {
    Failure::new(Code::SecretInvalid, "what was given is no text", "")
}

/// Gives the terminal back however the reading ends.
struct Raw;
impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

fn typed(ui: &Ui, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |e: std::io::Error| Failure::usage(format!("cannot read from the terminal: {e}"), "");
    ui.note(&format!("{prompt}(nothing is shown; end with Enter)"));
    enable_raw_mode().map_err(failed)?;
    let _raw = Raw;
    // large enough that it never moves and leaves a copy behind
    let mut text = Zeroizing::new(String::with_capacity(64 << 10));
    loop {
        let key = match read().map_err(failed)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => continue,
        };
        match key.code {
            KeyCode::Enter => return Ok(text),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Err(Failure::usage("nothing was given", ""));
            }
            KeyCode::Char(c) if text.len() < 16 << 10 => text.push(c),
            KeyCode::Backspace => drop(text.pop()),
            _ => {}
        }
    }
}
