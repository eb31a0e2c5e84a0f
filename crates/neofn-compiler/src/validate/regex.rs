//! Regular expressions whose matching time can grow exponentially.
//!
//! A loop inside a loop is harmless when every way around the outer loop passes something that the inner loop cannot
//! match: `(a+b)*` is, `(a+)+` and `(\w+\s?)*` are not. Also found: a loop over alternatives that start alike and are
//! one character each, `(\w|\d)*`. What is looked at is the pattern alone, never a run.

use super::regex_set::Set;
use oxc::allocator::Allocator;
use oxc::regular_expression::ast::{
    Alternative, CharacterClass, CharacterClassContents, CharacterClassContentsKind, CharacterClassEscape,
    CharacterClassEscapeKind, Disjunction, Quantifier, Term,
};
use oxc::regular_expression::{LiteralParser, Options};
use oxc::span::Span;

/// A bounded repetition this often is as good as endless.
const ENDLESS_FROM: u64 = 25;
const PATTERN_BYTES_MAX: usize = 10_000;

/// The place of the heavy part, in bytes from the start of the literal, and what is wrong.
pub(crate) fn heavy(literal: &str) -> Option<(u32, u32, &'static str)> {
    let body = literal.strip_prefix('/')?;
    let (pattern, flags) = body.rsplit_once('/')?;
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let allocator = Allocator::default();
    let options = Options {
        pattern_span_offset: 1,
        flags_span_offset: 0,
    };
    let parsed = LiteralParser::new(&allocator, pattern, Some(flags), options)
        .parse()
        .ok()?;
    let search = Search {
        ignore_case: flags.contains('i'),
        dot_all: flags.contains('s'),
    };
    search
        .disjunction(&parsed.body)
        .map(|(span, why)| (span.start, span.end, why))
}

struct Search {
    ignore_case: bool,
    dot_all: bool,
}

type Found = (Span, &'static str);

impl Search {
    fn disjunction(&self, body: &Disjunction<'_>) -> Option<Found> {
        body.body
            .iter()
            .flat_map(|alternative| &alternative.body)
            .find_map(|term| self.term(term))
    }

    fn term(&self, term: &Term<'_>) -> Option<Found> {
        if let Term::Quantifier(outer) = term {
            if is_endless(outer)
                && let Some(found) = self.outer_loop(outer)
            {
                return Some(found);
            }
            return self.term(&outer.body);
        }
        group(term).and_then(|body| self.disjunction(body))
    }

    fn outer_loop(&self, outer: &Quantifier<'_>) -> Option<Found> {
        let body = group(&outer.body)?;
        if self.alternatives_start_alike(body) {
            return Some((
                outer.span,
                "the repeated alternatives can match the same character",
            ));
        }
        let nested = body
            .body
            .iter()
            .any(|alternative| self.inner_loop_is_free(alternative, &Set::default(), true));
        nested.then_some((
            outer.span,
            "repetition inside repetition over the same characters",
        ))
    }

    /// Whether some endless loop of this sequence can hand characters over to its own next turn around the outer loop:
    /// nothing mandatory that it could not match itself lies on the way. `around` is what mandatory parts outside match.
    fn inner_loop_is_free(&self, sequence: &Alternative<'_>, around: &Set, free_around: bool) -> bool {
        sequence.body.iter().enumerate().any(|(at, term)| {
            let others = || {
                sequence
                    .body
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != at)
                    .map(|(_, t)| t)
            };
            let inner = match term {
                Term::Quantifier(q) if is_endless(q) => Some(self.set(&q.body)),
                _ => None,
            };
            if let Some(inner) = inner {
                let stops = |t: &Term<'_>| !is_nullable(t) && !self.set(t).overlaps(&inner);
                return (free_around || around.overlaps(&inner)) && !others().any(stops);
            }
            let inside = match term {
                Term::Quantifier(q) => group(&q.body),
                term => group(term),
            };
            let Some(inside) = inside else { return false };
            let mandatory: Vec<&Term<'_>> = others().filter(|t| !is_nullable(t)).collect();
            inside.body.iter().any(|alternative| {
                let mut outside = around.clone();
                mandatory.iter().for_each(|t| outside.add(&self.set(t)));
                self.inner_loop_is_free(alternative, &outside, free_around && mandatory.is_empty())
            })
        })
    }

    fn alternatives_start_alike(&self, body: &Disjunction<'_>) -> bool {
        let single = |alternative: &Alternative<'_>| match alternative.body.as_slice() {
            [term] if is_one_character(term) => Some(self.set(term)),
            _ => None,
        };
        let sets: Vec<Set> = body.body.iter().filter_map(single).collect();
        sets.iter()
            .enumerate()
            .any(|(i, a)| sets.iter().skip(i.saturating_add(1)).any(|b| a.overlaps(b)))
    }

    /// Every character that can occur in what the term matches.
    fn set(&self, term: &Term<'_>) -> Set {
        let set = match term {
            Term::Character(c) => char::from_u32(c.value).map_or_else(Set::all, Set::one),
            Term::Dot(_) if self.dot_all => Set::all(),
            Term::Dot(_) => Set::dot(),
            Term::CharacterClassEscape(escape) => escape_set(escape),
            Term::CharacterClass(class) => class_set(class),
            Term::Quantifier(q) => self.set(&q.body),
            Term::CapturingGroup(_) | Term::IgnoreGroup(_) => {
                let mut all = Set::default();
                let terms = group(term)
                    .into_iter()
                    .flat_map(|d| &d.body)
                    .flat_map(|a| &a.body);
                terms.for_each(|t| all.add(&self.set(t)));
                all
            }
            Term::BoundaryAssertion(_) | Term::LookAroundAssertion(_) => Set::default(),
            Term::UnicodePropertyEscape(_) | Term::IndexedReference(_) | Term::NamedReference(_) => {
                Set::all()
            }
        };
        if self.ignore_case { set.both_cases() } else { set }
    }
}

