//! Which function is the handler: `handler`, the default export, or a global `main`, and only one of them.

use super::{Finding, index};
use neofn_types::Code;
use oxc::ast::ast::{BindingPattern, Declaration, Expression, Program, Statement};
use oxc::semantic::Scoping;
use oxc::span::{GetSpan, Span};
use oxc::syntax::module_record::{ExportExportName, ModuleRecord};
use oxc::syntax::symbol::SymbolId;

/// What the entry file shows without running it.
#[derive(Debug, Default, Clone)]
pub(crate) struct EntryExports {
    pub handler: Option<Span>,
    pub default: Option<Span>,
    /// `main`, exported.
    pub main: Option<Span>,
    /// A top-level `main` that is not exported: what a script calls its global function.
    pub local_main: Option<Span>,
    /// The local `main` is called by other code: with another handler present it is a helper.
    pub local_main_is_used: bool,
    /// `globalThis.main = ...`: known only when it has run.
    pub sets_global: bool,
    /// `export * from`: only the bundle knows the names.
    pub has_star: bool,
    /// `module.exports = ` or `exports.x = `.
    pub is_commonjs: bool,
    /// A would-be handler that is plainly no function: what is exported, what it is, where.
    pub not_a_function: Option<(&'static str, &'static str, Span)>,
}

/// Reads the export list of a file.
pub(crate) fn exports(
    record: &ModuleRecord<'_>,
    program: &Program<'_>,
    scoping: &Scoping,
    seen: EntryExports,
) -> EntryExports {
    let mut found = EntryExports {
        has_star: !record.star_export_entries.is_empty(),
        not_a_function: program.body.iter().find_map(exports_a_value),
        ..seen
    };
    for entry in record
        .local_export_entries
        .iter()
        .chain(&record.indirect_export_entries)
    {
        if entry.is_type {
            continue;
        }
        match &entry.export_name {
            ExportExportName::Default(span) => found.default = Some(*span),
            ExportExportName::Name(name) => match name.name.as_str() {
                "handler" => found.handler = Some(name.span),
                "default" => found.default = Some(name.span),
                "main" => found.main = Some(name.span),
                _ => {}
            },
            ExportExportName::Null => {}
        }
    }
    if found.main.is_none()
        && let Some((span, symbol)) = program.body.iter().find_map(declares_main)
    {
        found.local_main = Some(span);
        found.local_main_is_used = symbol.is_some_and(|id| {
            scoping
                .get_resolved_references(id)
                .any(|reference| reference.is_read())
        });
    }
    found
}

/// `export const handler = 5`, `export default {}`: what needs no running to be seen.
fn exports_a_value(statement: &Statement<'_>) -> Option<(&'static str, &'static str, Span)> {
    match statement {
        Statement::ExportDefaultDeclaration(export) => {
            let (kind, span) = value_of(export.declaration.as_expression()?)?;
            Some(("the default export", kind, span))
        }
        Statement::ExportDeclaration(export) => match &export.declaration {
            Declaration::VariableDeclaration(variables) => variables.declarations.iter().find_map(|v| {
                let name = match &v.id {
                    BindingPattern::BindingIdentifier(id) if id.name == "handler" => "the export `handler`",
                    BindingPattern::BindingIdentifier(id) if id.name == "main" => "the export `main`",
                    _ => return None,
                };
                let (kind, span) = value_of(v.init.as_ref()?)?;
                Some((name, kind, span))
            }),
            _ => None,
        },
        _ => None,
    }
}

fn value_of(expression: &Expression<'_>) -> Option<(&'static str, Span)> {
    let expression = expression.get_inner_expression();
    let kind = match expression {
        Expression::NumericLiteral(_) => "a number",
        Expression::BigIntLiteral(_) => "a bigint",
        Expression::StringLiteral(_) | Expression::TemplateLiteral(_) => "a string",
        Expression::BooleanLiteral(_) => "a boolean",
        Expression::NullLiteral(_) => "null",
        Expression::RegExpLiteral(_) => "a regular expression",
        Expression::ObjectExpression(_) => "an object",
        Expression::ArrayExpression(_) => "an array",
        _ => return None,
    };
    Some((kind, expression.span()))
}

fn declares_main(statement: &Statement<'_>) -> Option<(Span, Option<SymbolId>)> {
    match statement.as_declaration()? {
        Declaration::FunctionDeclaration(function) => {
            let id = function
                .id
                .as_ref()
                .filter(|id| id.name == "main" && function.body.is_some())?;
            Some((id.span, id.symbol_id.get()))
        }
        Declaration::VariableDeclaration(variables) => {
            variables.declarations.iter().find_map(|v| match &v.id {
                BindingPattern::BindingIdentifier(id) if id.name == "main" => {
                    Some((id.span, id.symbol_id.get()))
                }
                _ => None,
            })
        }
        _ => None,
    }
}

/// The verdict on the entry file. `exported` are the names of the bundle, once there is one.
pub(crate) fn judge(entry: &EntryExports, exported: Option<&[String]>) -> Result<(), Box<Finding>> {
    let has = |name: &str, span: Option<Span>| {
        let known = exported.is_some_and(|names| names.iter().any(|n| n == name));
        span.or(known.then_some(Span::default()))
    };
    let mut found: Vec<(&str, Span)> = Vec::new();
    found.extend(has("handler", entry.handler).map(|span| ("the export `handler`", span)));
    found.extend(has("default", entry.default.filter(|_| true)).map(|span| ("the default export", span)));
    let main = has("main", entry.main).or(entry
        .local_main
        .filter(|_| !entry.local_main_is_used || found.is_empty()));
    found.extend(main.map(|span| ("`main`", span)));
    if let ([_], Some((what, kind, span))) = (found.as_slice(), entry.not_a_function) {
        let message = format!("{what} is {kind}, not a function");
        return Err(Box::new(Finding::new(Code::NoHandler, span, message)));
    }
    match found.as_slice() {
        [] if entry.sets_global || (entry.has_star && exported.is_none()) => Ok(()),
        [] => Err(Box::new(none(entry))),
        [_] => Ok(()),
        [(first, _), (second, span), ..] => {
            let message = format!("both {first} and {second} could be the handler");
            Err(Box::new(Finding::new(Code::TwoHandlers, *span, message)))
        }
    }
}

fn none(entry: &EntryExports) -> Finding {
    let message = "no handler: the main file exports neither `handler` nor a default, and defines no `main`";
    let hint = if entry.is_commonjs {
        "`module.exports` is not read: write `export async function handler(event, ctx) { ... }`."
    } else {
        ""
    };
    Finding {
        code: Code::NoHandler,
        start: index(0),
        end: index(1),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}
