//! The one place that writes to the terminal: data on standard output, everything else on standard error.
//!
//! Everything it shows can be read without colour. Text that came from a function is never written raw.

mod escape;
mod progress;

pub use escape::visible;
pub use progress::Progress;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a line on standard error is about; colour only underlines what the words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// Went well.
    Good,
    /// Needs a look.
    Warn,
    /// Went wrong.
    Bad,
}

/// Whether the terminal is raw: then a line feed alone does not return to the first column.
static RAW: AtomicBool = AtomicBool::new(false);

/// Says that the terminal was made raw, or is as it was.
pub fn set_raw(raw: bool) {
    RAW.store(raw, Ordering::Relaxed);
}

/// Ends every line as the terminal needs it now.
fn write_lines(to: &mut impl Write, text: &str) -> io::Result<()> {
    let end = if RAW.load(Ordering::Relaxed) { "\r\n" } else { "\n" };
    for line in text.split('\n') {
        write!(to, "{line}{end}")?;
    }
    to.flush()
}

/// Writes for one command.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Exactly one JSON document goes to standard output.
    pub json: bool,
    colour: bool,
    terminal: bool,
}

impl Ui {
    /// Looks at the streams once; NO_COLOR and a dumb terminal switch colour off.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        let terminal = io::stderr().is_terminal();
        Self {
            json,
            colour: terminal && !dumb && !set("NO_COLOR"),
            terminal,
        }
    }

    /// The same for a command that talks to a person all the time, whatever it printed first.
    #[must_use]
    pub fn for_people(self) -> Self {
        Self { json: false, ..self }
    }

    /// A line of data. A reader that went away is no error of ours.
    pub fn out(&self, text: &str) {
        let mut out = io::stdout().lock();
        let shown = if io::stdout().is_terminal() {
            visible(text)
        } else {
            text.into()
        };
        let _ = write_lines(&mut out, &shown);
    }

    /// Data as it is, without a line end.
    pub fn out_raw(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// The one JSON document of a command.
    pub fn document(&self, value: &impl serde::Serialize) {
        // What is printed here is made of strings, numbers and raw JSON, which cannot fail to print.
        let text = serde_json::to_string(value).unwrap_or_default();
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// A line for the person.
    pub fn say(&self, tone: Tone, text: &str) {
        let text = visible(text);
        let mut err = io::stderr().lock();
        let (on, off) = if self.colour {
            (code(tone), if tone == Tone::Plain { "" } else { "\x1b[0m" })
        } else {
            ("", "")
        };
        let _ = write_lines(&mut err, &format!("{on}{text}{off}"));
    }

    /// A plain line for the person.
    pub fn note(&self, text: &str) {
        self.say(Tone::Plain, text);
    }

    /// Text of several lines for the person.
    pub fn block(&self, tone: Tone, text: &str) {
        for line in text.lines() {
            self.say(tone, line);
        }
    }

    /// Starts to show that something takes time; silent unless somebody watches.
    #[must_use]
    pub fn progress(&self, text: &str) -> Progress {
        Progress::start(self.terminal && !self.json, text)
    }
}

fn code(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Dim => "\x1b[2m",
        Tone::Good => "\x1b[32m",
        Tone::Warn => "\x1b[33m",
        Tone::Bad => "\x1b[31m",
    }
}
