//! What an operator may set about a node: how long history is kept, and the most that functions may use. Everything has
//! a default, a range that is checked before anything starts, and a variable of the environment.

use crate::commands::up::given;
use crate::config::ConfigFile;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use neofn_node::{Cidr, NodeOptions, SecretsRoot};
use neofn_types::{MEMORY_STEP_BYTES, RuntimeKind, Units, parse_bytes, parse_duration_ms};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Up to what the JavaScript engine can give; the same bound for both runtimes.
const MEMORY: std::ops::RangeInclusive<u64> = 4 << 20..=RuntimeKind::Js.memory_bytes_max();
/// Less would not pay for a call that does nothing.
pub(crate) const UNITS_MIN: u64 = 20_000;
const TIME_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
const QUEUE_AGE_MS: std::ops::RangeInclusive<u64> = 1_000..=30 * 86_400_000;
const RETENTION_MS: std::ops::RangeInclusive<u64> = 60_000..=3_650 * 86_400_000;

/// Settings of `neofn up`; what is absent keeps its default.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits and history")]
pub struct Settings {
    /// How long ended invocations are kept [default: 7d]
    #[arg(long, value_name = "TIME", env = "NEOFN_RETENTION", hide_env_values = true, value_parser = retention)]
    retention: Option<Duration>,
    /// Ended invocations kept of one function [default: 10000]
    #[arg(long, value_name = "N", env = "NEOFN_RETENTION_ROWS", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    retention_rows: Option<u32>,
    /// The most units that a function may ask for [default: 10000000]
    #[arg(long, value_name = "N", env = "NEOFN_MAX_UNITS", hide_env_values = true, value_parser = RangedU64ValueParser::<u64>::new().range(UNITS_MIN..))]
    max_units: Option<u64>,
    /// The longest run that a function may ask for, 1s to 1h [default: 30s]
    #[arg(long, value_name = "TIME", env = "NEOFN_MAX_TIME", hide_env_values = true, value_parser = time)]
    max_time: Option<Duration>,
    /// The most memory that a function may ask for, 4MiB to 256MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "NEOFN_MAX_MEMORY", hide_env_values = true, value_parser = memory)]
    max_memory: Option<u64>,
    /// The most runs of one function at the same time [default: 100]
    #[arg(long, value_name = "N", env = "NEOFN_MAX_CONCURRENCY", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrency: Option<u32>,
    /// How old accepted work may be when it begins, 1s to 30d; older work ends as expired (NF0321) [default: 24h]
    #[arg(long, value_name = "TIME", env = "NEOFN_MAX_QUEUE_AGE", hide_env_values = true, value_parser = queue_age)]
    max_queue_age: Option<Duration>,
    /// Keys that a project may have in ctx.kv [default: 100000]
    #[arg(long, value_name = "N", env = "NEOFN_KV_KEYS", hide_env_values = true)]
    kv_keys: Option<u64>,
    /// Bytes that a project may have in ctx.kv [default: 256MiB]
    #[arg(long, value_name = "SIZE", env = "NEOFN_KV_BYTES", hide_env_values = true, value_parser = bytes)]
    kv_bytes: Option<u64>,
    /// A network that functions may reach although it is not public, such as 10.1.0.0/16; may be given several times
    #[arg(
        long,
        value_name = "CIDR",
        env = "NEOFN_EGRESS_ALLOW",
        hide_env_values = true,
        value_delimiter = ',',
        help_heading = "Secrets and other hosts"
    )]
    egress_allow: Vec<Cidr>,
    /// A file with certificates (PEM) of authorities to be believed beside the web's
    #[arg(
        long,
        value_name = "FILE",
        env = "NEOFN_EGRESS_CA",
        hide_env_values = true,
        help_heading = "Secrets and other hosts"
    )]
    egress_ca: Option<PathBuf>,
    /// A network of reverse proxies whose X-Forwarded-For says who calls, such as 10.1.0.0/16 or 127.0.0.1; may be given
    /// several times
    #[arg(
        long = "trusted-proxy",
        value_name = "CIDR",
        env = "NEOFN_TRUSTED_PROXY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    trusted_proxies: Vec<Cidr>,
    /// The file with the root key of secrets: 64 hexadecimal digits [default: one in the data directory]
    #[arg(
        long,
        value_name = "FILE",
        env = "NEOFN_SECRETS_KEY_FILE",
        hide_env_values = true,
        help_heading = "Secrets and other hosts"
    )]
    secrets_key_file: Option<PathBuf>,
    /// The root key of secrets on a PKCS #11 token: pkcs11:token=…;object=…?module-path=/…/lib.so&pin-source=file:/…
    #[arg(
        long,
        value_name = "URI",
        env = "NEOFN_SECRETS_ROOT",
        hide_env_values = true,
        help_heading = "Secrets and other hosts"
    )]
    secrets_root: Option<String>,
    /// Start with sealed secrets; `neofn secrets unseal` opens them
    #[arg(
        long,
        conflicts_with_all = ["secrets_key_file", "secrets_root"],
        help_heading = "Secrets and other hosts"
    )]
    secrets_sealed: bool,
}

