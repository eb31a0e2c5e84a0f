//! Finds what a JavaScript or TypeScript source may import, without parsing it.
//!
//! It takes too much rather than too little: `from "x"` in a comment counts. A file more in the upload does no
//! harm, because the compiler decides what is bundled.

/// Longest specifier that is looked at.
const SPECIFIER_BYTES_MAX: usize = 1_024;

/// Bytes from `at` on that are white space or comments.
fn skip_blank(text: &[u8], mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += match rest {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
            [b'/', b'*', tail @ ..] => tail
                .windows(2)
                .position(|w| w == b"*/")
                .map_or(rest.len(), |n| n + 4),
            [b'/', b'/', tail @ ..] => tail
                .iter()
                .position(|b| *b == b'\n')
                .map_or(rest.len(), |n| n + 2),
            _ => return at,
        };
    }
}

/// The string literal at `at`, if there is one without escapes.
fn literal(text: &str, at: usize) -> Option<&str> {
    let rest = text.get(at..)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inner = rest.get(1..)?;
    let end = inner
        .bytes()
        .take(SPECIFIER_BYTES_MAX)
        .position(|b| b == quote as u8 || matches!(b, b'\n' | b'\\' | b'$'))?;
    let found = inner.get(..end)?;
    (inner.as_bytes().get(end) == Some(&(quote as u8)) && !found.is_empty()).then_some(found)
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.') || b >= 0x80
}

/// The specifiers of imports, re-exports and requires, in the order of the text, each once.
#[must_use]
pub fn specifiers(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut found: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // Only i(mport), f(rom) and r(equire) can begin what we look for.
        let Some(step) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|b| matches!(b, b'i' | b'f' | b'r')))
        else {
            break;
        };
        at += step;
        let rest = bytes.get(at..).unwrap_or_default();
        let word = ["import", "from", "require"]
            .into_iter()
            .find(|w| rest.starts_with(w.as_bytes()));
        let starts = at == 0 || bytes.get(at - 1).is_none_or(|b| !is_word(*b));
        let Some(word) = word.filter(|_| starts) else {
            at += 1;
            continue;
        };
        at += word.len();
        let mut place = skip_blank(bytes, at);
        if word != "from" && bytes.get(place) == Some(&b'(') {
            place = skip_blank(bytes, place + 1);
        } else if word == "require" {
            continue;
        }
        if let Some(specifier) = literal(text, place)
            && !found.contains(&specifier)
        {
            found.push(specifier);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::specifiers;

    #[test]
    fn every_form_of_import_is_found() {
        let text = r#"
            import a from "a"; import * as b from 'b'; import{c}from"c";import"d";
            import type { E } from "./e"; export * from "f"; export { g } from /* why */ "g";
            const h = require("h"), i = require( /* x */ 'i' ); await import("j");
            import {
              k,
            } from
              "k";
            Array.from("no"); xrequire("no"); require(name); import.meta.url; reimport "no"
            import l from "a"
        "#;
        assert_eq!(
            specifiers(text),
            ["a", "b", "c", "d", "./e", "f", "g", "h", "i", "j", "k"]
        );
    }

    #[test]
    fn broken_and_hostile_texts_end() {
        for text in [
            "from \"",
            "import '",
            "from /*",
            "require(",
            "import(\"x\\\"",
            "from //",
            "ä from \"ü\"",
            "from",
        ] {
            let _ = specifiers(text);
        }
        assert_eq!(specifiers("from \"ü\""), ["ü"]);
        assert!(specifiers(&"from ".repeat(100_000)).is_empty());
        assert!(specifiers(&format!("from \"{}\"", "x".repeat(5_000))).is_empty());
    }
}
