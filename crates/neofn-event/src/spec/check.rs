//! Checks the expressions of triggers against the parameters of contracts' events, and compiles them.

use super::finding::{Finding, Step, Target};
use super::members::Members;
use super::model::{NotificationOn, On, TriggerSpec, Triggers};
use super::options::Order;
use crate::filter::{
    Abi, Expression, FilterError, Key, Lookup, Parameters, Program, Scope, check_condition, check_key,
};
use neofn_types::{Code, ScriptHash, closest};

/// A chain that nobody asked: checks without one leave parameters alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unasked;

impl Abi for Unasked {
    fn event(&self, _: ScriptHash, _: &str) -> Lookup {
        Lookup::NotAsked
    }
}

/// The compiled expressions of a trigger.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// `where`.
    pub filter: Option<Program>,
    /// `order_by`.
    pub key: Option<Key>,
}

/// Why a scope cannot be made: which member, and what is wrong.
struct NoScope {
    key: &'static str,
    message: String,
    hint: String,
}

impl TriggerSpec {
    fn scope(&self, abi: &dyn Abi) -> Result<Scope, NoScope> {
        let parameters = match &self.on {
            On::Notification(on) => parameters(on, abi)?,
            _ => Parameters::Unknown,
        };
        Ok(Scope {
            kind: self.on.kind(),
            parameters,
        })
    }

    /// The expressions, checked against what is known of the event's parameters.
    fn expressions(&self, scope: &Scope) -> Result<Checked, Vec<(&'static str, String, FilterError)>> {
        let mut errors = Vec::new();
        let mut put = |key, expression: &Expression, found: Vec<FilterError>| {
            errors.extend(found.into_iter().map(|e| (key, expression.text().to_owned(), e)));
        };
        let mut checked = Checked::default();
        if let Some(filter) = &self.filter {
            match check_condition(filter, scope) {
                Ok(program) => checked.filter = Some(program),
                Err(found) => put("where", filter, found),
            }
        }
        if let Order::ByKey(key) = &self.options.order {
            match check_key(key, scope) {
                Ok(found) => checked.key = Some(found),
                Err(found) => put("order_by", key, found),
            }
        }
        if errors.is_empty() {
            Ok(checked)
        } else {
            Err(errors)
        }
    }

    /// What can be said without a chain.
    pub(super) fn check_offline(&self, m: &mut Members<'_>) {
        let Ok(scope) = self.scope(&Unasked) else { return };
        if let Err(errors) = self.expressions(&scope) {
            for (key, text, error) in errors {
                m.filter_errors(key, &text, vec![error]);
            }
        }
    }

    /// Compiles the expressions of a trigger that was checked when it was deployed.
    pub fn compile(&self) -> Result<Checked, FilterError> {
        let mut scope = match self.scope(&Unasked) {
            Ok(scope) => scope,
            Err(no) => {
                return Err(FilterError {
                    span: 0..0,
                    code: Code::TriggerContract,
                    message: no.message,
                    hint: no.hint,
                });
            }
        };
        // what the chain said at the deployment is kept in `parameters`; nothing kept means that it said nothing
        if scope.parameters == Parameters::Unchecked {
            scope.parameters = Parameters::Unknown;
        }
        self.expressions(&scope).map_err(|errors| {
            let first = errors.into_iter().next().map(|(_, _, error)| error);
            first.unwrap_or_else(|| FilterError {
                span: 0..0,
                code: Code::FilterType,
                message: "the filter does not fit".to_owned(),
                hint: String::new(),
            })
        })
    }
}

fn parameters(on: &NotificationOn, abi: &dyn Abi) -> Result<Parameters, NoScope> {
    if let Some(parameters) = &on.parameters {
        return Ok(Parameters::Known(parameters.clone()));
    }
    let (Some(contract), Some(event)) = (on.contract, on.event.as_deref()) else {
        return Ok(Parameters::Unknown);
    };
    if let Some(parameters) = crate::native::event(contract, event) {
        return Ok(Parameters::Known(parameters));
    }
    match abi.event(contract, event) {
        Lookup::Parameters(parameters) => Ok(Parameters::Known(parameters)),
        Lookup::NotAsked => Ok(Parameters::Unchecked),
        Lookup::NoContract => Err(NoScope {
            key: "contract",
            message: format!("there is no contract {contract} on this chain"),
            hint: "check the hash and the network; a contract must be deployed before a function can listen to it"
                .to_owned(),
        }),
        Lookup::NoSuchEvent(known) => Err(NoScope {
            key: "event",
            message: format!("the contract's manifest declares no event \"{event}\""),
            hint: match closest(event, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None if known.is_empty() => "it declares none; write the parameters into `parameters`".to_owned(),
                None => format!("it declares {}", known.join(", ")),
            },
        }),
    }
}

impl Triggers {
    /// Checks every expression against the chain, and keeps the parameters that it names.
    pub fn check(&mut self, abi: &dyn Abi) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        let mut counts = std::collections::BTreeMap::new();
        for spec in &mut self.0 {
            let kind = spec.on.kind();
            let count = counts.entry(kind).or_insert(0usize);
            let path = vec![Step::Key(kind.as_str().to_owned()), Step::Index(*count)];
            *count += 1;
            let at = |key: &str| {
                let mut path = path.clone();
                path.push(Step::Key(key.to_owned()));
                path
            };
            let scope = match spec.scope(abi) {
                Ok(scope) => scope,
                Err(no) => {
                    findings.push(Finding {
                        path: at(no.key),
                        target: Target::Value,
                        code: Code::TriggerContract,
                        message: no.message,
                        hint: no.hint,
                    });
                    continue;
                }
            };
            match spec.expressions(&scope) {
                Ok(_) => {
                    if let (On::Notification(on), Parameters::Known(parameters)) =
                        (&mut spec.on, scope.parameters)
                        && on
                            .contract
                            .zip(on.event.as_deref())
                            .is_some_and(|(c, e)| crate::native::event(c, e).is_none())
                    {
                        on.parameters = Some(parameters);
                    }
                }
                Err(errors) => findings.extend(errors.into_iter().map(|(key, text, error)| Finding {
                    path: at(key),
                    target: Target::Inside(text, error.span),
                    code: error.code,
                    message: error.message,
                    hint: error.hint,
                })),
            }
        }
        if findings.is_empty() {
            Ok(())
        } else {
            Err(findings)
        }
    }
}