impl Settings {
    /// Puts what was given, here or else in the file, into the options of a node.
    pub fn apply(&self, file: &ConfigFile, options: &mut NodeOptions) {
        options.trusted_proxies = given(&self.trusted_proxies, &file.trusted_proxy);
        if let Some(rates) = &file.rates {
            rates.apply(&mut options.rates);
        }
        options.egress_allow = given(&self.egress_allow, &file.egress_allow);
        options.egress_ca = self.egress_ca.clone().or_else(|| file.egress_ca.clone());
        let key_file = self.secrets_key_file.as_ref().or(file.secrets_key_file.as_ref());
        let token = self.secrets_root.as_ref().or(file.secrets_root.as_ref());
        options.secrets_root = match key_file {
            _ if self.secrets_sealed => SecretsRoot::Sealed,
            before if let Some(uri) = token => SecretsRoot::Token {
                uri: uri.clone(),
                before: before.cloned(),
            },
            Some(file) => SecretsRoot::File(file.clone()),
            None if file.secrets_sealed == Some(true) => SecretsRoot::Sealed,
            None => SecretsRoot::Own,
        };
        fn set<T: Copy>(place: &mut T, given: Option<T>) {
            *place = given.unwrap_or(*place);
        }
        set(&mut options.retention.age, self.retention.or(file.retention));
        let rows = self.retention_rows.or(file.retention_rows.map(NonZeroU32::get));
        set(&mut options.retention.per_function, rows);
        let limits = &mut options.limits_max;
        set(&mut limits.units, self.max_units.or(file.max_units).map(Units));
        let time = self.max_time.or(file.max_time);
        let time = time.and_then(|t| u64::try_from(t.as_millis()).ok());
        set(&mut limits.time_ms, time);
        set(&mut limits.memory_bytes, self.max_memory.or(file.max_memory));
        let concurrency = file.max_concurrency.map(NonZeroU32::get);
        set(&mut limits.concurrency, self.max_concurrency.or(concurrency));
        set(
            &mut options.queue_age_max,
            self.max_queue_age.or(file.max_queue_age),
        );
        set(&mut options.kv_quota.keys_max, self.kv_keys.or(file.kv_keys));
        set(&mut options.kv_quota.bytes_max, self.kv_bytes.or(file.kv_bytes));
    }
}

fn within(text: &str, range: &std::ops::RangeInclusive<u64>, shown: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).map_err(|e| e.to_string())?;
    if range.contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(format!("must be {shown}"))
}

pub(crate) fn retention(text: &str) -> Result<Duration, String> {
    within(text, &RETENTION_MS, "between 1m and 3650d")
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    within(text, &TIME_MS, "between 1s and 1h")
}

pub(crate) fn queue_age(text: &str) -> Result<Duration, String> {
    within(text, &QUEUE_AGE_MS, "between 1s and 30d")
}

pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|e| e.to_string())
}

pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if MEMORY.contains(&size) && size.is_multiple_of(MEMORY_STEP_BYTES) {
        return Ok(size);
    }
    Err("must be between 4MiB and 256MiB, in steps of 64KiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn up(args: &[&str]) -> Result<NodeOptions, String> {
        let all = ["neofn", "up"].iter().chain(args);
        let cli = Cli::try_parse_from(all).map_err(|e| e.to_string())?;
        let Command::Up(up) = cli.command else {
            return Err("another command".to_owned());
        };
        let mut options = NodeOptions::new("data").map_err(|e| e.to_string())?;
        up.settings.apply(&ConfigFile::default(), &mut options);
        Ok(options)
    }

    #[test]
    fn what_is_given_is_set_and_the_rest_stays() {
        let plain = NodeOptions::new("data").unwrap();
        let o = up(&[]).unwrap();
        assert_eq!((o.limits_max, o.kv_quota), (plain.limits_max, plain.kv_quota));
        let args = "--retention 36h --retention-rows 5 --max-units 20000 --max-time 2m --max-memory 128MiB \
                    --max-concurrency 7 --max-queue-age 3h --kv-keys 9 --kv-bytes 1GiB";
        let o = up(&args.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            (
                o.retention.age.as_secs(),
                o.retention.per_function,
                o.retention.idempotency
            ),
            (129_600, 5, plain.retention.idempotency)
        );
        let l = o.limits_max;
        assert_eq!(
            (l.units, l.time_ms, l.memory_bytes, l.concurrency),
            (Units(20_000), 120_000, 128 << 20, 7)
        );
        assert_eq!(o.queue_age_max.as_secs(), 10_800);
        assert_eq!((o.kv_quota.keys_max, o.kv_quota.bytes_max), (9, 1 << 30));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (name, value) in [
            ("--retention", "0s"),
            ("--retention", "week"),
            ("--retention-rows", "0"),
            ("--max-units", "1"),
            ("--max-time", "2h"),
            ("--max-memory", "1GiB"),
            ("--max-memory", "5000000"),
            ("--max-concurrency", "0"),
            ("--max-queue-age", "0s"),
            ("--max-queue-age", "31d"),
            ("--kv-keys", "-1"),
            ("--kv-bytes", "lots"),
        ] {
            let refused = up(&[&format!("{name}={value}")]).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
    }
}
