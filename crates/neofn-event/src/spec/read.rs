//! Reads `on`: kinds, and under each a table or a list of tables.

use super::finding::{Finding, Step, Target};
use super::kind::TriggerKind;
use super::members::{Members, push, shorten};
use super::model::{
    BlockOn, CronOn, EventOn, ExecutionOn, HttpOn, Missed, NotificationOn, On, Phase, StateFilter,
    TransactionOn, TriggerSpec, Triggers,
};
use super::name::TriggerName;
use super::options::{Batch, LagAction, MaxLag, Options, Order, Start};
use crate::filter::Parameter;
use crate::schedule::Schedule;
use neofn_types::{Code, closest};
use serde_json::Value;

/// Most triggers of one function.
pub const PER_FUNCTION_MAX: usize = 100;
/// Longest pattern, event name or path, in bytes.
const LABEL_BYTES_MAX: usize = 256;
/// Largest `data` of a cron trigger, in bytes of JSON.
const CRON_DATA_BYTES_MAX: usize = 16 << 10;
/// Most parameters that a trigger may name.
const PARAMETERS_MAX: usize = 32;
/// Longest debounce and longest wait for a batch.
const WAIT_MS_MAX: u64 = 86_400_000;
/// Most events of a batch.
const BATCH_MAX: u64 = 1_000;
/// Kinds that neofn knows by name and this build does not have.
const ELSEWHERE: [&str; 1] = ["price"];

const STATES: [(&str, StateFilter); 3] = [
    ("halt", StateFilter::Halt),
    ("fault", StateFilter::Fault),
    ("any", StateFilter::Any),
];
const PHASES: [(&str, Phase); 3] = [
    ("application", Phase::Application),
    ("system", Phase::System),
    ("any", Phase::Any),
];
const MISSED: [(&str, Missed); 3] = [
    ("skip", Missed::Skip),
    ("once", Missed::Once),
    ("all", Missed::All),
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The keys that a trigger of `kind` may have.
#[must_use]
pub fn keys(kind: TriggerKind) -> Vec<&'static str> {
    let own: &[&str] = match kind {
        TriggerKind::Block => &["every"],
        TriggerKind::Transaction => &["sender", "signer", "contract", "state"],
        TriggerKind::Notification => &["contract", "event", "parameters", "state", "phase"],
        TriggerKind::Execution => &["state", "sender", "contract"],
        TriggerKind::Cron => &["schedule", "timezone", "missed", "data"],
        TriggerKind::Event => &["type", "source", "subject"],
        TriggerKind::Http => &["methods", "path"],
    };
    let delivery: &[&str] = match kind {
        TriggerKind::Cron | TriggerKind::Http => &[],
        _ => &["where", "order", "order_by", "debounce", "batch"],
    };
    let chain: &[&str] = if kind.is_chain() {
        &["start", "max_lag"]
    } else {
        &[]
    };
    ["name"]
        .iter()
        .chain(own)
        .chain(delivery)
        .chain(chain)
        .copied()
        .collect()
}

impl Triggers {
    /// Reads `on`. All mistakes at once; names that only the chain can explain are not judged here.
    pub fn read(on: &Value) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut specs: Vec<TriggerSpec> = Vec::new();
        match on {
            Value::Null => {}
            Value::Object(kinds) => {
                for (key, value) in kinds {
                    match TriggerKind::find(key) {
                        Some(kind) => read_kind(kind, value, &mut specs, &mut findings),
                        None => push(&mut findings, unknown_kind(key)),
                    }
                }
            }
            _ => push(
                &mut findings,
                Finding {
                    path: Vec::new(),
                    target: Target::Value,
                    code: Code::TriggerInvalid,
                    message: "`on` holds triggers by kind".to_owned(),
                    hint: "write it like `on = { cron = [{ schedule = \"@daily\" }] }`".to_owned(),
                },
            ),
        }
        if findings.is_empty() {
            Ok(Self(specs))
        } else {
            Err(findings)
        }
    }
}

