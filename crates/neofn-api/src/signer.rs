//! Use cases of the operator about the accounts that sign: what they are, what they may, what they signed.
//!
//! A key passes through here on its way to the signer's process, in memory that is wiped, and nowhere else.

use crate::api::Api;
use crate::chain::{bad, contract};
use crate::error::ApiError;
use crate::functions::Page;
use crate::policy::{Action, Target};
use neofn_chain::key::PrivateKey;
use neofn_chain::signer::{AccountInfo, Calls, Import, MethodRule, Signature, Signing as _, SigningPolicy};
use neofn_chain::tx::Scope;
use neofn_chain::wallet::{ScryptParameters, Wallet, WalletError, nep2};
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_types::{Code, Datoshi, Error, ScriptHash};
use neofn_wire::{
    CallRule, KeyImport, PolicyView, SignatureList, SignatureView, SignerAccountView, SignerView,
};

/// Longest label.
const LABEL_CHARS_MAX: usize = 64;
/// Most contracts that a policy lists.
const RULES_MAX: usize = 100;
/// Contracts that one scope may name.
const SCOPE_CONTRACTS_MAX: usize = 16;

impl Api {
    /// May they manage keys? Also for an edge that wants to know before it reads a body.
    pub fn authorise_signer(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::ManageSigner, Target::Node { loopback: false })
    }

    /// The accounts that sign.
    pub async fn signer(&self, who: &Principal) -> Result<SignerView, ApiError> {
        self.authorise_signer(who)?;
        let accounts = self.payments()?.signer.accounts().await.map_err(Error::from)?;
        Ok(SignerView {
            accounts: accounts.iter().map(account).collect(),
        })
    }

    /// Gives the signer a key.
    pub async fn import_key(
        &self,
        who: &Principal,
        request: KeyImport,
    ) -> Result<SignerAccountView, ApiError> {
        self.authorise_signer(who)?;
        let signer = &self.payments()?.signer;
        let label = request.label.clone().unwrap_or_else(|| "imported".to_owned());
        if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
            return Err(bad("label", &format!("at most {LABEL_CHARS_MAX} visible characters")).into());
        }
        let network = self.engine().chain()?.network().0;
        let base = SigningPolicy {
            network: Some(network),
            ..SigningPolicy::default()
        };
        let policy = changed(base, &request.policy)?;
        // scrypt takes a good part of a second on purpose
        let key = tokio::task::spawn_blocking(move || private_key(&request))
            .await
            .map_err(Error::internal)??;
        let now = self.inner.clock.now();
        self.log(AuditEntry::new(now, who.actor(), "signer.import", label.as_str()))
            .await?;
        let wif = Import::Wif(key.to_wif());
        drop(key);
        let info = signer.import(wif, &label, policy).await.map_err(Error::from)?;
        Ok(account(&info))
    }

    /// Changes what an account may be used for.
    pub async fn set_policy(
        &self,
        who: &Principal,
        name: &str,
        request: &PolicyView,
    ) -> Result<SignerAccountView, ApiError> {
        self.authorise_signer(who)?;
        let signer = &self.payments()?.signer;
        let wanted: ScriptHash = name.parse().map_err(|e| bad("account", &e))?;
        let accounts = signer.accounts().await.map_err(Error::from)?;
        let found = accounts.into_iter().find(|a| a.account == wanted);
        let found = found.ok_or_else(|| {
            let message = format!("the signer has no account {}", wanted.to_address());
            Error::new(Code::SignerNoAccount, message)
        })?;
        let policy = changed(found.policy, request)?;
        let now = self.inner.clock.now();
        let entry = AuditEntry::new(now, who.actor(), "signer.policy", wanted.to_address());
        let said = serde_json::to_string(&policy).unwrap_or_default();
        self.log(entry.detail(said)).await?;
        let info = signer.set_policy(wanted, policy).await.map_err(Error::from)?;
        Ok(account(&info))
    }

    /// What was signed after the numbered signature, oldest first.
    pub async fn signatures(
        &self,
        who: &Principal,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> Result<SignatureList, ApiError> {
        self.authorise_signer(who)?;
        let limit = Page::of(limit)?.limit;
        let signer = &self.payments()?.signer;
        let found = signer
            .signatures(after.unwrap_or(0), limit)
            .await
            .map_err(Error::from)?;
        let full = u32::try_from(found.len()).is_ok_and(|n| n == limit);
        Ok(SignatureList {
            next: found.last().filter(|_| full).map(|s| s.number),
            signatures: found.into_iter().map(signature).collect(),
        })
    }
}

