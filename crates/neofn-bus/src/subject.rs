//! Subjects: tokens joined by dots; `*` stands for one token, a last `>` for one or more.

/// Whether a subject without wildcards is one that the pattern takes.
#[must_use]
pub fn matches(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Whether a message may be sent to it: tokens of visible ASCII, none empty, no wildcard.
#[must_use]
pub fn is_valid(subject: &str) -> bool {
    !subject.is_empty()
        && subject.split('.').all(|token| {
            !token.is_empty()
                && token
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'>'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_tokens() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("function.js.*", "function.result.x", false),
            ("*.b", "a.b", true),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
        for (subject, expected) in [
            ("a.b-1", true),
            ("", false),
            ("a..b", false),
            ("a.*", false),
            ("a b", false),
        ] {
            assert_eq!(is_valid(subject), expected, "{subject}");
        }
    }
}