fn unknown_kind(key: &str) -> Finding {
    let known = TriggerKind::ALL.map(TriggerKind::as_str);
    let (message, hint) = if ELSEWHERE.contains(&key) {
        (
            format!("the trigger `{key}` is not in this build"),
            "remove it".to_owned(),
        )
    } else {
        let hint = match closest(key, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known kinds: {}", known.join(", ")),
        };
        (format!("`{}` is not a kind of trigger", shorten(key)), hint)
    };
    Finding {
        path: vec![Step::Key(key.to_owned())],
        target: Target::Key,
        code: Code::TriggerInvalid,
        message,
        hint,
    }
}

fn read_kind(kind: TriggerKind, value: &Value, specs: &mut Vec<TriggerSpec>, findings: &mut Vec<Finding>) {
    let one;
    let (items, listed) = match value {
        Value::Array(items) => (items.as_slice(), true),
        Value::Object(_) => {
            one = [value.clone()];
            (one.as_slice(), false)
        }
        Value::Null => return,
        _ => (&[][..], false),
    };
    let here = || vec![Step::Key(kind.as_str().to_owned())];
    let report = |findings: &mut Vec<Finding>, path, message: String, hint: &str| {
        push(
            findings,
            Finding {
                path,
                target: Target::Value,
                code: Code::TriggerInvalid,
                message,
                hint: hint.to_owned(),
            },
        );
    };
    if items.is_empty() && !listed {
        report(
            findings,
            here(),
            format!("`{kind}` holds a list of triggers"),
            &format!("write it like `[[function.hello.on.{kind}]]`"),
        );
    }
    for (index, item) in items.iter().enumerate() {
        let mut path = here();
        if listed {
            path.push(Step::Index(index));
        }
        let Some(members) = item.as_object() else {
            report(
                findings,
                path,
                "a trigger is a table".to_owned(),
                "write its members by name",
            );
            continue;
        };
        if specs.len() >= PER_FUNCTION_MAX {
            report(
                findings,
                path,
                format!("more than {PER_FUNCTION_MAX} triggers"),
                "use several functions",
            );
            return;
        }
        let before = findings.len();
        let mut members = Members {
            members,
            path,
            findings,
        };
        members.known(&keys(kind), &format!("a trigger of kind {kind}"));
        let found = read_one(kind, index, &mut members, specs);
        if findings.len() == before {
            specs.extend(found);
        }
    }
}

fn read_one(
    kind: TriggerKind,
    index: usize,
    m: &mut Members<'_>,
    others: &[TriggerSpec],
) -> Option<TriggerSpec> {
    let before = m.findings.len();
    let name = name(kind, index, m, others);
    let on = match kind {
        TriggerKind::Block => Some(On::Block(BlockOn {
            every: m
                .integer("every", 1..=u64::from(u32::MAX), "every = 10")
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
        })),
        TriggerKind::Transaction => Some(On::Transaction(TransactionOn {
            sender: m.hash("sender", "sender = \"N…\""),
            signer: m.hash("signer", "signer = \"N…\""),
            contract: m.hash("contract", "contract = \"GAS\""),
            state: m.choice("state", &STATES).unwrap_or(StateFilter::Halt),
        })),
        TriggerKind::Notification => notification(m),
        TriggerKind::Execution => Some(On::Execution(ExecutionOn {
            state: m.choice("state", &STATES).unwrap_or(StateFilter::Any),
            sender: m.hash("sender", "sender = \"N…\""),
            contract: m.hash("contract", "contract = \"GAS\""),
        })),
        TriggerKind::Cron => cron(m),
        TriggerKind::Event => event(m),
        TriggerKind::Http => http(m),
    };
    let filter = m.expression("where");
    let options = options(m);
    let spec = TriggerSpec {
        name: name?,
        on: on?,
        filter,
        options,
    };
    // after another mistake a name may be unknown for that reason alone
    if m.findings.len() == before {
        spec.check_offline(m);
    }
    Some(spec)
}

fn name(kind: TriggerKind, index: usize, m: &mut Members<'_>, others: &[TriggerSpec]) -> Option<TriggerName> {
    let made = format!("{kind}-{}", index + 1);
    let text = match m.get("name") {
        None => made.as_str(),
        Some(_) => m.text("name", "name = \"large-transfers\"")?,
    };
    let name: TriggerName = match text.parse() {
        Ok(name) => name,
        Err(reason) => {
            m.wrong(
                "name",
                format!("\"{}\": {reason}", shorten(text)),
                "choose another name",
            );
            return None;
        }
    };
    if others.iter().any(|other| other.name == name) {
        m.wrong(
            "name",
            format!("another trigger of the function is called \"{name}\" too"),
            "choose another name",
        );
        return None;
    }
    Some(name)
}

