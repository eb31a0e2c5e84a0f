//! The filter language: what it takes, what it refuses and how that reads, and what can never happen.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use neofn_event::filter::{
    Abi, BinaryOp, Decimal, Env, Expr, Expression, Field, Function, Literal, Lookup, Node, Parameter,
    ParameterType, Parameters, Scope, Value, check_condition, check_key,
};
use neofn_event::{TriggerKind, native};
use neofn_types::{Place, ScriptHash, frame};
use num_bigint::BigInt;
use proptest::prelude::*;
use std::borrow::Cow;

const ALICE: &str = "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd";
const ALICE_HASH: &str = "0x6ad777fb3bfedf20f654cccc728598253273e050";

struct Transfer(Vec<Value>);

impl Env for Transfer {
    fn arg(&self, index: usize) -> Cow<'_, Value> {
        self.0.get(index).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }
    fn field(&self, field: Field) -> Cow<'_, Value> {
        Cow::Owned(match field {
            Field::BlockHeight => Value::int(1_000),
            Field::TxSigners => Value::Array(vec![alice()]),
            Field::Args => Value::Array(self.0.clone()),
            Field::Data => Value::from_json(&serde_json::json!({
                "user": {"name": "Käthe", "tags": ["a", "b"]}, "price": 1.5, "n": 7, "odd key": true,
                "wei": serde_json::from_str::<serde_json::Value>("123456789012345678901234").expect("JSON"),
            })),
            _ => Value::Null,
        })
    }
}

fn alice() -> Value {
    Value::Bytes(ALICE.parse::<ScriptHash>().expect("address").0.to_vec())
}

fn transfer() -> Transfer {
    Transfer(vec![
        alice(),
        Value::Null,
        Value::int(150_000_000),
        Value::Text("memo: Hi".into()),
        Value::Bool(true),
    ])
}

fn known() -> Scope {
    let parameter = |name: &str, ty| Parameter {
        name: name.into(),
        ty,
    };
    Scope {
        kind: TriggerKind::Notification,
        parameters: Parameters::Known(vec![
            parameter("from", ParameterType::Hash160),
            parameter("to", ParameterType::Hash160),
            parameter("amount", ParameterType::Integer),
            parameter("memo", ParameterType::String),
            parameter("flag", ParameterType::Boolean),
            parameter("extra", ParameterType::Any),
            parameter("raw", ParameterType::ByteArray),
            parameter("key", ParameterType::PublicKey),
            parameter("list", ParameterType::Array),
        ]),
    }
}

fn holds(text: &str) -> bool {
    let expression: Expression = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    let program = check_condition(&expression, &known()).unwrap_or_else(|e| panic!("{text}: {}", e[0]));
    program.matches(&transfer())
}

