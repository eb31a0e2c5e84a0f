//! What may be written after `neofn secrets`. A value is never an argument: every user of a machine can see those.

use clap::{Args, Subcommand};
use neofn_types::SecretName;

/// `neofn secrets …`
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// What is about a project.
    #[command(flatten)]
    OfProject(OfProject),
    /// Show whether the node's secrets are sealed
    Status,
    /// Make the node forget the root key
    Seal,
    /// Give the node the root key or its passphrase, from standard input or a prompt
    Unseal(RootKey),
    /// Put every project's key under a new root key or passphrase, from standard input or a prompt
    RotateRoot(RootKey),
}

/// `neofn secrets …` of a project.
#[derive(Debug, Subcommand)]
pub enum OfProject {
    /// Set the value of a secret, from standard input or a prompt
    Set(Set),
    /// Change where a secret may go, who may use it and how long it lives, and not its value
    Configure(Configure),
    /// List the secrets of a project
    Ls,
    /// List the versions of a secret, newest first
    Versions(SecretArg),
    /// Make the value of an earlier version the newest
    Rollback(SecretRollbackArgs),
    /// Begin the rotation that the secret's policy says, or set the new value that comes by standard input
    Rotate(SecretArg),
    /// Take a secret out of use
    Delete(SecretArg),
    /// Put deleted versions back into use
    Undelete(SecretVersionArgs),
    /// Erase versions, or a whole secret, for good
    Destroy(Destroy),
    /// Put every value of the project under a new key; what was under the old one opens for nobody
    Rewrap,
}

/// A secret.
#[derive(Debug, Args)]
pub struct SecretArg {
    /// Its name
    pub name: SecretName,
}

/// What is kept beside a value; what is absent stays as it is.
#[derive(Debug, Args)]
pub struct SecretSettings {
    /// A host that the value may be sent to by handle, such as api.example.org or *.example.org
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// A function that may use it; without any, all whose manifest asks for it
    #[arg(long = "function", value_name = "NAME")]
    pub functions: Vec<String>,
    /// How long each new version may be read, such as 90d, or never
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<String>,
    /// How often the value is to be replaced, such as 30d, or never
    #[arg(long, value_name = "TIME")]
    pub rotate_every: Option<String>,
    /// The function that replaces it; without one somebody is reminded
    #[arg(long, value_name = "NAME", requires = "rotate_every")]
    pub rotate_by: Option<String>,
    /// Versions that are kept
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
}

/// `neofn secrets set`
#[derive(Debug, Args)]
pub struct Set {
    /// Its name
    pub name: SecretName,
    /// Set it only if this is its latest version; 0 if there must be none
    #[arg(long, value_name = "N")]
    pub if_version: Option<u32>,
    /// What changes with it.
    #[command(flatten)]
    pub settings: SecretSettings,
}

/// `neofn secrets configure`
#[derive(Debug, Args)]
pub struct Configure {
    /// Its name
    pub name: SecretName,
    /// What changes.
    #[command(flatten)]
    pub settings: SecretSettings,
}

/// `neofn secrets rollback`
#[derive(Debug, Args)]
pub struct SecretRollbackArgs {
    /// Its name
    pub name: SecretName,
    /// The version whose value is to be the newest
    pub version: u32,
}

/// `neofn secrets undelete`
#[derive(Debug, Args)]
pub struct SecretVersionArgs {
    /// Its name
    pub name: SecretName,
    /// Which versions; the latest when absent
    pub versions: Vec<u32>,
}

/// `neofn secrets destroy`
#[derive(Debug, Args)]
pub struct Destroy {
    /// Its name
    pub name: SecretName,
    /// Which versions; the latest when absent
    #[arg(conflicts_with = "all")]
    pub versions: Vec<u32>,
    /// The whole secret, with all that is known of it
    #[arg(long)]
    pub all: bool,
}

/// `neofn secrets unseal`, `neofn secrets rotate-root`
#[derive(Debug, Args)]
pub struct RootKey {
    /// A passphrase instead of 64 hexadecimal digits
    #[arg(long)]
    pub passphrase: bool,
    /// The key of the token that the node was started with (`--secrets-root`); nothing is asked for
    #[arg(long, conflicts_with = "passphrase")]
    pub configured: bool,
}