fn notification(m: &mut Members<'_>) -> Option<On> {
    let on = NotificationOn {
        contract: m.hash("contract", "contract = \"GAS\""),
        event: m.label("event", LABEL_BYTES_MAX, "event = \"Transfer\""),
        state: m.choice("state", &STATES).unwrap_or(StateFilter::Halt),
        phase: m.choice("phase", &PHASES).unwrap_or(Phase::Application),
        parameters: parameters(m),
    };
    let silent = m.get("contract").is_none() && m.get("event").is_none();
    if silent {
        m.wrong(
            "",
            "the trigger names neither a contract nor an event, so it would run for every notification of the chain",
            "add `contract = \"0x…\"`, or `event = \"Transfer\"` for all contracts",
        );
        return None;
    }
    Some(On::Notification(on))
}

/// `["from: Hash160", "to: Hash160", "amount: Integer"]`
fn parameters(m: &mut Members<'_>) -> Option<Vec<Parameter>> {
    const EXAMPLE: &str = "parameters = [\"from: Hash160\", \"amount: Integer\"]";
    let value = m.get("parameters")?;
    let Some(items) = value.as_array().filter(|items| items.len() <= PARAMETERS_MAX) else {
        m.wrong(
            "parameters",
            format!("`parameters` is a list of at most {PARAMETERS_MAX} names with types"),
            format!("write it like `{EXAMPLE}`"),
        );
        return None;
    };
    let mut found: Vec<Parameter> = Vec::new();
    for item in items {
        let parsed = item.as_str().and_then(|text| {
            let (name, ty) = text.split_once(':')?;
            let name = name.trim();
            let word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.len() <= 64
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            Some(Parameter {
                name: word.then(|| name.to_owned())?,
                ty: ty.trim().parse().ok()?,
            })
        });
        match parsed {
            Some(parameter) if found.iter().all(|p| p.name != parameter.name) => found.push(parameter),
            _ => {
                let shown = shorten(item.as_str().unwrap_or("this"));
                m.wrong(
                    "parameters",
                    format!("{shown:?} is not a parameter with its type, or its name is taken"),
                    format!("write it like `{EXAMPLE}`"),
                );
                return None;
            }
        }
    }
    Some(found)
}

fn cron(m: &mut Members<'_>) -> Option<On> {
    let zone = m
        .text("timezone", "timezone = \"Europe/Berlin\"")
        .unwrap_or("UTC");
    let missed = m.choice("missed", &MISSED).unwrap_or(Missed::Once);
    let data = m.get("data").cloned();
    if data
        .as_ref()
        .is_some_and(|d| d.to_string().len() > CRON_DATA_BYTES_MAX)
    {
        m.wrong(
            "data",
            format!("`data` has more than {CRON_DATA_BYTES_MAX} bytes"),
            "keep it in ctx.kv",
        );
    }
    if m.get("schedule").is_none() {
        m.wrong(
            "",
            "the trigger has no `schedule`",
            "add it: `schedule = \"0 9 * * 1-5\"`",
        );
        return None;
    }
    let text = m.text("schedule", "schedule = \"0 9 * * 1-5\"")?;
    match Schedule::parse(text, zone) {
        Ok(schedule) => Some(On::Cron(CronOn {
            schedule,
            missed,
            data,
        })),
        Err(error) => {
            let (key, target) = match error.span {
                Some(span) => ("schedule", Target::Inside(text.to_owned(), span)),
                None => ("timezone", Target::Value),
            };
            m.report(key, target, Code::ScheduleInvalid, error.message, error.hint);
            None
        }
    }
}

