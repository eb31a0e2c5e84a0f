//! The catalogue of error codes: each with a cause, a cure, a status and whether trying again helps.
//!
//! The pages under `docs/reference/errors` and `neofn explain` are made from this table.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whether trying the same thing again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It fails the same way again.
    Never,
    /// Later, with back-off.
    Later,
}

/// What the catalogue says of a code.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    /// `NF0207`.
    pub code: &'static str,
    /// One line, lower case, no full stop.
    pub title: &'static str,
    /// Why this happens.
    pub cause: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// HTTP status of an answer that carries it.
    pub status: u16,
    /// Whether async invocations and clients try again.
    pub retry: Retry,
}

macro_rules! catalogue {
    ($($variant:ident = $code:literal, $status:literal, $retry:ident, $title:literal, $cause:literal, $cure:literal;)*) => {
        /// A code of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }
        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];
            /// What the catalogue says of it.
            #[must_use]
            pub const fn info(self) -> &'static CodeInfo {
                match self {
                    $(Code::$variant => &CodeInfo {
                        code: $code, title: $title, cause: $cause, cure: $cure, status: $status, retry: Retry::$retry,
                    },)*
                }
            }
        }
        impl FromStr for Code {
            type Err = crate::ParseIdError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($code => Ok(Code::$variant),)*
                    other => Err(crate::ParseIdError(other.chars().take(20).collect(), "error code")),
                }
            }
        }
    };
}

impl Code {
    /// `NF0207`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.info().code
    }
}
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

