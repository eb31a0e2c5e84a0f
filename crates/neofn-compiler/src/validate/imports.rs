//! What a file imports when it runs. Imports that exist for types alone vanish in the bundle and are left out here.

use oxc::ast::ast::{ImportDeclarationSpecifier, Program, Statement};
use oxc::semantic::Scoping;
use oxc::span::Span;
use oxc::syntax::module_record::ModuleRecord;
use oxc::syntax::symbol::SymbolId;

/// One import, export-from or require.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub specifier: String,
    /// Of the specifier.
    pub start: usize,
    pub end: usize,
    pub is_require: bool,
    /// A package that tries whether something exists: leading nowhere is no error.
    pub in_try: bool,
}

impl Import {
    pub fn new(specifier: &str, span: Span) -> Self {
        let (start, end) = (super::index(span.start), super::index(span.end));
        Self {
            specifier: specifier.to_owned(),
            start,
            end,
            is_require: false,
            in_try: false,
        }
    }
}

/// The static imports and re-exports of a module.
pub(crate) fn of_module(record: &ModuleRecord<'_>, program: &Program<'_>, scoping: &Scoping) -> Vec<Import> {
    let elided = type_only_statements(program, scoping);
    let mut found: Vec<Import> = Vec::new();
    for (specifier, requests) in &record.requested_modules {
        let needed = requests
            .iter()
            .find(|r| !r.is_type && !elided.contains(&r.statement_span));
        if let Some(request) = needed {
            found.push(Import::new(specifier.as_str(), request.span));
        }
    }
    found.sort_by_key(|import| import.start);
    found
}

/// Imports of TypeScript files whose every name is used as a type alone: the transformer drops them. It drops those, too,
/// of which no name is used at all; they stay here, so that where they lead is judged as everywhere else.
fn type_only_statements(program: &Program<'_>, scoping: &Scoping) -> Vec<Span> {
    if !program.source_type.is_typescript() {
        return Vec::new();
    }
    let mut elided = Vec::new();
    for statement in &program.body {
        let Statement::ImportDeclaration(import) = statement else {
            continue;
        };
        let Some(specifiers) = &import.specifiers else {
            continue;
        };
        let is_used = |symbol: Option<SymbolId>| {
            symbol.is_some_and(|id| {
                scoping
                    .get_resolved_references(id)
                    .any(|reference| !reference.is_type())
            })
        };
        let any_value = specifiers.iter().any(|specifier| match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(s) => {
                !s.import_kind.is_type() && is_used(s.local.symbol_id.get())
            }
            ImportDeclarationSpecifier::ImportDefaultSpecifier(s) => is_used(s.local.symbol_id.get()),
            ImportDeclarationSpecifier::ImportNamespaceSpecifier(s) => is_used(s.local.symbol_id.get()),
        });
        let any_use = specifiers.iter().any(|specifier| {
            let symbol = specifier.local().symbol_id.get();
            symbol.is_some_and(|id| scoping.get_resolved_references(id).next().is_some())
        });
        if !specifiers.is_empty() && any_use && !any_value {
            elided.push(import.span);
        }
    }
    elided
}
