//! Reading the source maps that this crate made: from a place in the bundle to a place in the user's file.
//!
//! Runs in the node, on stored artefacts: bounded, and a damaged map is an error, never a panic.

use serde::Deserialize;

/// Largest map that is read.
pub const MAP_BYTES_MAX: usize = 32 << 20;

/// A place in a user's file; line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Relative to the project.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The name it had there, when the bundle calls it something else.
    pub name: Option<String>,
}

/// A map that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source map: {0}")]
pub struct SourceMapError(&'static str);

/// A decoded map.
#[derive(Debug, Clone)]
pub struct SourceMap {
    sources: Vec<String>,
    names: Vec<String>,
    /// Sorted by generated line and column.
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    line: u32,
    column: u32,
    source: u32,
    source_line: u32,
    source_column: u32,
    name: Option<u32>,
}

#[derive(Deserialize)]
struct Json {
    version: u32,
    sources: Vec<Option<String>>,
    #[serde(default)]
    names: Vec<String>,
    mappings: String,
}

impl SourceMap {
    /// Reads a map, version 3.
    pub fn parse(json: &str) -> Result<Self, SourceMapError> {
        if json.len() > MAP_BYTES_MAX {
            return Err(SourceMapError("too large"));
        }
        let map: Json =
            serde_json::from_str(json).map_err(|_| SourceMapError("not the JSON of a source map"))?;
        if map.version != 3 {
            return Err(SourceMapError("not version 3"));
        }
        let sources = map.sources.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self {
            sources,
            names: map.names,
            tokens: tokens(&map.mappings)?,
        })
    }

    /// Where `line:column` (from 1) of the bundle comes from; `None` for code that no source stands for.
    #[must_use]
    pub fn lookup(&self, line: u32, column: u32) -> Option<Position> {
        let (line, column) = (line.checked_sub(1)?, column.checked_sub(1)?);
        let after = self
            .tokens
            .partition_point(|t| (t.line, t.column) <= (line, column));
        let token = self
            .tokens
            .get(after.checked_sub(1)?)
            .filter(|t| t.line == line)?;
        let text = |list: &[String], index: u32| list.get(usize::try_from(index).ok()?).cloned();
        Some(Position {
            file: text(&self.sources, token.source)?,
            line: token.source_line.saturating_add(1),
            column: token.source_column.saturating_add(1),
            name: token.name.and_then(|index| text(&self.names, index)),
        })
    }
}

fn tokens(mappings: &str) -> Result<Vec<Token>, SourceMapError> {
    let damaged = SourceMapError("damaged mappings");
    let mut tokens = Vec::new();
    let [mut source, mut source_line, mut source_column, mut name] = [0_i64; 4];
    for (line, segments) in (0_u32..).zip(mappings.split(';')) {
        let mut column = 0_i64;
        for segment in segments.split(',').filter(|s| !s.is_empty()) {
            let mut fields = [0_i64; 5];
            let count = vlq(segment, &mut fields).ok_or(damaged.clone())?;
            let [dc, ds, dl, dsc, dn] = fields;
            column = column.saturating_add(dc);
            if count < 4 {
                continue;
            }
            source = source.saturating_add(ds);
            source_line = source_line.saturating_add(dl);
            source_column = source_column.saturating_add(dsc);
            name = name.saturating_add(dn);
            let number = |n: i64| u32::try_from(n).map_err(|_| damaged.clone());
            tokens.push(Token {
                line,
                column: number(column)?,
                source: number(source)?,
                source_line: number(source_line)?,
                source_column: number(source_column)?,
                name: if count == 5 { Some(number(name)?) } else { None },
            });
        }
    }
    tokens.sort_by_key(|t| (t.line, t.column));
    Ok(tokens)
}

/// The base-64 numbers of one segment; how many there were.
fn vlq(segment: &str, fields: &mut [i64; 5]) -> Option<usize> {
    let mut bytes = segment.bytes();
    let mut count = 0;
    while bytes.len() > 0 {
        let (mut value, mut shift) = (0_i64, 0_u32);
        loop {
            let digit = match bytes.next()? {
                b @ b'A'..=b'Z' => i64::from(b).saturating_sub(65),
                b @ b'a'..=b'z' => i64::from(b).saturating_sub(71),
                b @ b'0'..=b'9' => i64::from(b).saturating_add(4),
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            if shift > 35 {
                return None;
            }
            value |= (digit & 31) << shift;
            if digit & 32 == 0 {
                break;
            }
            shift = shift.saturating_add(5);
        }
        *fields.get_mut(count)? = if value & 1 == 1 {
            (value >> 1).saturating_neg()
        } else {
            value >> 1
        };
        count = count.saturating_add(1);
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_the_segment_before() {
        let json = r#"{"version":3,"sources":["index.ts"],"names":["x"],"mappings":"AAAA,IAAIA;AACA"}"#;
        let map = SourceMap::parse(json).unwrap();
        let at = |line, column| map.lookup(line, column).map(|p| (p.line, p.column, p.name));
        assert_eq!(at(1, 1), Some((1, 1, None)));
        assert_eq!(at(1, 9), Some((1, 5, Some("x".to_owned()))));
        assert_eq!(at(2, 1), Some((2, 5, None)));
        assert_eq!(at(3, 1), None);
        assert_eq!(at(0, 0), None);
    }

    #[test]
    fn damaged_maps_are_errors() {
        for bad in [
            "",
            "{}",
            r#"{"version":2,"sources":[],"mappings":""}"#,
            r#"{"version":3,"sources":[],"mappings":"!"}"#,
            r#"{"version":3,"sources":[],"mappings":"g"}"#,
            r#"{"version":3,"sources":[],"mappings":"AAAAAA"}"#,
            r#"{"version":3,"sources":[],"mappings":"DDDD"}"#,
            r#"{"version":3,"sources":[],"mappings":"gggggggggggggggggggB"}"#,
        ] {
            assert!(SourceMap::parse(bad).is_err(), "{bad}");
        }
    }
}
