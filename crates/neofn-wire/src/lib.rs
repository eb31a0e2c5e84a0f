//! Requests and answers of the HTTP API, as JSON. The OpenAPI document is generated from these types.
//!
//! Knows no server and no client; both translate to and from these.

mod audit;
mod backup;
mod chain;
mod deploy;
mod function;
mod gas;
mod identity;
mod invocation;
mod node;
mod problem;
mod secret;
mod service;
mod signer;
mod transaction;
mod trigger;

pub use audit::{AuditAnchor, AuditCheckpoint, AuditEntryView, AuditList, AuditProof};
pub use backup::{BackupRequest, BackupView};
pub use chain::{
    BlockNameView, ChainCall, ChainNodeView, ChainView, DecodeRequest, RecheckRequest, RecheckView,
};
pub use deploy::{DeployRequest, DeployResponse, LimitsRequest, SmokeTestRequest};
pub use function::{
    Deleted, Dependencies, FunctionAnswer, FunctionList, FunctionView, PatchRequest, RollbackRequest,
    VersionList, VersionView,
};
pub use gas::{
    AttributeRequest, ChainSide, CloseRequest, CloseView, DepositView, GasAlert, GasLimitRequest,
    GasLimitView, GasLimits, GasLine, GasStatement, GasUsage, GasUsageLine, GasView, ReconcileView,
    RefillView, SuspenseList, SuspenseView, WithdrawRequest, WithdrawalList, WithdrawalView, WriteOffRequest,
    WriteOffView,
};
pub use identity::{
    ChallengeRequest, ChallengeView, KeyCreated, KeyList, KeyRequest, KeyView, LoggedOut, LoginRequest,
    MemberChanged, MemberList, MemberRequest, MemberView, ProjectDeleted, ProjectList, ProjectRequest,
    ProjectView, RefreshRequest, RoleView, SignerProof, TokensView, WhoAmI,
};
pub use invocation::{
    Accepted, InvocationList, InvocationView, InvokeAnswer, LogEvent, LogList, ReplayRequest, ReplayResponse,
    ReplaySide, UnitsView, WaitView,
};
pub use node::{
    ChainHealth, Estimate, Health, JailView, Ready, ReadyChain, ReadyLine, RuntimeFile, WorkerReady,
};
pub use problem::{DiagnosticView, Problem};
pub use secret::{
    RootKeyRequest, RotationView, SecretDone, SecretList, SecretPut, SecretRollback, SecretText,
    SecretVersionList, SecretVersionView, SecretVersions, SecretView, SecretsRewrapped, VaultView,
};
pub use service::{
    Catalogue, FunctionService, LagView, LaneView, LeaseView, NodeView, PlaceView, QueueView, ServiceList,
};
pub use signer::{
    CallRule, KeyImport, PolicyView, SignatureList, SignatureView, SignerAccountView, SignerView,
};
pub use transaction::{
    ChainInvoke, ContractRequest, CosignerRequest, ReplaceRequest, ScriptCallView, Sending, SentView,
    TransactionList, TransactionSignerView, TransactionView, WitnessRequest,
};
pub use trigger::{
    BacktestRequest, BacktestView, CandidateView, ConditionView, DeadLetterAnswer, DeadLetterRequest,
    DeadMessage, FiredList, FiredView, PublishAnswer, PublishedDelivery, PublishedEvent, TriggerList,
    TriggerPatch, TriggerTest, TriggerView,
};