#[test]
fn what_holds_and_what_does_not() {
    for text in [
        "amount >= 100_000_000",
        "amount == gas('1.5') and amount != gas(1)",
        &format!("from == '{ALICE}'"),
        &format!("from == {ALICE_HASH}"),
        &format!("from == \"{ALICE_HASH}\""),
        &format!("arg0 == '{ALICE}'"),
        &format!("args[0] == '{ALICE}'"),
        &format!("'{ALICE}' in tx.signers"),
        &format!("from in ['GAS', '{ALICE}']"),
        &format!("from not in ['GAS', 'NEO'] and from == address('{ALICE}')"),
        "to == null",
        "flag",
        "not (amount < 0) && !(amount < 0)",
        "memo.starts_with('memo: ') and ends_with(memo, 'Hi') and memo.contains('o: H')",
        "lower(memo) == 'memo: hi' and length(memo) == 8",
        "amount * 2 / 3 % 7 - -1 > 0",
        "-amount < 0 and abs(-amount) == amount and min(amount, 5) == 5",
        "amount > 1.5",
        "block.height % 100 == 0",
        "false or true and true",
        "extra == null and extra.deep.deeper == null and args[99] == null",
        "1 in [1, 2,]",
        "amount + 57896044618658097711785492504343953926634992332820282019728792003956414819967 > 0",
        "'a' < 'b'",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "amount < 100_000_000",
        "from == 'GAS'",
        "false and true or false",
        // what cannot be computed holds nothing, either way round
        "amount / 0 == 0",
        "amount / 0 != 0",
        "extra < 5",
        "not (extra < 5)",
        "amount + 57896044618658097711785492504343953926634992332820282019728792003956564819967 > 0",
        "int(memo) == 5",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn json_is_reached_into() {
    let scope = Scope {
        kind: TriggerKind::Event,
        parameters: Parameters::Unknown,
    };
    for (text, wanted) in [
        ("data.user.name == 'Käthe'", true),
        ("data.user['name'].starts_with('K')", true),
        ("data['odd key'] == true", true),
        (
            "data.price == 1.50 and data.price < 1.51 and data.n > data.price",
            true,
        ),
        ("'b' in data.user.tags and data.user.tags[1] == 'b'", true),
        (
            "data.wei == 123456789012345678901234 and data.wei > 123456789012345678901233",
            true,
        ),
        ("data.wei == 123456789012345678901235", false),
        ("data.missing == null and data.missing.more == null", true),
        ("'user' in data", true),
        ("data.user > 5", false),
    ] {
        let expression: Expression = text.parse().expect(text);
        assert_eq!(
            check_condition(&expression, &scope)
                .expect(text)
                .matches(&transfer()),
            wanted,
            "{text}"
        );
    }
}

fn refusal(text: &str, scope: &Scope) -> String {
    let errors = match text.parse::<Expression>() {
        Err(error) => vec![error],
        Ok(expression) => check_condition(&expression, scope).err().unwrap_or_default(),
    };
    assert!(!errors.is_empty(), "accepted: {text}");
    let lines = errors.iter().map(|e| {
        let frame = frame(text, Place::find(text, e.span.clone()));
        format!("{} {}\n{frame}  help: {}\n", e.code, e.message, e.hint)
    });
    lines.collect()
}

#[test]
fn refusals_point_at_the_place_and_say_what_to_do() {
    let known = known();
    let mut out: Vec<String> = [
        "",
        "amount = 5",
        "amount > 5 AND flag",
        "amount > 5 flag",
        "(amount > 5",
        "memo == 'open",
        "1 < amount < 5",
        "amount > 1GAS",
        "from == 0x1234",
        "from == “x”",
        "amonut > 5",
        "amount > '5'",
        "amount",
        "from == 'Alice'",
        "from in ['GAS', 'Alice']",
        "from > 5",
        "arg9 == 1",
        "tx == 1",
        "tx.sendr == 'GAS'",
        "starts_wit(memo, 'a')",
        "starts_with(memo)",
        "starts_with(amount, 'a')",
        "gas('1.123456789') > amount",
        "gas(memo) > amount",
        "memo.length > 5",
        "'a' in memo",
        "flag == 1",
        "amount + 1.5 > 2",
        "amount + memo > 2 and not amount",
        "key == '02aa'",
        "data.x == 1",
    ]
    .into_iter()
    .map(|text| refusal(text, &known))
    .collect();
    let positional = Scope {
        kind: TriggerKind::Notification,
        parameters: Parameters::Unknown,
    };
    out.push(refusal("amount > 5", &positional));
    let event = Scope {
        kind: TriggerKind::Event,
        parameters: Parameters::Unknown,
    };
    out.push(refusal("arg0 == 5", &event));
    out.push(refusal("typ == 'x'", &event));
    insta::assert_snapshot!(out.join("\n"));
}

#[test]
fn size_and_depth_are_bounded() {
    for text in [
        "x".repeat(5_000),
        format!("{}1", "(".repeat(1_000)),
        format!("{}true", "not ".repeat(500)),
        format!("1 == {}1", "-".repeat(1_000)),
        format!("true{}", " and true".repeat(400)),
        format!("a{}", "[a".repeat(1_000)),
    ] {
        assert_eq!(
            text.parse::<Expression>().expect_err("too large").code,
            neofn_types::Code::FilterTooLarge
        );
    }
    // a long chain within the bounds is no problem for the stack
    let long = format!("true{}", " or true".repeat(240));
    assert!(holds(&long));
}

#[test]
fn a_costly_search_is_stopped() {
    let big = Transfer(vec![
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Text("a".repeat(1 << 20)),
    ]);
    let expression: Expression = "contains(raw, memo) or contains(extra, 'b')"
        .parse()
        .expect("is right");
    let program = check_condition(&expression, &known()).expect("is right");
    let mut big_bytes = big.0.clone();
    big_bytes.resize(7, Value::Bytes(vec![7; 1 << 20]));
    let results = program.explain(&Transfer(big_bytes));
    assert!(results[0].outcome.is_err(), "{results:?}");
}

#[test]
fn large_values_are_paid_for_to_the_last_item() {
    let row = Value::Array(vec![Value::int(1); 1_000]);
    let args = |rows| {
        let mut args = transfer().0;
        args.resize(5, Value::Null);
        args.push(Value::Array(vec![row.clone(); rows]));
        Transfer(args)
    };
    let outcome = |text: &str, rows| {
        let program = check_condition(&text.parse().expect("is right"), &known()).expect("is right");
        program.explain(&args(rows)).remove(0).outcome
    };
    let many = format!("length([{}]) == 400", ["extra"; 400].join(", "));
    for (text, rows, wanted) in [
        ("length([extra, extra]) == 2", 40, Ok(true)),
        ("length([extra, extra]) == 2", 60, Err(())),
        (&*many, 60, Err(())),
        ("extra == extra", 90, Ok(true)),
        ("extra == extra or extra != extra", 90, Ok(true)),
        ("extra != extra or extra == extra", 90, Err(())),
        ("extra == args", 90, Ok(false)),
        ("extra in [extra]", 40, Ok(true)),
    ] {
        assert_eq!(outcome(text, rows).map_err(|_| ()), wanted, "{text}");
    }
}

#[test]
fn explanations_have_the_values() {
    let text = "amount >= gas('2') and from == 'GAS' and extra < 5";
    let program = check_condition(&text.parse().expect("is right"), &known()).expect("is right");
    let lines: Vec<String> = program
        .explain(&transfer())
        .into_iter()
        .map(|c| {
            let actual: Vec<String> = c
                .actual
                .iter()
                .map(|a| format!("{} = {}", a.name, a.value))
                .collect();
            format!(
                "{}: {:?} ({})",
                c.text,
                c.outcome.map_err(|f| f.to_string()),
                actual.join(", ")
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn keys_are_equal_when_values_are() {
    let key = |text: &str| {
        let expression: Expression = text.parse().expect(text);
        check_key(&expression, &known()).map(|key| key.of(&transfer()))
    };
    assert_eq!(key("from").expect("is right"), Ok(ALICE_HASH.to_owned()));
    assert_eq!(key("amount / gas(1)").expect("is right"), Ok("1".to_owned()));
    assert!(key("list").is_err());
    assert!(key("extra.x").expect("is right").is_ok());
}

#[test]
fn native_events_are_known() {
    struct Nobody;
    impl Abi for Nobody {
        fn event(&self, _: ScriptHash, _: &str) -> Lookup {
            Lookup::NoContract
        }
    }
    let gas = native::contract("gas").expect("known");
    assert_eq!(gas.to_string(), "0xd2a4cff31913016155e38e474a2c06d08be276cf");
    assert_eq!(native::name(gas), Some("GAS"));
    assert_eq!(native::event(gas, "Transfer").map(|p| p.len()), Some(3));
    assert!(native::names().all(|name| native::contract(name).is_some()));
    assert_eq!(Nobody.event(gas, "Transfer"), Lookup::NoContract);
}

// -- what can never happen

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<u128>().prop_map(|n| Literal::Int(n.into())),
        (any::<u32>(), 1u32..1000).prop_map(|(a, b)| {
            let number: Decimal = format!("{a}.{b}1").parse().expect("number");
            Literal::Decimal(number)
        }),
        ".{0,12}".prop_map(Literal::Text),
        any::<[u8; 20]>().prop_map(|h| Literal::Hash160(ScriptHash(h))),
        any::<[u8; 32]>().prop_map(Literal::Hash256),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("from"),
        Just("amount"),
        Just("memo"),
        Just("flag"),
        Just("extra"),
        Just("raw"),
        Just("list"),
        Just("arg2"),
        Just("args"),
        Just("state"),
        Just("nothing_like_this"),
        Just("tx"),
        Just("block"),
    ]
    .prop_map(str::to_owned)
}

fn op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::{
        Add, And, Divide, Equal, Greater, GreaterOrEqual, In, Less, LessOrEqual, Multiply, NotIn, Or,
        Remainder, Subtract, Unequal,
    };
    proptest::sample::select(vec![
        Or,
        And,
        Equal,
        Unequal,
        Less,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
        In,
        NotIn,
        Add,
        Subtract,
        Multiply,
        Divide,
        Remainder,
    ])
}

fn expr() -> impl Strategy<Value = Expr> {
    let at = |node| Expr { node, span: 0..0 };
    let leaf = prop_oneof![
        literal().prop_map(move |l| at(Node::Literal(l))),
        name().prop_map(move |n| at(Node::Name(n))),
        prop_oneof![Just("tx.sender"), Just("block.height"), Just("tx.hash")].prop_map(move |path| {
            let (of, member) = path.split_once('.').expect("two parts");
            at(Node::Member(Box::new(at(Node::Name(of.into()))), member.into()))
        }),
    ];
    leaf.prop_recursive(5, 40, 3, move |inner| {
        let function = proptest::sample::select(Function::ALL.to_vec());
        prop_oneof![
            (inner.clone(), name()).prop_map(move |(of, n)| at(Node::Member(Box::new(of), n))),
            (inner.clone(), inner.clone()).prop_map(move |(a, b)| at(Node::Index(Box::new(a), Box::new(b)))),
            (function, proptest::collection::vec(inner.clone(), 0..3))
                .prop_map(move |(f, args)| at(Node::Call(f.name().into(), args))),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(move |items| at(Node::List(items))),
            inner.clone().prop_map(move |x| at(Node::Not(Box::new(x)))),
            inner.clone().prop_map(move |x| at(Node::Negate(Box::new(x)))),
            (op(), inner.clone(), inner).prop_map(move |(op, a, b)| at(Node::Binary(
                op,
                Box::new(a),
                Box::new(b)
            ))),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i128>().prop_map(|n| Value::Int(n.into())),
        Just(Value::Int(BigInt::from(1) << 254)),
        ".{0,8}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        if let Ok(expression) = text.parse::<Expression>() {
            let _ = check_condition(&expression, &known());
        }
    }

    #[test]
    fn no_sequence_of_words_makes_it_panic(words in proptest::collection::vec(
        "(amount|from|data|tx|\\.|==|!=|<|and|or|not|in|\\(|\\)|\\[|\\]|,|'x'|5|1\\.5|0x|-|\\+|/|gas|length|null|true)", 0..20)
    ) {
        let text = words.join(" ");
        match text.parse::<Expression>() {
            Ok(expression) => { let _ = check_condition(&expression, &known()); }
            Err(error) => prop_assert!(error.span.start <= text.len() && error.span.end <= text.len()),
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same(expr in expr()) {
        let text = expr.to_string();
        match text.parse::<Expression>() {
            Ok(again) => prop_assert_eq!(again.root(), &expr, "{}", text),
            // only for its size
            Err(error) => prop_assert_eq!(error.code, neofn_types::Code::FilterTooLarge, "{}: {}", text, error),
        }
    }

    #[test]
    fn whatever_passes_the_check_runs_to_an_end(expr in expr(), args in proptest::collection::vec(value(), 0..9)) {
        let Ok(expression) = expr.to_string().parse::<Expression>() else { return Ok(()) };
        if let Ok(program) = check_condition(&expression, &known()) {
            let env = Transfer(args);
            let all = program.explain(&env).iter().all(|c| c.outcome == Ok(true));
            prop_assert_eq!(program.matches(&env), all);
        }
        if let Ok(key) = check_key(&expression, &known()) {
            let _ = key.of(&transfer());
        }
    }

    /// Arguments of the types that the manifest declares: then a checked condition has no type left to be wrong.
    #[test]
    fn typed_arguments_never_meet_a_wrong_type(expr in expr()) {
        use neofn_event::filter::Fault;
        let Ok(expression) = expr.to_string().parse::<Expression>() else { return Ok(()) };
        let text = expression.text();
        // where nothing is known of a type, nothing can be promised
        if ["extra", "raw", "list", "args", "[", ".", "state", "null"].iter().any(|word| text.contains(word)) {
            return Ok(());
        }
        if let Ok(program) = check_condition(&expression, &known()) {
            let mut typed = transfer();
            typed.0[1] = alice();
            for condition in program.explain(&typed) {
                let wrong = matches!(condition.outcome, Err(Fault::Wanted(..)));
                prop_assert!(!wrong, "{}: {:?}", text, condition.outcome);
            }
        }
    }
}