catalogue! {
    // NF01: what a deployment can be refused or warned for
    Syntax = "NF0101", 422, Never, "syntax error",
        "The source is not valid JavaScript or TypeScript.",
        "Mend the place that the code frame points at.";
    NoHandler = "NF0102", 422, Never, "no handler",
        "The module exports neither `handler` nor a default function, and defines no global `main`.",
        "Export the function to run: `export async function handler(event, ctx) { ... }`.";
    TwoHandlers = "NF0103", 422, Never, "two handlers",
        "More than one of `handler`, the default export and a global `main` exist, so it is not clear which is meant.",
        "Keep one of them.";
    DynamicImport = "NF0104", 422, Never, "dynamic import",
        "`import()` loads code while the function runs; a deployed version is complete and immutable.",
        "Import it statically at the top of the file.";
    ImportOutside = "NF0105", 422, Never, "import not found in the project",
        "An import names a file or package that is not among the uploaded files, or lies outside the project.",
        "Check the path; install the package in the project so that the CLI uploads it. Node built-ins do not exist here.";
    WithStatement = "NF0106", 422, Never, "with statement",
        "`with` does not exist in modules, which are always strict.",
        "Name the object instead.";
    SourceTooLarge = "NF0107", 413, Never, "source too large",
        "The bundled source is larger than 1 MiB, the function's own files larger than 4 MiB, or the upload with its packages larger than 16 MiB.",
        "Import less: a smaller package, or only the part that is used. Data belongs in ctx.kv or in the event.";
    NestedTooDeep = "NF0108", 422, Never, "source nested too deep",
        "Expressions, blocks or arrays are nested deeper than the parser's stack can hold.",
        "Flatten the code; generated data can be a JSON string that is parsed at run time.";
    PrivateKeyInSource = "NF0109", 422, Never, "private key in source",
        "The source holds what looks like a private key or a WIF. Every version is kept, so a deployed key cannot be taken back.",
        "Remove it and treat the key as known to others: move the funds, make a new one. Give it to the function as a secret.";
    EvalUsed = "NF0110", 422, Never, "eval or Function constructor",
        "The sandbox has no compiler at run time, so `eval` and `new Function` throw.",
        "Write the code as a function, or choose between functions by name.";
    PrototypeWrite = "NF0111", 422, Never, "write to a built-in prototype",
        "Changing Object.prototype, Array.prototype and the like alters every library in the bundle.",
        "Write a function that takes the value as an argument.";
    ProtoAccess = "NF0112", 422, Never, "__proto__ used",
        "`__proto__` is the usual way to pollute prototypes by data.",
        "Use Object.getPrototypeOf, Object.create(null) or a Map.";
    SecretInSource = "NF0113", 422, Never, "what looks like a secret in source",
        "A string looks like an access token, a password or an API key.",
        "Put it into a secret and read it by name.";
    HeavyRegex = "NF0114", 422, Never, "regular expression that can run very long",
        "Nested repetition over the same characters makes matching time grow exponentially with the input.",
        "Make the repeated parts exclusive, or bound them. A run that meets its unit limit is stopped.";
    UnusedGrant = "NF0115", 422, Never, "grant that is not used",
        "The manifest grants a service that the source never mentions.",
        "Remove it from `allow`: what is not granted cannot be abused.";
    CompileLimit = "NF0116", 422, Never, "compilation took too much time or memory",
        "The compiler runs in a confined process with a time and a memory limit, and met one.",
        "Make the source smaller or simpler.";
    WasmInvalid = "NF0117", 422, Never, "invalid WebAssembly module",
        "The module does not validate, or uses a proposal that is switched off: threads, memory64, multi-memory, components.",
        "Compile for `wasm32-wasip1` without those features.";
    WasmImport = "NF0118", 422, Never, "unknown WebAssembly import",
        "The module imports a function that this runtime does not give.",
        "Only WASI preview 1 for stdin, stdout, stderr, clock, random, args and exit is given.";
    WasmMemory = "NF0119", 422, Never, "WebAssembly memory too large",
        "The module asks for more memory at the start than its limit allows.",
        "Raise `limits.memory`, or link with a smaller initial memory.";
    EvaluateFailed = "NF0120", 422, Never, "module failed while it was loaded",
        "Code at the top level of the module threw, ran past its limits, or awaited something that never came. It runs once, at deployment.",
        "Move work from the top level into the handler. Services are only there while the handler runs.";
    SmokeTestFailed = "NF0121", 422, Never, "smoke test failed",
        "The manifest's `test` event did not give the expected result.",
        "Mend the function or the expectation; the version that was live still is.";
    MissingGrant = "NF0122", 422, Never, "service used without its grant",
        "The source uses a service that the manifest does not grant; the call would be denied.",
        "Add the grant to `allow` in neofn.toml.";
    ManifestInvalid = "NF0123", 422, Never, "invalid function configuration",
        "A member of the manifest or of the deployment request is unknown, missing or out of range.",
        "Correct the member that the message names.";
    RuntimeUnknown = "NF0124", 422, Never, "runtime not in this build",
        "The configuration names a runtime that this build does not have.",
        "Use `js` or `wasm`.";

    // NF02: how a run can fail
    Uncaught = "NF0201", 500, Later, "uncaught exception",
        "The handler threw, or its promise was rejected.",
        "The stack shows the place in your own source; catch what you expect to fail.";
    TimedOut = "NF0202", 504, Later, "time-out",
        "The run took longer than `limits.time`.",
        "Do less per call, or raise `limits.time`.";
    UnitLimit = "NF0203", 500, Never, "unit limit reached",
        "The run used up `limits.units`: a loop without end, or more work than planned.",
        "Look at `units` for the kind that grew; raise `limits.units` if the work is right.";
    MemoryLimit = "NF0204", 500, Never, "memory limit reached",
        "The run needed more memory than `limits.memory`.",
        "Work in smaller pieces, or raise `limits.memory`.";
    StackOverflow = "NF0205", 500, Never, "stack overflow",
        "Calls, or nested data, went deeper than the sandbox's stack.",
        "Turn the recursion into a loop; flatten the data.";
    NotSerialisable = "NF0206", 500, Never, "result cannot be serialised",
        "The returned value is not JSON: a BigInt, a cycle, a function or a symbol. Or it is nested deeper than 128, or one of its getters or toJSON made a host call.",
        "Return plain data; turn a BigInt into a string; make host calls in the handler and await them.";
    NeverSettled = "NF0207", 500, Never, "promise never settles",
        "The handler waits for a promise that nothing can settle any more: no host call is open and no job is queued.",
        "Look for a `new Promise` whose resolve is never called. There are no timers in a function.";
    ResultTooLarge = "NF0208", 500, Never, "result too large",
        "The result is larger than 1 MiB as JSON.",
        "Return a part, or store the data and return its key.";
    SandboxLost = "NF0209", 503, Later, "sandbox process lost",
        "The process that ran the function died; nothing of the run was kept.",
        "Try again. If one function does this every time, report it: it is a defect of ours.";
    Denied = "NF0210", 500, Never, "service not granted",
        "The function called a service that its manifest does not grant.",
        "Add the line that the message names to the manifest, and deploy.";
    HostCallLimit = "NF0211", 500, Never, "too many host calls",
        "The run made more than 1 000 host calls, or gave one more than 1 MiB.",
        "Fetch in larger pieces; list by prefix instead of key by key.";
    WasmTrap = "NF0212", 500, Never, "WebAssembly trap",
        "The module stopped itself: unreachable, a bad memory access, a division by zero, or a non-zero exit status.",
        "Its standard error is in the logs.";
    WasmOutput = "NF0213", 500, Never, "WebAssembly output is not JSON",
        "The module has to write one JSON value to standard output.",
        "Write nothing else there; messages belong on standard error.";
    ChainTooDeep = "NF0214", 500, Never, "chained calls too deep",
        "Functions called each other through ctx.invoke more than 8 deep.",
        "Look for two functions that call each other.";
    HostUnavailable = "NF0215", 503, Later, "host service unavailable",
        "A service behind a host call did not answer.",
        "Catch it in the function, or let the run be tried again.";
    BadHostCall = "NF0216", 500, Never, "invalid host call",
        "The arguments of a host call have the wrong type or are out of range.",
        "The message names the argument.";
    HttpReplyInvalid = "NF0217", 502, Never, "invalid HTTP response from the function",
        "The function was called over its own HTTP endpoint, and its result is not a response.",
        "Return `{statusCode, headers, body, isBase64Encoded}`: a number, an object of strings, a string, a boolean.";
    FeeOverGrant = "NF0218", 500, Never, "fees over the grant",
        "The transactions of this run would cost more fees together than `gas` of its `write` grant allows.",
        "Send fewer or cheaper transactions, or raise `gas` in the manifest and deploy.";
    NoChain = "NF0219", 503, Never, "node without a chain",
        "The function uses ctx.neo, and the node that runs it was started without a chain, or without an account to sign with.",
        "Start it with `--dev-chain`, or with `--chain URL`; for ctx.neo.invoke it also needs an account.";
    EmitInvalid = "NF0220", 500, Never, "event cannot be emitted",
        "What was given to ctx.emit is not an event: the type is missing, a member has the wrong form, or it is too large: alone, with others of the run, or for the many triggers that take it.",
        "The message names the member. `await ctx.emit({type: \"order.paid\", data: {…}})`.";
    Cancelled = "NF0222", 408, Never, "call cancelled",
        "The caller cancelled the call, or its deadline passed, while the function ran. What it used up to then is charged.",
        "Nothing, when that was meant; else give the call a longer deadline, or invoke the function asynchronously.";

    // NF03: why a request was not taken
    FunctionNotFound = "NF0301", 404, Never, "function not found",
        "There is no such function, or these credentials may not see it.",
        "Check project and name with `neofn functions`, and whether it was deployed.";
    FunctionDisabled = "NF0302", 409, Never, "function disabled",
        "The function was switched off.",
        "`neofn enable NAME`.";
    ConcurrencyLimit = "NF0303", 429, Later, "too many calls at once",
        "The function already runs as often as `limits.concurrency` allows.",
        "Try again after Retry-After, or raise the limit.";
    QueueFull = "NF0304", 429, Later, "queue full",
        "10 000 invocations of this function, or of one that an event would reach, are waiting.",
        "Send slower; try again after Retry-After.";
    Overloaded = "NF0305", 503, Later, "node overloaded",
        "The node has no capacity left, is receiving as many bytes as it may, or is shutting down. A run that had begun ends with this when memory for running functions is short and it holds the most.",
        "Try again after Retry-After.";
    IdempotencyMismatch = "NF0306", 409, Never, "idempotency key used for another request",
        "The same Idempotency-Key came before with another body.",
        "Use a new key for a new request.";
    IdempotencyBusy = "NF0307", 409, Later, "first request with this idempotency key is still running",
        "The key is known and its invocation has not ended yet.",
        "Try again after Retry-After to get its result.";
    MalformedJson = "NF0308", 400, Never, "malformed JSON",
        "The body is not valid JSON.",
        "Mend the place that the message names.";
    BodyTooLarge = "NF0309", 413, Never, "body too large",
        "An event may be 1 MiB, a deployment 16 MiB; of that the event of its test 1 MiB, what the test expects, `allow` and `on` 256 KiB each. Events sent together may be delivered 10 000 times, and as 64 MiB in all.",
        "Send less, or a reference to the data.";
    JsonTooDeep = "NF0310", 413, Never, "JSON nested too deep",
        "Arrays and objects are nested more than 128 deep.",
        "Flatten the data.";
    InvalidName = "NF0311", 400, Never, "invalid name",
        "Names match [a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?.",
        "Use lower case letters, digits, '-' and '_'.";
    InvocationNotFound = "NF0312", 404, Never, "invocation not found",
        "No invocation has this id, it is older than the retention, or these credentials may not see it.",
        "Check the id: `neofn logs NAME` shows recent ones.";
    VersionNotFound = "NF0313", 404, Never, "version not found",
        "The function has no such version.",
        "`neofn versions NAME` lists them.";
    PathNotFound = "NF0314", 404, Never, "no such path",
        "The API has no such path.",
        "See /docs for the paths.";
    MethodNotAllowed = "NF0315", 405, Never, "method not allowed",
        "The path exists, but not with this method.",
        "See the Allow header.";
    ProjectNotFound = "NF0316", 404, Never, "project not found",
        "There is no such project, or these credentials may not see it.",
        "People make projects with `neofn projects create NAME`; an operator's first deployment makes its project.";
    BadParameter = "NF0317", 400, Never, "invalid parameter",
        "A query parameter or a header could not be understood.",
        "The message names it and what is allowed.";
    NotReplayable = "NF0318", 409, Never, "invocation cannot be replayed",
        "Its recorded inputs are gone, or it never ran.",
        "Replay a newer invocation; recordings are kept as long as the history.";
    RequestInvalid = "NF0319", 422, Never, "invalid request",
        "The body is JSON, but not of the shape that this path takes.",
        "See the path in /docs; the message names the member.";
    BodyTooSlow = "NF0320", 408, Later, "request body came too slowly",
        "The body of a request has to arrive within 30 seconds.",
        "Send it in one go; compress or shorten it on a slow line.";
    Expired = "NF0321", 504, Never, "waited too long",
        "Accepted work could not begin within the longest time that work may wait (`--max-queue-age`, a day unless the operator sets it), so it was ended without running.",
        "Send it again; look at what the function waited for: `neofn explain-wait`, its concurrency, the node's load.";
    FunctionInUse = "NF0322", 409, Never, "other functions call it",
        "The live versions of other functions name it in `ctx.invoke`; they would fail without it.",
        "Delete or change them first (`neofn dependencies NAME` lists them), or delete it all the same: `neofn delete NAME --force`, `?force=true`.";
    ProjectNotEmpty = "NF0323", 409, Never, "project still has something",
        "A project with functions, or with money that can be sent to its owner, is not deleted.",
        "Delete its functions, or add `--force` (`?force=true`); send its money out: `neofn gas close ADDRESS --project NAME`. What is set aside comes free when what is under way has ended.";
    ProjectEnded = "NF0324", 409, Never, "project was deleted",
        "There was a project of this name. Its statements and the audit log go by it, so it is not used again.",
        "Choose another name.";
    LiveMoved = "NF0325", 409, Never, "another version went live meanwhile",
        "The request was judged by the version that was live when it came, or kept members of it, and another one is live by now: what that one took away would have come back.",
        "Look at the function as it is now, and send the request again.";

    // NF04: who may
    Unauthenticated = "NF0401", 401, Never, "credentials missing or not valid",
        "This path needs an API key or an access token, and none was given, or it is unknown, expired or revoked.",
        "Sign in with `neofn login`, or send `Authorization: Bearer nfk_…`; the CLI takes NEOFN_API_KEY.";
    Forbidden = "NF0403", 403, Never, "not allowed",
        "The credentials are valid but do not carry this right.",
        "Ask the project's owner for it.";
    SignInRefused = "NF0404", 401, Never, "sign-in refused",
        "The answer to the challenge does not prove the address: another key, text, network or domain was signed, or the signature is damaged.",
        "Ask for a new challenge, sign exactly its `message` with the key of the address, and send r and s (64 bytes, s in the lower half).";
    ChallengeGone = "NF0405", 401, Never, "challenge unknown, used or ended",
        "A challenge can be answered once, for one address, within five minutes.",
        "Ask for a new one with POST /auth/challenge and sign that.";
    SessionEnded = "NF0406", 401, Never, "session ended",
        "The refresh token is unknown or was used before, or its session was ended or has expired.",
        "Sign in again: `neofn login`.";
    RateLimited = "NF0407", 429, Later, "too many requests",
        "A key, an account, an address or a project sent more requests than it may in so short a time.",
        "Wait as long as Retry-After says; the headers RateLimit and RateLimit-Policy tell how many are left.";
    KeyNotFound = "NF0408", 404, Never, "API key not found",
        "The project has no valid key of this id.",
        "`neofn keys ls` shows those that there are.";
    MemberNotFound = "NF0409", 404, Never, "member not found",
        "This address has no such role in the project.",
        "`neofn members ls` shows who has which.";
    LastOwner = "NF0410", 409, Never, "last owner",
        "The project would be left without an owner, and nobody could give it one.",
        "Make somebody else an owner first, who takes it on: `neofn members add PROJECT THEIR-ADDRESS --role owner`, once by you and once by them.";
    ProjectExists = "NF0411", 409, Never, "project name taken",
        "A project's name is its id, and there is one of this name on the node.",
        "Choose another name.";
    AccountLimit = "NF0412", 409, Never, "as many as there may be",
        "The number of projects of an account, members of a project and keys of a project is bounded.",
        "Remove a member or a key that is no longer needed. Projects count for whoever made them, deleted ones too: let another account make it.";

    // NF05: ctx.kv
    KvConflict = "NF0501", 503, Later, "key changed meanwhile",
        "A compare-and-set was still true when the function read, but no longer when the invocation committed. Nothing was written.",
        "Try the invocation again; it sees the new value.";
    KvKey = "NF0502", 500, Never, "invalid key",
        "A key is a string of 1 to 512 bytes in UTF-8.",
        "Shorten it, or hash it with ctx.crypto.";
    KvValue = "NF0503", 500, Never, "value too large or not JSON",
        "A value is JSON of at most 256 KiB.",
        "Split it over several keys.";
    KvQuota = "NF0504", 500, Never, "key-value quota exceeded",
        "The project holds as many keys or bytes as it may.",
        "Delete what is not needed, give entries a TTL, or ask the operator for more.";
    KvCounter = "NF0505", 500, Never, "not a counter",
        "The key holds something else than an integer, or the sum would leave ±2^53.",
        "Use another key for the counter.";

    // NF06: the command line and the node's own start
    ConfigInvalid = "NF0601", 400, Never, "invalid configuration",
        "A setting, an argument or neofn.toml could not be understood.",
        "Correct the place that the message names.";
    NodeUnreachable = "NF0602", 503, Later, "no node reachable",
        "No node answers at the address, or none was found on this machine.",
        "Start one with `neofn up` or `neofn dev`, or set NEOFN_URL.";
    JailTooWeak = "NF0603", 503, Never, "confinement not available",
        "This machine does not allow what the sandbox's process jail needs, so the node refuses to run tenants' code.",
        "`neofn doctor` shows which part is missing. `--insecure-no-jail` runs without, for code that you trust.";
    DataDirBusy = "NF0604", 503, Never, "data directory in use",
        "Another node runs on the same data directory.",
        "Stop it, or use another --data.";
    ListenFailed = "NF0605", 503, Never, "cannot listen",
        "The address is in use or not allowed.",
        "Use another --listen; port 0 takes a free one.";
    DataTooNew = "NF0606", 503, Never, "data written by a newer version",
        "The database was migrated by a newer neofn; older ones cannot read it.",
        "Use that version or a newer one.";
    NoProjectHere = "NF0607", 400, Never, "no neofn.toml here",
        "The command works on a project, and neither this directory nor one above it has a neofn.toml.",
        "`neofn init NAME` makes one.";
    EngineMismatch = "NF0608", 503, Never, "engine artefact does not match",
        "The engine on disk is not the one that this binary was built with.",
        "Remove the cache directory that the message names; it is rebuilt.";

    // NF07: triggers and events
    TriggerInvalid = "NF0701", 422, Never, "invalid trigger",
        "A member of a trigger under `on` is unknown, missing or cannot be what it says.",
        "Correct the member that the message names; docs/reference/triggers.md lists all of them.";
    FilterSyntax = "NF0702", 422, Never, "filter cannot be read",
        "The text of `where` or `order_by` is not an expression of the filter language.",
        "Mend the place that the code frame points at.";
    FilterType = "NF0703", 422, Never, "filter does not fit the event",
        "The filter names something that the event does not have, or compares values that can never be compared.",
        "Use the parameters of the contract's manifest; without one they are arg0, arg1 and so on.";
    FilterTooLarge = "NF0704", 422, Never, "filter too large",
        "A filter has at most 4 096 bytes, 500 parts and 40 levels of nesting.",
        "Let the filter choose roughly, and the function decide.";
    ScheduleInvalid = "NF0705", 422, Never, "invalid schedule",
        "The schedule of a cron trigger is not a cron expression, never comes true, or its time zone is unknown.",
        "Write five fields such as `0 9 * * 1-5`, or @hourly, @daily, @every 30s; time zones like Europe/Berlin.";
    TriggerContract = "NF0706", 422, Never, "trigger on an unknown contract or event",
        "The trigger names a contract that is not on this chain, or a notification that its manifest does not declare.",
        "Check the hash and the network; the message lists the notifications that the contract has.";
    EventInvalid = "NF0707", 400, Never, "invalid CloudEvent",
        "The event is not a CloudEvent 1.0: an attribute is missing, empty or of the wrong form.",
        "The message names the attribute. specversion, id, source and type are needed.";
    TriggerNotFound = "NF0708", 404, Never, "trigger not found",
        "The function's live version has no trigger of this name.",
        "`neofn triggers` lists them; a trigger is named project/function/name.";
    DeadLetterNotFound = "NF0709", 404, Never, "dead letter not found",
        "No invocation of this id has failed for good, or it was retried or dropped already.",
        "`neofn deadletters` lists those that wait.";
    EventTooDeep = "NF0710", 500, Never, "events caused each other too often",
        "An event caused a function that emitted an event, and so on, deeper than is allowed: most likely in a circle.",
        "Do not let a function emit what it reacts to.";
    RangeTooLong = "NF0711", 400, Never, "too many blocks asked for",
        "A backtest or a listing was asked for over more blocks than it reads at once.",
        "Ask for a shorter range; the message has the limit.";
    EventFormat = "NF0712", 415, Never, "format of a CloudEvent not read",
        "The content type says that this is a CloudEvent in a format that neofn does not read, such as Avro or XML.",
        "Send application/cloudevents+json or application/cloudevents+protobuf, a batch of either, or the binary mode: `ce-` headers with the data as the body.";
    HttpNotWanted = "NF0720", 404, Never, "no http trigger takes the request",
        "The function has http triggers, and none of them has this method and path.",
        "Call a path that one of them names, or add an `on.http`; without any, the function gets every request.";

    // NF08: the chain
    ChainUnreachable = "NF0801", 503, Later, "no chain node answers",
        "None of the configured nodes answered in time, or all of them were put aside: behind, on another network, or on another chain of blocks.",
        "The message names each node and what is wrong with it; check the addresses given to --chain.";
    ChainAnswer = "NF0802", 502, Later, "answer of a chain node not understood",
        "A node answered something that is not the JSON-RPC of its kind, or more than is read.",
        "Check that the address is an RPC endpoint of a Neo N3 node; use another node if it stays.";
    ChainNetwork = "NF0803", 503, Never, "chain node on another network",
        "The nodes name several networks, or one whose blocks were never read with this data.",
        "Give --chain only nodes of one network; where another network is meant, name it: --chain-network NUMBER. Data of another network is better off in another data directory.";
    ChainForked = "NF0804", 503, Later, "blocks do not continue each other",
        "A block names another parent than the block before it has: a node went to another chain, or a development chain was made anew.",
        "Where two nodes or more agree on another name for the last block that was read, it is read again without being asked for. Otherwise `neofn chain recheck` shows what was read and what each node says, and `neofn chain recheck --apply` reads the block again; remove a node that disagrees with the others first. A development chain that was made anew needs a new data directory.";
    ChainRefused = "NF0805", 502, Never, "request refused by the chain node",
        "The node understood the request and refused it.",
        "The message is the node's own reason.";
    BlockNotFound = "NF0806", 404, Never, "block not found",
        "The chain has no block of this height yet, or the node no longer keeps it.",
        "`neofn chain height` shows the newest one.";
    TransactionNotFound = "NF0807", 404, Never, "transaction not found",
        "No node knows a transaction of this hash.",
        "Check the hash and the network; one that was just sent may need a moment.";
    ContractNotFound = "NF0808", 404, Never, "contract not found",
        "There is no contract of this hash on this network.",
        "Check the hash and the network; a contract that was destroyed is gone.";
    ContractMethod = "NF0809", 422, Never, "no such method, or other arguments",
        "The contract's manifest has no method of this name that takes these arguments.",
        "The message lists the method's parameters or the methods that there are.";
    ScriptFault = "NF0810", 422, Never, "script would fault",
        "Run against the present state, the script ends with an exception; on chain it would burn its fees and change nothing.",
        "The message is the virtual machine's exception.";
    InsufficientFunds = "NF0811", 422, Never, "not enough GAS",
        "The account that pays has less GAS than the fees of this transaction and of those still waiting, or the account whose tokens are to be moved has less of them.",
        "Send tokens to the account, wait for the pending transactions, or move less.";
    TransactionExpired = "NF0812", 409, Never, "transaction expired",
        "The last block in which the transaction was valid has passed, or it lies too far ahead.",
        "Build and sign a new one.";
    TransactionInvalid = "NF0813", 422, Never, "transaction not valid",
        "A node refused the transaction: a fee too low, a bad signature, another network, a rule of its pool.",
        "The message is the node's own reason.";
    IteratorEnded = "NF0814", 410, Never, "iterator session ended",
        "The node forgot the session of an iterator: they live for a short time, on one node.",
        "Make the call again and read the iterator at once.";
    DevChainFailed = "NF0815", 503, Never, "development chain does not start",
        "The node of the private development chain is missing, or ended while it was starting.",
        "`make setup` installs it; the message has its last words.";
    ChainAbsent = "NF0816", 503, Never, "this node follows no chain",
        "The request is about a chain, or a trigger waits for one, and the node was started without.",
        "Start it with `--chain URL`, or with `--dev-chain` for a private one.";
    SignerRefused = "NF0820", 403, Never, "signature refused by policy",
        "The policy of the signing account does not allow the transaction: a cap, a contract or method that it does not list, or a scope wider than asked.",
        "The message says which rule; only the operator of the node can change it.";
    SignerNoAccount = "NF0821", 422, Never, "no such signing account",
        "The signer holds no key for the account that is to sign.",
        "Name an account that the signer holds, or give it the key.";
    SignerUnavailable = "NF0822", 503, Later, "signer not available",
        "The process that holds the keys does not answer, or cannot open its journal.",
        "The message has the reason; the log has more. Nothing was signed.";
    FeeTooHigh = "NF0823", 422, Never, "fee over the limit",
        "The transaction would cost more than the request allows.",
        "Allow more, or let it do less.";
    NoSuchTransaction = "NF0824", 404, Never, "no transaction of this id",
        "This node manages no transaction of this id in this project.",
        "Check the id and the project; ids have 32 hexadecimal digits.";
    NotReplaceable = "NF0825", 409, Never, "transaction cannot be replaced",
        "Only one that was sent and is not yet in a block can be replaced, and only once.",
        "Look at its state; what is in a block stays.";
    CosignatureInvalid = "NF0826", 422, Never, "co-signature not valid",
        "The witness is not that of an account whose signature the transaction waits for, or does not sign this transaction.",
        "Sign the transaction's hash for this network with the account's key.";

    // NF09: ours
    Internal = "NF0901", 500, Later, "internal error",
        "A defect of neofn. The log has the details under the same invocation or trace id.",
        "Try again; report it with the trace id if it stays.";
    StoreFailed = "NF0902", 503, Later, "storage unavailable",
        "The database could not be read or written: its disk is full or failing, or PostgreSQL is away.",
        "See the log for which it is: free space, or see that PostgreSQL runs and can be reached; then try again.";

    // NF11: secrets
    SecretNotFound = "NF1101", 404, Never, "secret not found",
        "The project has no secret of this name, or it was deleted.",
        "`neofn secrets ls` lists them; `neofn secrets set NAME` makes one.";
    SecretVersionNotFound = "NF1102", 404, Never, "no such version of the secret",
        "The secret never had this version, or it was deleted, destroyed or has expired.",
        "`neofn secrets versions NAME` lists what there is.";
    SecretChanged = "NF1103", 409, Never, "secret changed meanwhile",
        "The request was made for another version than the secret has by now.",
        "Look at its versions, and ask again with the current one.";
    SecretsSealed = "NF1104", 503, Later, "secrets are sealed",
        "The node does not hold the root key, so that no secret can be read or written.",
        "An operator unseals it: `neofn secrets unseal`, or start the node with its root key file.";
    SecretInvalid = "NF1105", 422, Never, "invalid secret",
        "The value, a host, a name or a policy of the secret is outside what is kept.",
        "The message says which and what is allowed.";
    SecretRootWrong = "NF1106", 403, Never, "wrong root key",
        "The key or passphrase is not the one under which the secrets of this node are kept.",
        "Use the key that they were sealed with; without it they cannot be read by anybody.";
    SecretDamaged = "NF1107", 500, Never, "stored secret is damaged",
        "What is stored does not open under its key: it was altered, or belongs elsewhere.",
        "Restore it from a backup, or set it anew.";
    SecretLimit = "NF1108", 422, Never, "too many secrets",
        "The project has as many secrets as it may have.",
        "Destroy some that nobody uses.";
    SecretLeak = "NF1109", 500, Never, "secret would leave the run",
        "What the function wanted to store, emit or pass on contains the value of a secret, as it is or encoded.",
        "Pass the secret's name on instead, and let whoever needs the value ask for it.";
    SecretHost = "NF1110", 500, Never, "secret is not for this host",
        "A request names a secret that may not be sent to the request's host, or not without encryption.",
        "Add the host to the secret: `neofn secrets configure NAME --host HOST`; use https.";
    SecretRootService = "NF1111", 503, Later, "the key service refuses the root key",
        "The token or service that is to hold the root key is missing, does not take its PIN, or has no key of this name that may be used.",
        "The message says which, and the hint what to do about it.";

    // NF12: requests to other hosts
    EgressAddress = "NF1201", 500, Never, "address is not public",
        "The host is, or resolves to, an address of this machine, of a private network or of special use.",
        "Call a public host; an operator may open a private network with `--egress-allow CIDR`.";
    EgressUrl = "NF1202", 500, Never, "URL cannot be fetched",
        "The URL is malformed, has a user or password in it, or a scheme or port that is never fetched.",
        "Use `https://host/path`; credentials go into a header.";
    EgressUnreachable = "NF1203", 503, Later, "host cannot be reached",
        "The name does not resolve, nothing answers there, or its certificate is not valid.",
        "The message says which; try again later.";
    EgressTimeout = "NF1204", 504, Later, "host did not answer in time",
        "The whole of the request, redirects included, took longer than it may.",
        "Ask for less, or try again later.";
    EgressTooLarge = "NF1205", 500, Never, "request or answer too large",
        "The request, or the answer after decompression, has more bytes or headers than are passed on.",
        "Ask for less at once.";
    EgressRedirect = "NF1206", 500, Never, "redirect not followed",
        "The host redirects too often, to what is no URL, from https to http, or although the request forbids it.",
        "Use the address that it redirects to, or `redirect: \"manual\"`.";
    EgressCircuit = "NF1207", 503, Later, "host is left alone for a while",
        "The last requests of this function to the host failed, so that further ones are not sent for some time.",
        "Wait; a single request will try it again.";
    EgressBusy = "NF1208", 503, Later, "too many requests at once",
        "The function, its project or the whole node has as many requests to other hosts under way, names being resolved or bytes of answers in memory as it may.",
        "Wait for some of them first.";
    EgressProtocol = "NF1209", 502, Later, "answer is not HTTP",
        "The host closed the connection early, or its answer is malformed or does not decompress.",
        "Try again; look at the host.";
    EgressHeader = "NF1210", 500, Never, "header cannot be sent",
        "A header is malformed, or is one that only the node may set.",
        "Leave it out; the message has its name.";

    // NF13: the GAS bank
    AccountEmpty = "NF1301", 402, Never, "account empty",
        "The project's account has less to spend than the call, the transaction or the withdrawal may cost. A call is refused before it runs, never half way.",
        "Pay in: `neofn gas deposit` shows address and memo. A lower unit limit lowers what a call sets aside.";
    BudgetSpent = "NF1302", 402, Never, "budget spent",
        "A budget of the project or of the function leaves less than this may cost.",
        "Raise it with `neofn gas limits`, or wait for the next period.";
    AmountInvalid = "NF1303", 422, Never, "amount or account not valid",
        "What was asked of the bank cannot be: an amount that is none, or something that does not belong to the account.",
        "The message says which.";
    TransferMismatch = "NF1304", 409, Never, "name of a payment used for another one",
        "A payment of this name was asked for before, with another amount or another receiver. Each name stands for one payment for ever.",
        "Use a new Idempotency-Key for a new payment.";
    WithdrawalRefused = "NF1305", 422, Never, "withdrawal refused",
        "The signer's policy or the chain does not allow this payment. Nothing was signed, and the money is back on the account.",
        "The message says which; the operator sets the signer's limits.";
    TreasuryUnavailable = "NF1306", 503, Later, "treasury not available",
        "No chain node answers, or the signer is disabled until the ledger is reconciled with the chain.",
        "Try again later; `neofn gas reconcile` shows the state to an operator.";
    BankAbsent = "NF1307", 503, Never, "this node keeps no accounts",
        "Nothing costs anything here: the node was started without a price.",
        "An operator starts it with `--gas-price N`, in datoshi per million units, or with `--bank`.";
    TokenKept = "NF1308", 403, Never, "token stays in the platform's account",
        "The transaction would move a token other than GAS out of the account that signs, or put it into another one's hands. That account's tokens are the platform's: the ledger knows GAS alone, so nobody's account could bear it. Nothing was signed.",
        "Move tokens that the project's own contract or wallet holds. An operator who means it allows the token by its contract: `neofn gas refill --project NAME --token HASH`; the signer's policy has to list its method, too.";

    // NF14: audit and backup
    AuditProofMissing = "NF1401", 404, Never, "no such audit entry or checkpoint",
        "The audit log has fewer entries than the number that was asked for.",
        "`neofn audit ls` shows what there is.";
    AuditBroken = "NF1402", 500, Never, "audit log does not verify",
        "Entries, hashes, proofs or signatures of the log do not belong together: something was changed after it was written.",
        "Keep the data directory as it is, compare with an export and with the root on chain, and treat the machine as compromised.";
    BackupInvalid = "NF1403", 422, Never, "backup not valid",
        "The file is no backup of neofn, is damaged, or is encrypted to another key.",
        "Check the identity file; take another backup.";
    BackupStale = "NF1404", 409, Never, "backup older than what is known",
        "The audit log was seen, here or on chain, with more entries than the backup has: restoring it would undo what happened since.",
        "Take a newer backup. To go back on purpose, repeat with `--accept-rollback`: that is written into the audit log.";
    RestoreTarget = "NF1405", 409, Never, "data directory not empty",
        "A restore never overwrites data.",
        "Name a directory that does not exist, or move the old one away.";
    BackupElsewhere = "NF1406", 409, Never, "backups are made with the database's own tools",
        "The node keeps its state in PostgreSQL, which other nodes use as well: an archive of this node alone would not be the state.",
        "`pg_dump --format custom`, or `pg_basebackup` with archived WAL, and the key files of a data directory: docs/operate/postgresql.md has the commands.";

    // NF16: several nodes, and the bus between them
    BusUnavailable = "NF1601", 503, Later, "message bus unavailable",
        "The NATS server does not answer: it cannot be reached, elects a leader, or its disk fails.",
        "Try again; `neofn cluster status` and the log name the server. Nodes reconnect by themselves.";
    NoWorker = "NF1602", 503, Later, "no worker takes the run",
        "No worker is connected, all of them are full or shutting down, or those that are there speak another protocol or have another engine.",
        "Start one with `neofn worker --nats URL`, of the same version as the gateway if the message says so; `neofn cluster status` lists those that are there.";
    BusMismatch = "NF1603", 503, Never, "NATS is used by others or otherwise",
        "A stream, bucket or consumer of that name exists on the NATS server with settings that would lose or repeat work, or gateways of another database serve it.",
        "The message shows the difference. Change it with `nats stream edit`, or remove it when it is not ours, and start again.";
    BusDenied = "NF1604", 503, Never, "not permitted on the message bus",
        "The NATS credentials do not allow a subject that this role needs.",
        "docs/guides/cluster.md lists the permissions of each role.";
    BusMessageTooLarge = "NF1605", 413, Never, "message larger than the NATS server takes",
        "An event or a result with what goes along is larger than the server's max_payload.",
        "Send less, or set `max_payload: 8MB` in the NATS server's configuration.";
    BusFull = "NF1606", 503, Later, "job queue full",
        "The stream of waiting jobs holds as much as it may, of all functions together or of this one; nothing is pushed out of it.",
        "Try again later; start workers if the queue stays full.";
    SubjectUnknown = "NF1607", 404, Never, "subject names no function",
        "Functions are invoked at function.LANGUAGE.NAME and function.LANGUAGE.PROJECT.NAME, with the language that they were deployed for.",
        "Correct the subject; `neofn functions` shows names and runtimes.";
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn codes_are_unique_sorted_and_parse_back() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{} {}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert_eq!(code.as_str().parse::<Code>(), Ok(*code));
            let info = code.info();
            assert!(info.as_str_is_tidy(), "{code}");
        }
    }
    impl CodeInfo {
        fn as_str_is_tidy(&self) -> bool {
            !self.title.ends_with('.')
                && self.cause.ends_with('.')
                && self.cure.ends_with('.')
                && self.status >= 400
        }
    }
}