fn event(m: &mut Members<'_>) -> Option<On> {
    let on = EventOn {
        ty: m.label("type", LABEL_BYTES_MAX, "type = \"com.example.order.*\""),
        source: m.label("source", LABEL_BYTES_MAX, "source = \"/shop/*\""),
        subject: m.label("subject", LABEL_BYTES_MAX, "subject = \"order-*\""),
    };
    if ["type", "source", "subject"]
        .iter()
        .all(|key| m.get(key).is_none())
    {
        m.wrong(
            "",
            "the trigger names neither a type, nor a source, nor a subject",
            "add `type = \"com.example.*\"`, or `type = \"*\"` for every event",
        );
        return None;
    }
    Some(On::Event(on))
}

fn http(m: &mut Members<'_>) -> Option<On> {
    let mut methods = Vec::new();
    if let Some(value) = m.get("methods") {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        for item in items {
            let upper = item.as_str().map(str::to_ascii_uppercase);
            match upper.filter(|u| METHODS.contains(&u.as_str())) {
                Some(method) => methods.push(method),
                None => methods.clear(),
            }
        }
        if methods.is_empty() || methods.len() != items.len() {
            m.wrong(
                "methods",
                format!("`methods` is a list of {}", METHODS.join(", ")),
                "write it like `methods = [\"POST\"]`",
            );
            return None;
        }
    }
    let path = m.label("path", LABEL_BYTES_MAX, "path = \"/hooks/*\"");
    if path.as_ref().is_some_and(|p| !p.starts_with('/')) {
        m.wrong(
            "path",
            "`path` begins with /",
            "write it like `path = \"/hooks/*\"`",
        );
        return None;
    }
    Some(On::Http(HttpOn { methods, path }))
}

fn options(m: &mut Members<'_>) -> Options {
    let sequential = m.choice("order", &[("parallel", false), ("sequential", true)]);
    let key = m.expression("order_by");
    if m.get("order_by").is_some() && sequential == Some(true) {
        m.wrong(
            "order",
            "`order = \"sequential\"` and `order_by` exclude each other",
            "keep `order_by`: events of one key then run one after the other",
        );
    }
    let batch = m.table(
        "batch",
        &["size", "wait"],
        "batch = { size = 100, wait = \"5s\" }",
        |m| {
            Some(Batch {
                size: m
                    .integer("size", 1..=BATCH_MAX, "size = 100")
                    .and_then(|n| u32::try_from(n).ok())
                    .unwrap_or(100),
                wait_ms: m
                    .duration("wait", 1..=WAIT_MS_MAX, "wait = \"5s\"")
                    .unwrap_or(1_000),
            })
        },
    );
    let debounce_ms = m.duration("debounce", 1..=WAIT_MS_MAX, "debounce = \"10s\"");
    if batch.is_some() && debounce_ms.is_some() {
        m.wrong(
            "debounce",
            "`debounce` and `batch` exclude each other",
            "keep the one that you need",
        );
    }
    Options {
        start: start(m),
        order: match (key, sequential) {
            (Some(key), _) => Order::ByKey(key),
            (None, Some(true)) => Order::Sequential,
            _ => Order::Parallel,
        },
        debounce_ms,
        batch,
        max_lag: max_lag(m),
    }
}

fn start(m: &mut Members<'_>) -> Start {
    match m.get("start") {
        None => Start::Latest,
        Some(Value::Number(_)) => m
            .integer("start", 0..=u64::from(u32::MAX), "start = 5_000_000")
            .and_then(|n| u32::try_from(n).ok())
            .map_or(Start::Latest, Start::Height),
        Some(_) => m
            .choice("start", &[("latest", Start::Latest), ("genesis", Start::Genesis)])
            .unwrap_or_default(),
    }
}

fn max_lag(m: &mut Members<'_>) -> Option<MaxLag> {
    m.table(
        "max_lag",
        &["blocks", "action"],
        "max_lag = { blocks = 1_000, action = \"skip\" }",
        |m| {
            let blocks = m.integer("blocks", 1..=u64::from(u32::MAX), "blocks = 1_000");
            if m.get("blocks").is_none() {
                m.wrong(
                    "",
                    "`max_lag` has no `blocks`",
                    "add how far it may be behind: `blocks = 1_000`",
                );
            }
            let action = m
                .choice(
                    "action",
                    &[("skip", LagAction::Skip), ("pause", LagAction::Pause)],
                )
                .unwrap_or(LagAction::Skip);
            Some(MaxLag {
                blocks: u32::try_from(blocks?).ok()?,
                action,
            })
        },
    )
}