fn private_key(request: &KeyImport) -> Result<PrivateKey, Error> {
    let password = || {
        request
            .password
            .as_deref()
            .ok_or_else(|| Error::new(Code::RequestInvalid, "it needs a `password`"))
    };
    let wrong = |e: WalletError| Error::new(Code::RequestInvalid, e.to_string());
    match (&request.wif, &request.nep2, &request.wallet) {
        // why a key cannot be read could hold a part of it
        (Some(wif), None, None) => PrivateKey::from_wif(wif.trim())
            .map_err(|_| Error::new(Code::RequestInvalid, "not a private key in WIF form")),
        (None, Some(text), None) => {
            nep2::open(text.trim(), password()?, ScryptParameters::default()).map_err(wrong)
        }
        (None, None, Some(text)) => {
            let account = request.account.as_deref().map(str::parse).transpose();
            let account: Option<ScriptHash> = account.map_err(|e| bad("account", &e))?;
            Wallet::read(text)
                .and_then(|wallet| wallet.key(account, password().unwrap_or_default()))
                .map_err(wrong)
        }
        _ => Err(Error::new(
            Code::RequestInvalid,
            "give one of `wif`, `nep2` and `wallet`",
        )),
    }
}

fn changed(mut policy: SigningPolicy, request: &PolicyView) -> Result<SigningPolicy, Error> {
    let amount = |name: &str, text: &String| -> Result<Datoshi, Error> {
        let amount: Datoshi = text.parse().map_err(|e| bad(name, &e))?;
        if amount < Datoshi::ZERO {
            return Err(bad(name, &"less than nothing"));
        }
        Ok(amount)
    };
    if let Some(text) = &request.per_transaction {
        policy.per_transaction = amount("perTransaction", text)?;
    }
    if let Some(text) = &request.per_day {
        policy.per_day = amount("perDay", text)?;
    }
    if let Some(rules) = &request.calls {
        if rules.len() > RULES_MAX {
            return Err(bad("calls", &format!("more than {RULES_MAX} contracts")));
        }
        policy.calls = match rules.as_slice() {
            [] if request.transfers == Some(true) => Calls::Any,
            [] => Calls::NoTransfers,
            rules => Calls::Only(rules.iter().map(method_rule).collect::<Result<_, _>>()?),
        };
    }
    match (&request.calls, request.transfers, &policy.calls) {
        (None, Some(true), Calls::NoTransfers) => policy.calls = Calls::Any,
        (None, Some(false), Calls::Any) => policy.calls = Calls::NoTransfers,
        _ => {}
    }
    if let Some(text) = &request.scope {
        policy.scope = scope(text)?;
    }
    if let Some(network) = request.network {
        policy.network = (network != 0).then_some(network);
    }
    Ok(policy)
}

fn method_rule(rule: &CallRule) -> Result<MethodRule, Error> {
    Ok(MethodRule {
        contract: contract(&rule.contract)?,
        methods: rule.methods.clone(),
    })
}

fn scope(text: &str) -> Result<Scope, Error> {
    Ok(match text {
        "None" => Scope::None,
        "CalledByEntry" => Scope::CalledByEntry,
        "Global" => Scope::Global,
        list => {
            let contracts: Vec<ScriptHash> = list
                .split(',')
                .map(|name| contract(name.trim()))
                .collect::<Result<_, _>>()
                .map_err(|_| {
                    bad(
                        "scope",
                        &"None, CalledByEntry, Global, or contracts with commas between",
                    )
                })?;
            if contracts.len() > SCOPE_CONTRACTS_MAX {
                return Err(bad(
                    "scope",
                    &format!("more than {SCOPE_CONTRACTS_MAX} contracts"),
                ));
            }
            Scope::Contracts(contracts)
        }
    })
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::Contracts(list) => {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            list.join(",")
        }
        named => named.to_string(),
    }
}

fn account(info: &AccountInfo) -> SignerAccountView {
    SignerAccountView {
        address: info.account.to_address(),
        account: info.account.to_string(),
        label: info.label.clone(),
        policy: PolicyView {
            per_transaction: Some(info.policy.per_transaction.to_string()),
            per_day: Some(info.policy.per_day.to_string()),
            calls: Some(match &info.policy.calls {
                Calls::Any | Calls::NoTransfers => Vec::new(),
                Calls::Only(rules) => rules
                    .iter()
                    .map(|rule| CallRule {
                        contract: rule.contract.to_string(),
                        methods: rule.methods.clone(),
                    })
                    .collect(),
            }),
            transfers: match &info.policy.calls {
                Calls::Any => Some(true),
                Calls::NoTransfers => Some(false),
                Calls::Only(_) => None,
            },
            scope: Some(scope_text(&info.policy.scope)),
            network: Some(info.policy.network.unwrap_or(0)),
        },
        spent: info.spent.to_string(),
    }
}

fn signature(made: Signature) -> SignatureView {
    SignatureView {
        number: made.number,
        at: made.at.to_iso8601(),
        address: made.account.to_address(),
        transaction: made.transaction.to_string(),
        network: made.network,
        spend: made.spend.to_string(),
        scope: scope_text(&made.scope),
        calls: made.calls,
        project: made.purpose.project.to_string(),
    }
}
