//! A spinner on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Something that takes time. Disappears when it is dropped.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn start(shown: bool, text: &str) -> Self {
        if !shown {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        bar.set_message(super::visible(text).into_owned());
        bar.enable_steady_tick(Duration::from_millis(80));
        Self(Some(bar))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
