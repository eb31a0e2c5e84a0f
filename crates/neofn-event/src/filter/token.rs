//! From text to tokens. Every token knows its bytes.

use super::decimal::Decimal;
use super::error::FilterError;
use super::value::parse_hash256;
use neofn_types::ScriptHash;
use num_bigint::BigInt;
use std::ops::Range;

/// Most digits of an integer literal: more than 256 bits need.
const DIGITS_MAX: usize = 78;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Word(String),
    Int(BigInt),
    Decimal(Decimal),
    Text(String),
    Hash160(ScriptHash),
    Hash256([u8; 32]),
    /// One of `( ) [ ] , . + - * / % == != < <= > >= ! && ||`
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) span: Range<usize>,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 20] = [
    "==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/", "%", "<", ">", "!",
];

pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, FilterError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = match first {
            '\'' | '"' => string(rest, at)?,
            '0'..='9' => number(rest, at)?,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length = word_length(rest);
                (
                    Token::Word(rest.get(..length).unwrap_or_default().to_owned()),
                    length,
                )
            }
            _ => sign(rest, at, first)?,
        };
        out.push(Spanned {
            token,
            span: at..at + length,
        });
        at += length;
    }
    out.push(Spanned {
        token: Token::End,
        span: at..at,
    });
    Ok(out)
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn sign(rest: &str, at: usize, first: char) -> Result<(Token, usize), FilterError> {
    if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let span = at..at + first.len_utf8();
    Err(match first {
        '=' => FilterError::syntax(span, "`=` does not compare", "write `==`"),
        '&' => FilterError::syntax(span, "`&` is no operator", "write `and`"),
        '|' => FilterError::syntax(span, "`|` is no operator", "write `or`"),
        '“' | '”' | '„' | '‘' | '’' => {
            FilterError::syntax(span, "a typographic quotation mark", "write strings in ' or \"")
        }
        other => FilterError::syntax(
            span,
            format!("the character {other:?} means nothing here"),
            "strings are written in ' or \"",
        ),
    })
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), FilterError> {
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let digits = word_length(hex);
        let length = digits + 2;
        let span = at..at + length;
        let text = format!("0x{}", hex.get(..digits).unwrap_or_default());
        return match digits {
            40 => text
                .parse()
                .map(|hash| (Token::Hash160(hash), length))
                .map_err(|_| bad_hash(span)),
            64 => parse_hash256(&text)
                .map(|hash| (Token::Hash256(hash), length))
                .ok_or_else(|| bad_hash(span)),
            _ => Err(FilterError::syntax(
                span,
                format!("`0x` begins a hash of 40 or 64 digits, this has {digits}"),
                "write bytes as hex(\"0102\") and numbers in decimal",
            )),
        };
    }
    let length = rest
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(rest.len());
    let whole = digits(rest.get(..length).unwrap_or_default());
    // `1.5` is a number, `args[1].name` never begins with a digit: a point needs a digit behind it
    let fraction = rest
        .get(length..)
        .and_then(|r| r.strip_prefix('.'))
        .map(|r| {
            r.get(..r.find(|c: char| !c.is_ascii_digit()).unwrap_or(r.len()))
                .unwrap_or_default()
        })
        .filter(|f| !f.is_empty());
    let end = length + fraction.map_or(0, |f| f.len() + 1);
    let span = at..at + end;
    if let Some(next) = rest.get(end..).and_then(|r| r.chars().next())
        && (next.is_alphanumeric() || next == '_')
    {
        let stop = end + word_length(rest.get(end..).unwrap_or_default()).max(next.len_utf8());
        return Err(FilterError::syntax(
            at..at + stop,
            "a number with letters behind it",
            "strings and addresses need quotation marks; GAS is written gas(\"1.5\")",
        ));
    }
    if whole.len() + fraction.map_or(0, str::len) > DIGITS_MAX {
        return Err(FilterError::syntax(
            span,
            "the number is larger than any integer of the chain (256 bits)",
            "write fewer digits",
        ));
    }
    let bad = || FilterError::syntax(at..at + end, "not a number", "write it like 1_000 or 1.5");
    let token = match fraction {
        Some(fraction) => {
            let number: Decimal = format!("{whole}.{fraction}").parse().map_err(|_| bad())?;
            match number.to_integer() {
                Some(n) => Token::Int(n.clone()),
                None => Token::Decimal(number),
            }
        }
        None => Token::Int(whole.parse().map_err(|_| bad())?),
    };
    Ok((token, end))
}

fn digits(text: &str) -> String {
    text.chars().filter(|c| *c != '_').collect()
}

fn bad_hash(span: Range<usize>) -> FilterError {
    FilterError::syntax(
        span,
        "not a hash: other characters than 0-9 and a-f",
        "copy it again",
    )
}

/// A string with its delimiters: `\\ \' \" \n \t \r \u{1f600}` are escapes.
fn string(rest: &str, at: usize) -> Result<(Token, usize), FilterError> {
    let mut chars = rest.char_indices();
    let quote = chars.next().map_or('"', |(_, c)| c);
    let mut out = String::new();
    while let Some((offset, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Token::Text(out), offset + c.len_utf8())),
            '\\' => {
                let escape = chars.next().map(|(_, c)| c);
                match escape {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(c @ ('\\' | '\'' | '"')) => out.push(c),
                    Some('u') => {
                        let code: Option<String> = match chars.next() {
                            Some((_, '{')) => Some(
                                chars
                                    .by_ref()
                                    .map(|(_, c)| c)
                                    .take_while(|c| *c != '}')
                                    .take(7)
                                    .collect(),
                            ),
                            _ => None,
                        };
                        let found = code
                            .and_then(|code| u32::from_str_radix(&code, 16).ok())
                            .and_then(char::from_u32);
                        let Some(found) = found else {
                            return Err(FilterError::syntax(
                                at + offset..at + offset + 2,
                                "not a character",
                                "write it like \\u{1f600}",
                            ));
                        };
                        out.push(found);
                    }
                    _ => {
                        return Err(FilterError::syntax(
                            at + offset..at + offset + 1,
                            "unknown escape in a string",
                            "known are \\\\ \\' \\\" \\n \\t \\r \\u{…}",
                        ));
                    }
                }
            }
            c => out.push(c),
        }
    }
    Err(FilterError::syntax(
        at..at + rest.len(),
        "the string has no end",
        format!("close it with {quote}"),
    ))
}
