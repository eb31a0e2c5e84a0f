//! One walk over the tree for all rules that look at nodes.

use super::imports::Import;
use super::{FileReport, Finding, Look, index, keys, regex};
use neofn_types::Code;
use oxc::ast::AstKind;
use oxc::ast::ast::{
    Argument, AssignmentExpression, AssignmentTarget, BindingProperty, CallExpression,
    ComputedMemberExpression, Expression, FormalParameter, IdentifierReference, ImportExpression,
    MemberExpression, NewExpression, ObjectProperty, Program, PropertyDefinition, PropertyKey, RegExpLiteral,
    StaticMemberExpression, TryStatement, VariableDeclarator, WithStatement,
};
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::Scoping;
use oxc::span::{GetSpan, Span};

const BUILTINS: &[&str] = &[
    "Array",
    "ArrayBuffer",
    "BigInt",
    "Boolean",
    "DataView",
    "Date",
    "Error",
    "Function",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "Number",
    "Object",
    "Promise",
    "RegExp",
    "Set",
    "String",
    "Symbol",
    "TypeError",
    "Uint8Array",
    "WeakMap",
    "WeakSet",
];
const GLOBALS: &[&str] = &["globalThis", "self", "global", "window"];

/// Finds the first node that lies deeper than the limit.
pub(crate) fn too_deep(program: &Program<'_>, depth_max: u32) -> Option<Finding> {
    let mut meter = Depth {
        depth: 0,
        depth_max,
        found: None,
    };
    meter.visit_program(program);
    let span = meter.found?;
    let message = format!("the source is nested deeper than {depth_max} nodes here");
    Some(Finding::new(
        Code::NestedTooDeep,
        Span::sized(span.start, 1),
        message,
    ))
}

struct Depth {
    depth: u32,
    depth_max: u32,
    found: Option<Span>,
}