fn is_endless(quantifier: &Quantifier<'_>) -> bool {
    quantifier.max.is_none_or(|max| max >= ENDLESS_FROM)
}

fn group<'t>(term: &'t Term<'_>) -> Option<&'t Disjunction<'t>> {
    match term {
        Term::CapturingGroup(group) => Some(&group.body),
        Term::IgnoreGroup(group) => Some(&group.body),
        _ => None,
    }
}

fn is_one_character(term: &Term<'_>) -> bool {
    matches!(
        term,
        Term::Character(_) | Term::Dot(_) | Term::CharacterClassEscape(_) | Term::CharacterClass(_)
    )
}

/// Whether the term can match nothing.
fn is_nullable(term: &Term<'_>) -> bool {
    match term {
        Term::Quantifier(q) => q.min == 0 || is_nullable(&q.body),
        Term::BoundaryAssertion(_) | Term::LookAroundAssertion(_) => true,
        Term::IndexedReference(_) | Term::NamedReference(_) => true,
        term => group(term).is_some_and(|body| body.body.iter().any(|a| a.body.iter().all(is_nullable))),
    }
}

fn escape_set(escape: &CharacterClassEscape) -> Set {
    match escape.kind {
        CharacterClassEscapeKind::D => Set::digits(),
        CharacterClassEscapeKind::NegativeD => Set::digits().inverted(),
        CharacterClassEscapeKind::S => Set::space(),
        CharacterClassEscapeKind::NegativeS => Set::space().inverted(),
        CharacterClassEscapeKind::W => Set::word(),
        CharacterClassEscapeKind::NegativeW => Set::word().inverted(),
    }
}

fn class_set(class: &CharacterClass<'_>) -> Set {
    if class.kind != CharacterClassContentsKind::Union {
        return Set::all();
    }
    let mut set = Set::default();
    for part in &class.body {
        set.add(&match part {
            CharacterClassContents::CharacterClassRange(range) => {
                Set::of(&[(range.min.value, range.max.value)])
            }
            CharacterClassContents::CharacterClassEscape(escape) => escape_set(escape),
            CharacterClassContents::Character(c) => Set::of(&[(c.value, c.value)]),
            CharacterClassContents::NestedCharacterClass(nested) => class_set(nested),
            CharacterClassContents::UnicodePropertyEscape(_)
            | CharacterClassContents::ClassStringDisjunction(_) => Set::all(),
        });
    }
    if class.negative { set.inverted() } else { set }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_patterns_are_found() {
        for bad in [
            r"/(a+)+$/",
            r"/(a*)*/",
            r"/^(\w+\s?)*$/",
            r"/(x+x+)+y/",
            r"/(.*a){30,}/",
            r"/(?:[a-z]+)*@/",
            r"/((a+)b?)*c/",
            r"/(\w|\d)+$/",
            r"/(a|a)*/",
            r"/(A+a?)+$/i",
            r"/^(([a-z])+.)+[A-Z]([a-z])+$/",
            r"/(\d+|x)*(\d+)*$/",
        ] {
            assert!(heavy(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn ordinary_patterns_are_not() {
        for good in [
            r"/a+b+/",
            r"/(a+b)*/",
            r"/^\w+(\s\w+)*$/",
            r"/([^,]*,)*/",
            r"/(\d{1,3}\.){3}\d{1,3}/",
            r"/^[\w.]+@[\w.]+$/",
            r"/(a|b)*/",
            r"/(?:ab|cd)+/",
            r"/\s*(\/\*.*?\*\/)?/",
            r"/(A+b)+$/",
            r"/^#([0-9a-f]{3}){1,2}$/i",
        ] {
            assert_eq!(heavy(good), None, "{good}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_loop() {
        assert_eq!(
            heavy("/x(a+)+/").map(|(start, end, _)| (start, end)),
            Some((2, 7))
        );
    }
}
