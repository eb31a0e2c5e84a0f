//! What may be written about signing in, projects, members and keys.

use clap::{Args, Subcommand};
use neofn_types::{FunctionName, ProjectName};
use std::path::PathBuf;

/// `neofn login`
#[derive(Debug, Args)]
pub struct Login {
    /// The wallet file (NEP-6)
    #[arg(long, value_name = "FILE")]
    pub wallet: PathBuf,
    /// The account in it; else its default
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<String>,
    /// A file that holds the wallet's password alone; else it is taken from `NEOFN_WALLET_PASSWORD`, or asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// `neofn projects`
#[derive(Debug, Subcommand)]
pub enum Projects {
    /// Make a project that you own
    Create(CreateProject),
    /// List your projects
    Ls,
    /// Delete a project for good: its data, its secrets and their keys; its name is not used again
    Delete(DeleteProject),
}

/// `neofn projects delete`
#[derive(Debug, Args)]
pub struct DeleteProject {
    /// Its name
    pub name: ProjectName,
    /// Its functions, too
    #[arg(long)]
    pub force: bool,
}

/// `neofn projects create`
#[derive(Debug, Args)]
pub struct CreateProject {
    /// Its name
    pub name: ProjectName,
}

/// `neofn members`
#[derive(Debug, Subcommand)]
pub enum Members {
    /// Give someone a role, or another one
    Add(AddMember),
    /// List who is in a project
    Ls(MembersOf),
    /// Take someone's role; the keys that they made are revoked
    Rm(RemoveMember),
}

/// `neofn members add`
#[derive(Debug, Args)]
pub struct AddMember {
    /// The project
    pub project: ProjectName,
    /// Whose
    pub address: String,
    /// viewer, operator, developer, admin or owner
    #[arg(long)]
    pub role: String,
    /// For one function alone
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
}

/// `neofn members ls`
#[derive(Debug, Args)]
pub struct MembersOf {
    /// The project; else as with --project
    #[arg(value_name = "PROJECT")]
    pub of: Option<ProjectName>,
}

/// `neofn members rm`
#[derive(Debug, Args)]
pub struct RemoveMember {
    /// The project
    pub project: ProjectName,
    /// Whose
    pub address: String,
    /// The role for one function alone
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
}

/// `neofn keys`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make an API key of the project and print it, once
    Create(CreateKey),
    /// List the keys of the project
    Ls,
    /// Revoke a key
    Revoke(RevokeKey),
}

/// `neofn keys create`
#[derive(Debug, Args)]
pub struct CreateKey {
    /// What people call it
    pub name: String,
    /// What it may do: read, invoke, operate, deploy, secrets, money, manage
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
    pub scopes: Vec<String>,
    /// When it ends, such as 12h or 90d; else never
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub expires: Option<u64>,
}

/// `neofn keys revoke`
#[derive(Debug, Args)]
pub struct RevokeKey {
    /// Its id, as `neofn keys ls` shows it
    pub id: String,
}

/// Seconds of `45m`, `12h`, `90d`.
fn life(text: &str) -> Result<u64, String> {
    let wrong = || "a number and m, h or d: 45m, 12h, 90d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit: u64 = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|n| *n > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::life;

    #[test]
    fn lives_are_read() {
        assert_eq!(life("90d"), Ok(7_776_000));
        assert_eq!(life("12h"), Ok(43_200));
        for bad in [
            "",
            "d",
            "0d",
            "90",
            "1w",
            "-1d",
            "1.5h",
            "99999999999999999999d",
            "9é",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
