//! Reads what nobody may see: from standard input as it is, or from a prompt that shows nothing.

use crate::failure::Failure;
use crate::ui::{Ui, set_raw};
use base64::Engine as _;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read};
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
    read_all(ui)
}

/// A value that comes by standard input; none where a person sits there, or nothing comes.
pub fn piped(ui: &Ui) -> Result<Option<Value>, Failure> {
    if stdin().is_terminal() {
        return Ok(None);
    }
    Ok(match read_all(ui)? {
        Value::Text(text) if text.is_empty() => None,
        value => Some(value),
    })
}

fn read_all(ui: &Ui) -> Result<Value, Failure> {
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

/// Asks for a password at a terminal; none where nobody can type one.
pub fn password(ui: &Ui, prompt: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    if stdin().is_terminal() {
        return typed(ui, prompt).map(Some);
    }
    Ok(None)
}

/// A key or passphrase that is no text.
pub fn not_text() -> Failure {
    Failure::new(Code::SecretInvalid, "what was given is no text", "")
}

/// Gives the terminal back however the reading ends.
struct Raw;
impl Raw {
    fn enter() -> std::io::Result<Self> {
        enable_raw_mode()?;
        set_raw(true);
        Ok(Self)
    }
}
impl Drop for Raw {
    fn drop(&mut self) {
        set_raw(false);
        let _ = disable_raw_mode();
    }
}

fn typed(ui: &Ui, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |e: std::io::Error| Failure::usage(format!("cannot read from the terminal: {e}"), "");
    // before the prompt: the terminal would show what is typed as soon as the prompt is seen
    let _raw = Raw::enter().map_err(failed)?;
    ui.note(&format!("{prompt}(nothing is shown; end with Enter)"));
    // large enough that it never moves and leaves a copy behind
    let mut text = Zeroizing::new(String::with_capacity(64 << 10));
    loop {
        let Event::Key(key) = read().map_err(failed)? else {
            continue;
        };
        match edit(&mut text, key) {
            Typing::GoesOn => {}
            Typing::Done => return Ok(text),
            Typing::GivenUp => return Err(Failure::usage("nothing was given", "")),
        }
    }
}

/// What follows a key.
#[derive(Debug, PartialEq, Eq)]
enum Typing {
    GoesOn,
    Done,
    GivenUp,
}

/// A key at the end of what was typed, as terminals have it everywhere.
fn edit(text: &mut String, key: KeyEvent) -> Typing {
    if key.kind == KeyEventKind::Release {
        return Typing::GoesOn;
    }
    let plain = !key
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::META | KeyModifiers::SUPER);
    match key.code {
        KeyCode::Enter => return Typing::Done,
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(c) if plain && text.len() < 16 << 10 => text.push(c),
        KeyCode::Char(c) if key.modifiers == KeyModifiers::CONTROL => match c {
            // a line feed or return as it is, when it was typed or pasted before the terminal was raw
            'j' | 'm' => return Typing::Done,
            'c' | 'd' => return Typing::GivenUp,
            'h' => drop(text.pop()),
            'u' => text.clear(),
            'w' => {
                let kept = text.trim_end().rfind(char::is_whitespace);
                let after = |at: usize| {
                    text.get(at..)
                        .and_then(|t| t.chars().next())
                        .map_or(0, char::len_utf8)
                };
                text.truncate(kept.map_or(0, |at| at + after(at)));
            }
            _ => {}
        },
        _ => {}
    }
    Typing::GoesOn
}

#[cfg(test)]
mod tests {
    use super::{Typing, edit};
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn control(c: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)
    }
    fn plain(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_edit_the_line_and_leave_nothing_in_it() {
        let alt = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT);
        for (before, key, after) in [
            ("ab", plain(KeyCode::Char('c')), "abc"),
            (
                "ab",
                KeyEvent::new(KeyCode::Char('C'), KeyModifiers::SHIFT),
                "abC",
            ),
            ("a\u{e9}", plain(KeyCode::Backspace), "a"),
            ("", plain(KeyCode::Backspace), ""),
            ("ab", control('h'), "a"),
            ("a secret", control('u'), ""),
            ("one two  ", control('w'), "one "),
            ("one\u{3000}two", control('w'), "one\u{3000}"),
            ("one", control('w'), ""),
            ("ab", control('a'), "ab"),
            ("ab", control('v'), "ab"),
            ("ab", alt, "ab"),
            ("ab", plain(KeyCode::Tab), "ab"),
            ("ab", plain(KeyCode::Left), "ab"),
        ] {
            let mut text = before.to_owned();
            assert_eq!(edit(&mut text, key), Typing::GoesOn, "{key:?}");
            assert_eq!(text, after, "{key:?}");
        }
    }

    #[test]
    fn every_way_to_end_a_line_ends_it() {
        for key in [plain(KeyCode::Enter), control('j'), control('m')] {
            assert_eq!(edit(&mut "ab".to_owned(), key), Typing::Done, "{key:?}");
        }
        for key in [control('c'), control('d')] {
            assert_eq!(edit(&mut "ab".to_owned(), key), Typing::GivenUp, "{key:?}");
        }
    }
}
