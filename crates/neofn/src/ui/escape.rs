//! Makes text from elsewhere harmless for a terminal: a log line must not move the cursor or set a title.

use std::borrow::Cow;

/// Whether a character could act on a terminal, or turn the direction of what is read.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters spelled out, as in `\x1b[31m`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match u32::from(c) {
            code if acts(c) && code < 0x100 => out.push_str(&format!("\\x{code:02x}")),
            code if acts(c) => out.push_str(&format!("\\u{{{code:x}}}")),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_could_act_is_spelled_out_and_the_rest_stays() {
        assert_eq!(visible("plain ä 漢\n\ttab"), "plain ä 漢\n\ttab");
        assert_eq!(
            visible("\x1b]0;title\x07\r\u{9b}31m"),
            "\\x1b]0;title\\x07\\x0d\\x9b31m"
        );
        assert_eq!(visible("a\u{202e}b"), "a\\u{202e}b");
    }
}
