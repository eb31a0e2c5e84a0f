//! The shape of `on` for the schema. `neofn_event::spec` reads it; a test holds the two together.

#![expect(
    dead_code,
    reason = "shapes for the schema generator; nothing is ever read into them"
)]

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};

/// Events that run the function, beside requests. Each kind is a list: `[[function.NAME.on.cron]]`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct On {
    /// Every block, or every n blocks.
    #[schemars(schema_with = "list::<Block>")]
    block: Option<()>,
    /// Transactions by sender, signer or called contract.
    #[schemars(schema_with = "list::<Transaction>")]
    transaction: Option<()>,
    /// Notifications of contracts.
    #[schemars(schema_with = "list::<Notification>")]
    notification: Option<()>,
    /// Executions of transactions, by how they end.
    #[schemars(schema_with = "list::<Execution>")]
    execution: Option<()>,
    /// Time.
    #[schemars(schema_with = "list::<Cron>")]
    cron: Option<()>,
    /// CloudEvents, posted to the node or emitted by other functions.
    #[schemars(schema_with = "list::<Event>")]
    event: Option<()>,
    /// Requests to the function's own endpoint; without any of these, all requests reach it.
    #[schemars(schema_with = "list::<Http>")]
    http: Option<()>,
}

/// One table or a list of them.
fn list<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<T>();
    schema!({ "anyOf": [ { "type": "array", "items": item }, item ] })
}

fn start(_: &mut SchemaGenerator) -> Schema {
    schema!({
        "description": "The first block that a new trigger sees: `latest` (default), `genesis` or a height.",
        "anyOf": [ { "enum": ["latest", "genesis"] }, { "type": "integer", "minimum": 0, "maximum": 4294967295u32 } ],
    })
}

macro_rules! trigger {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty,)* } $($delivery:ident)*) => {
        trigger!(@ $(#[$doc])* $name { $($(#[$field_doc])* $field : $ty,)* } $($delivery)*);
    };
    (@ $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(JsonSchema)]
        #[schemars(deny_unknown_fields)]
        struct $name {
            /// Unique within the function; the kind and a number when absent.
            #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"))]
            name: Option<String>,
            $($(#[$field_doc])* $field: $ty,)*
        }
    };
    (@ $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty,)* } delivery $($more:ident)*) => {
        trigger!(@ $(#[$doc])* $name {
            $($(#[$field_doc])* $field : $ty,)*
            /// A condition on the event, like `amount >= 1_000`.
            #[schemars(rename = "where", length(max = 4096))]
            filter: Option<String>,
            /// What runs at the same time: `parallel` (default) or `sequential`.
            order: Option<Order>,
            /// Events with the same value of this expression run one after the other.
            #[schemars(length(max = 4096))]
            order_by: Option<String>,
            /// Wait until no event came for this long, then deliver the last one.
            #[schemars(regex(pattern = r"^[0-9_]+ ?(ms|s|m|h|d)$"))]
            debounce: Option<String>,
            /// Deliver several events at once, as an array.
            batch: Option<Batch>,
        } $($more)*);
    };
    (@ $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty,)* } chain) => {
        trigger!(@ $(#[$doc])* $name {
            $($(#[$field_doc])* $field : $ty,)*
            /// The first block that a new trigger sees.
            #[schemars(schema_with = "start")]
            start: Option<()>,
            /// What to do when the trigger falls behind the chain.
            max_lag: Option<MaxLag>,
        });
    };
}

trigger! {
    /// Blocks.
    Block {
        /// Blocks whose height is a multiple of this; 1 when absent.
        #[schemars(range(min = 1))]
        every: Option<u32>,
    } delivery chain
}
trigger! {
    /// Transactions; what is absent is not looked at.
    Transaction {
        /// Who pays the fees: an address, a script hash or a native contract.
        sender: Option<String>,
        /// Any of the signers.
        signer: Option<String>,
        /// A contract that the script itself calls.
        contract: Option<String>,
        /// How it ended; `halt` when absent.
        state: Option<State>,
    } delivery chain
}
trigger! {
    /// Notifications; a contract or an event is needed.
    Notification {
        /// The contract: a script hash, an address or the name of a native contract such as `GAS`.
        contract: Option<String>,
        /// Name of the notification, like `Transfer`.
        event: Option<String>,
        /// Names and types, like `amount: Integer`, when the contract's manifest does not have them.
        #[schemars(length(max = 32))]
        parameters: Option<Vec<String>>,
        /// How the execution ended; `halt` when absent.
        state: Option<State>,
        /// `application` (default): transactions; `system`: what blocks do themselves.
        phase: Option<Phase>,
    } delivery chain
}
trigger! {
    /// Executions of transactions.
    Execution {
        /// How it ended; `any` when absent.
        state: Option<State>,
        /// Who pays the fees.
        sender: Option<String>,
        /// A contract that the script itself calls.
        contract: Option<String>,
    } delivery chain
}
trigger! {
    /// A schedule.
    Cron {
        /// Five fields (`0 9 * * 1-5`), `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` or `@every 30s`.
        #[schemars(length(min = 1, max = 256))]
        schedule: String,
        /// A name of the IANA database; `UTC` when absent.
        timezone: Option<String>,
        /// Runs that were missed while the node was down: `once` (default) makes up for all with one, `all`, `skip`.
        missed: Option<Missed>,
        /// Data of the event.
        data: Option<serde_json::Value>,
    }
}
trigger! {
    /// CloudEvents; at least one attribute is needed, `*` stands for any characters.
    Event {
        /// Type, like `com.example.*`.
        #[schemars(rename = "type", length(min = 1, max = 256))]
        ty: Option<String>,
        /// Source.
        #[schemars(length(min = 1, max = 256))]
        source: Option<String>,
        /// Subject.
        #[schemars(length(min = 1, max = 256))]
        subject: Option<String>,
    } delivery
}
trigger! {
    /// Requests.
    Http {
        /// Methods; any when absent.
        methods: Option<Vec<Method>>,
        /// Path below the function, like `/hooks/*`.
        #[schemars(regex(pattern = r"^/"), length(max = 256))]
        path: Option<String>,
    }
}

/// How an execution ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum State {
    Halt,
    Fault,
    Any,
}

/// A part of the processing of a block.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Phase {
    Application,
    System,
    Any,
}

/// What becomes of missed runs.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Missed {
    Skip,
    Once,
    All,
}

/// What runs at the same time.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Order {
    Parallel,
    Sequential,
}

/// An HTTP method.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// Several events at once.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Batch {
    /// Most events of one run; 100 when absent.
    #[schemars(range(min = 1, max = 1000))]
    size: Option<u32>,
    /// The oldest event waits no longer than this; 1 s when absent.
    #[schemars(regex(pattern = r"^[0-9_]+ ?(ms|s|m|h|d)$"))]
    wait: Option<String>,
}

/// A bound on falling behind.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct MaxLag {
    /// Blocks behind the head.
    #[schemars(range(min = 1))]
    blocks: u32,
    /// `skip` (default) goes on at the head, `pause` stops the trigger.
    action: Option<LagAction>,
}

/// What happens then.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum LagAction {
    Skip,
    Pause,
}