impl<'a> Visit<'a> for Depth {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.depth_max && self.found.is_none() {
            self.found = Some(kind.span());
        }
    }
    fn leave_node(&mut self, _kind: AstKind<'a>) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// Members of `ctx.neo` that ask nobody.
const NEO_PURE: [&str; 4] = ["toAddress", "toScriptHash", "isAddress", "verifySignature"];

/// Most functions that a file is said to call.
const CALLS_MAX: usize = 64;
/// Longer ones are no names.
const NAME_BYTES_MAX: usize = 64;

fn is_context(object: &Expression<'_>) -> bool {
    matches!(object.get_inner_expression(), Expression::Identifier(id) if matches!(id.name.as_str(), "ctx" | "context"))
}

/// Applies the rules and notes what imports, grants and the handler need.
pub(crate) fn visit(
    look: Look<'_>,
    source: &str,
    program: &Program<'_>,
    scoping: &Scoping,
    report: &mut FileReport,
) {
    let mut visitor = Rules {
        look,
        source,
        scoping,
        report,
        try_depth: 0,
        parameter_depth: 0,
    };
    visitor.visit_program(program);
}

struct Rules<'r, 's> {
    look: Look<'s>,
    source: &'s str,
    scoping: &'s Scoping,
    report: &'r mut FileReport,
    try_depth: u32,
    parameter_depth: u32,
}

impl Rules<'_, '_> {
    fn error(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }

    /// Warnings are for the user's own files: nobody mends a package.
    fn warn(&mut self, finding: Finding) {
        if self.look.is_own() {
            self.report.findings.push(finding);
        }
    }

    fn is_global(&self, identifier: &IdentifierReference<'_>) -> bool {
        identifier
            .reference_id
            .get()
            .is_none_or(|id| self.scoping.get_reference(id).symbol_id().is_none())
    }

    fn global_name<'e>(&self, expression: &'e Expression<'_>) -> Option<&'e str> {
        match expression.get_inner_expression() {
            Expression::Identifier(id) if self.is_global(id) => Some(id.name.as_str()),
            _ => None,
        }
    }

    /// `Array.prototype`, `Object.prototype` ...
    fn is_builtin_prototype(&self, expression: &Expression<'_>) -> bool {
        let Expression::StaticMemberExpression(member) = expression.get_inner_expression() else {
            return false;
        };
        member.property.name == "prototype"
            && self
                .global_name(&member.object)
                .is_some_and(|name| BUILTINS.contains(&name))
    }

    fn called(&mut self, callee: &Expression<'_>, arguments: &[Argument<'_>], span: Span) {
        match callee.get_inner_expression() {
            Expression::Identifier(id) if self.is_global(id) => match id.name.as_str() {
                "eval" => self.warn(Finding::new(Code::EvalUsed, id.span, "`eval` throws at run time")),
                "Function" => self.warn(Finding::new(
                    Code::EvalUsed,
                    id.span,
                    "the Function constructor throws at run time",
                )),
                "require" => self.required(arguments),
                _ => {}
            },
            Expression::StaticMemberExpression(member)
                if member.property.name == "invoke" && is_context(&member.object) =>
            {
                self.invoked(arguments);
            }
            Expression::StaticMemberExpression(member) => {
                let Some(object) = self.global_name(&member.object) else {
                    return;
                };
                let name = member.property.name.as_str();
                if GLOBALS.contains(&object) && matches!(name, "eval" | "Function") {
                    self.warn(Finding::new(
                        Code::EvalUsed,
                        member.span,
                        format!("`{object}.{name}` throws at run time"),
                    ));
                }
                let writes = matches!(
                    name,
                    "assign" | "defineProperty" | "defineProperties" | "setPrototypeOf" | "set"
                );
                let first = arguments.first().and_then(Argument::as_expression);
                if matches!(object, "Object" | "Reflect")
                    && writes
                    && first.is_some_and(|e| self.is_builtin_prototype(e))
                {
                    self.warn(Finding::new(
                        Code::PrototypeWrite,
                        span,
                        format!("`{object}.{name}` changes a built-in prototype"),
                    ));
                }
            }
            _ => {}
        }
    }

    fn required(&mut self, arguments: &[Argument<'_>]) {
        if let [Argument::StringLiteral(specifier)] = arguments {
            let import = Import::new(specifier.value.as_str(), specifier.span);
            self.report.imports.push(Import {
                is_require: true,
                in_try: self.try_depth > 0,
                ..import
            });
        }
    }

    fn named_value(&mut self, name: Option<&str>, value: &Expression<'_>) {
        let (Some(name), Expression::StringLiteral(text)) = (name, value.get_inner_expression()) else {
            return;
        };
        match keys::judge(name, text.value.as_str()) {
            Some(Code::PrivateKeyInSource) => {
                let message = format!("`{}` looks like a private key", keys::shorten(name));
                self.error(Finding::new(Code::PrivateKeyInSource, text.span, message));
            }
            Some(code) => self.warn(Finding::new(
                code,
                text.span,
                format!("`{}` looks like a secret", keys::shorten(name)),
            )),
            None => {}
        }
    }

    /// The function that a call of `ctx.invoke` names, when it names it.
    fn invoked(&mut self, arguments: &[Argument<'_>]) {
        let first = arguments.first().and_then(Argument::as_expression);
        let name = match first.map(Expression::get_inner_expression) {
            Some(Expression::StringLiteral(text)) => text.value.as_str(),
            Some(Expression::TemplateLiteral(text)) => match text.single_quasi() {
                Some(whole) => whole.as_str(),
                None => return,
            },
            _ => return,
        };
        if self.report.calls.len() < CALLS_MAX && name.len() <= NAME_BYTES_MAX {
            self.report.calls.insert(name.to_owned());
        }
    }

    fn service(&mut self, object: &Expression<'_>, name: &str, span: Span) {
        let of_context = is_context(object);
        match name {
            "kv" => {
                self.report.mentions.kv = true;
                if of_context {
                    self.missing_kv(span);
                }
            }
            "neo" => self.report.mentions.neo = true,
            "secrets" => {
                self.report.mentions.secrets = true;
                if of_context && self.look.grants.secrets.is_empty() {
                    self.missing(
                        "`secrets`",
                        "Add `secrets = [\"NAME\"]` to `allow` in neofn.toml.",
                        span,
                    );
                }
            }
            "fetch" => {
                self.report.mentions.fetch = true;
                if of_context {
                    self.missing_net(span);
                }
            }
            "invoke" if !of_context => self.report.mentions.sends = true,
            _ => {}
        }
        let Expression::StaticMemberExpression(outer) = object.get_inner_expression() else {
            return;
        };
        if outer.property.name == "neo" && is_context(&outer.object) && !NEO_PURE.contains(&name) {
            self.missing_chain(name, span);
        }
    }

    fn missing_kv(&mut self, span: Span) {
        if !self.look.grants.kv {
            self.missing("`kv`", "Add `kv = true` to `allow` in neofn.toml.", span);
        }
    }

    fn missing_net(&mut self, span: Span) {
        if self.look.grants.net.is_empty() {
            let hint = "Add `net = [\"https://api.example.org\"]` to `allow` in neofn.toml.";
            self.missing("`fetch`", hint, span);
        }
    }

    fn missing_chain(&mut self, name: &str, span: Span) {
        let grant = &self.look.grants.chain;
        if name == "invoke" && grant.writes().is_none() {
            let hint = "Add `chain = { write = { contracts = [\"0x…\"], gas = \"0.5\" } }` to `allow` in neofn.toml.";
            self.missing("`neo.invoke`", hint, span);
        } else if !grant.reads() {
            self.missing("`neo`", "Add `chain = \"read\"` to `allow` in neofn.toml.", span);
        }
    }

    fn missing(&mut self, what: &str, hint: &str, span: Span) {
        let message = format!("{what} is used but not granted: the call will be denied");
        self.warn(Finding::new(Code::MissingGrant, span, message).hint(hint));
    }

    fn proto(&mut self, span: Span) {
        self.warn(Finding::new(Code::ProtoAccess, span, "`__proto__` is used"));
    }

    fn assigned(&mut self, target: &MemberExpression<'_>) {
        let object = target.object();
        let name = target.static_property_name().unwrap_or("");
        if self.is_builtin_prototype(object) {
            self.warn(Finding::new(
                Code::PrototypeWrite,
                target.span(),
                "a built-in prototype is changed",
            ));
        }
        match self.global_name(object) {
            Some(global) if GLOBALS.contains(&global) && matches!(name, "main" | "handler") => {
                self.report.exports.sets_global = true;
            }
            Some("module") if name == "exports" => self.report.exports.is_commonjs = true,
            Some("exports") => self.report.exports.is_commonjs = true,
            Some(builtin) if name == "prototype" && BUILTINS.contains(&builtin) => {
                self.warn(Finding::new(
                    Code::PrototypeWrite,
                    target.span(),
                    "a built-in prototype is replaced",
                ));
            }
            _ => {}
        }
    }
}

impl<'a> Visit<'a> for Rules<'_, '_> {
    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        self.error(Finding::new(
            Code::DynamicImport,
            Span::sized(it.span.start, 6),
            "`import()` loads code at run time",
        ));
        walk::walk_import_expression(self, it);
    }
    fn visit_with_statement(&mut self, it: &WithStatement<'a>) {
        self.error(Finding::new(
            Code::WithStatement,
            Span::sized(it.span.start, 4),
            "`with` does not exist in modules",
        ));
        walk::walk_with_statement(self, it);
    }
    fn visit_static_member_expression(&mut self, it: &StaticMemberExpression<'a>) {
        if it.property.name == "__proto__" {
            self.proto(it.property.span);
        }
        self.service(&it.object, it.property.name.as_str(), it.property.span);
        walk::walk_static_member_expression(self, it);
    }
    fn visit_computed_member_expression(&mut self, it: &ComputedMemberExpression<'a>) {
        if let Expression::StringLiteral(name) = it.expression.get_inner_expression() {
            if name.value == "__proto__" {
                self.proto(name.span);
            }
            self.service(&it.object, name.value.as_str(), name.span);
        }
        walk::walk_computed_member_expression(self, it);
    }
    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        self.called(&it.callee, &it.arguments, it.span);
        walk::walk_call_expression(self, it);
    }
    fn visit_new_expression(&mut self, it: &NewExpression<'a>) {
        self.called(&it.callee, &it.arguments, it.span);
        walk::walk_new_expression(self, it);
    }
    fn visit_assignment_expression(&mut self, it: &AssignmentExpression<'a>) {
        let name = match &it.left {
            AssignmentTarget::AssignmentTargetIdentifier(id) => Some(id.name.as_str()),
            left => left.as_member_expression().and_then(|member| {
                self.assigned(member);
                member.static_property_name()
            }),
        };
        self.named_value(name, &it.right);
        walk::walk_assignment_expression(self, it);
    }
    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if let Some(value) = &it.init {
            let name = it.id.get_binding_identifier().map(|id| id.name.as_str());
            self.named_value(name, value);
        }
        walk::walk_variable_declarator(self, it);
    }
    fn visit_object_property(&mut self, it: &ObjectProperty<'a>) {
        let name = key_name(&it.key);
        if name == Some("__proto__") && !it.computed {
            self.proto(it.key.span());
        }
        self.named_value(name, &it.value);
        walk::walk_object_property(self, it);
    }
    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        if let Some(value) = &it.value {
            self.named_value(key_name(&it.key), value);
        }
        walk::walk_property_definition(self, it);
    }
    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        self.parameter_depth = self.parameter_depth.saturating_add(1);
        walk::walk_formal_parameter(self, it);
        self.parameter_depth = self.parameter_depth.saturating_sub(1);
    }
    fn visit_binding_property(&mut self, it: &BindingProperty<'a>) {
        match key_name(&it.key) {
            Some("kv") => {
                self.report.mentions.kv = true;
                if self.parameter_depth > 0 {
                    self.missing_kv(it.key.span());
                }
            }
            // what of it is used, and whether that needs a grant, is not to be seen here
            Some("neo") => self.report.mentions.neo = true,
            Some("invoke") => self.report.mentions.sends = true,
            _ => {}
        }
        walk::walk_binding_property(self, it);
    }
    fn visit_try_statement(&mut self, it: &TryStatement<'a>) {
        self.try_depth = self.try_depth.saturating_add(1);
        self.visit_block_statement(&it.block);
        self.try_depth = self.try_depth.saturating_sub(1);
        if let Some(handler) = &it.handler {
            self.visit_catch_clause(handler);
        }
        if let Some(finalizer) = &it.finalizer {
            self.visit_block_statement(finalizer);
        }
    }
    fn visit_reg_exp_literal(&mut self, it: &RegExpLiteral<'a>) {
        if self.look.is_own()
            && let Some(pattern) = self.source.get(index(it.span.start)..index(it.span.end))
            && let Some((start, end, message)) = regex::heavy(pattern)
        {
            let from = it.span.start.saturating_add(start);
            let span = Span::new(from, it.span.start.saturating_add(end).max(from));
            self.warn(Finding::new(Code::HeavyRegex, span, message));
        }
    }
}

fn key_name<'e>(key: &'e PropertyKey<'_>) -> Option<&'e str> {
    match key {
        PropertyKey::StaticIdentifier(id) => Some(id.name.as_str()),
        PropertyKey::StringLiteral(text) => Some(text.value.as_str()),
        _ => None,
    }
}
