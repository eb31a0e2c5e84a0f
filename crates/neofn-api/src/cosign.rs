//! Use cases that change a transaction on its way: a signature that was waited for, another one in its place.

use crate::api::Api;
use crate::chain::bad;
use crate::error::ApiError;
use crate::policy::Action;
use crate::transactions::view;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::key::{PublicKey, push_signature};
use neofn_chain::manager::{Replacement, RequestSigner};
use neofn_chain::tx::{Scope, Witness, script_hash};
use neofn_identity::Principal;
use neofn_types::{Code, Datoshi, Error};
use neofn_wire::{CosignerRequest, ReplaceRequest, TransactionView, WitnessRequest};

/// Most accounts that agree beside the one that pays: a transaction has 16 signers.
const COSIGNERS_MAX: usize = 15;
/// Longest script of a witness, as the chain has it.
const SCRIPT_BYTES_MAX: usize = 1_024;

impl Api {
    /// Adds the signature of an account whose key is held elsewhere; with the last one the transaction is sent.
    pub async fn cosign(
        &self,
        who: &Principal,
        id: &str,
        request: WitnessRequest,
    ) -> Result<TransactionView, ApiError> {
        let record = self.managed(who, Action::CosignTransaction, id).await?;
        let witness = witness(&request)?;
        let account = script_hash(&witness.verification);
        let transactions = &self.payments()?.transactions;
        let entry = self.act(
            who,
            &record.request.project,
            "transaction.cosign",
            &record.id.to_string(),
        );
        self.log(entry.detail(account.to_address())).await?;
        let record = transactions
            .cosign(record.id, account, witness)
            .await
            .map_err(Error::from)?;
        Ok(self.with_message(view(&record), &record))
    }

    /// Puts another transaction in the place of one that is in no block yet; answers that one.
    pub async fn replace_transaction(
        &self,
        who: &Principal,
        id: &str,
        request: ReplaceRequest,
    ) -> Result<TransactionView, ApiError> {
        self.authorise_sending(who)?;
        let record = self.managed(who, Action::SendTransactions, id).await?;
        let by = match request.by.as_str() {
            "cancel" => Replacement::Cancel,
            "faster" => Replacement::Faster,
            _ => return Err(Error::new(Code::RequestInvalid, "`by` is `cancel` or `faster`").into()),
        };
        let fee_max: Option<Datoshi> = request
            .gas
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|e| bad("gas", &e))?;
        let transactions = &self.payments()?.transactions;
        let entry = self.act(
            who,
            &record.request.project,
            "transaction.replace",
            &record.id.to_string(),
        );
        self.log(entry.detail(request.by.as_str())).await?;
        let record = transactions
            .replace(record.id, by, fee_max)
            .await
            .map_err(Error::from)?;
        Ok(self.with_message(view(&record), &record))
    }
}

/// Those who agree with keys of their own.
pub(crate) fn cosigners(given: &[CosignerRequest]) -> Result<Vec<RequestSigner>, Error> {
    if given.len() > COSIGNERS_MAX {
        return Err(bad("cosigners", &format!("at most {COSIGNERS_MAX} accounts")));
    }
    given
        .iter()
        .map(|cosigner| {
            let verification = match (&cosigner.public_key, &cosigner.verification) {
                (Some(key), None) => public_key(key)?.verification_script(),
                (None, Some(script)) => script_of("verification", script)?,
                _ => {
                    return Err(bad(
                        "cosigners",
                        &"each has either `public_key` or `verification`",
                    ));
                }
            };
            Ok(RequestSigner {
                account: script_hash(&verification),
                scope: Scope::CalledByEntry,
                verification: Some(verification),
            })
        })
        .collect()
}

fn witness(request: &WitnessRequest) -> Result<Witness, Error> {
    match (
        &request.public_key,
        &request.signature,
        &request.verification,
        &request.invocation,
    ) {
        (Some(key), Some(signature), None, None) => {
            let mut bytes = [0; 64];
            hex::decode_to_slice(signature, &mut bytes)
                .map_err(|_| bad("signature", &"64 bytes in hexadecimal"))?;
            Ok(Witness {
                invocation: push_signature(&bytes),
                verification: public_key(key)?.verification_script(),
            })
        }
        (None, None, Some(verification), Some(invocation)) => Ok(Witness {
            invocation: script_of("invocation", invocation)?,
            verification: script_of("verification", verification)?,
        }),
        _ => Err(Error::new(
            Code::RequestInvalid,
            "give `public_key` and `signature`, or `verification` and `invocation`",
        )),
    }
}

fn public_key(text: &str) -> Result<PublicKey, Error> {
    let mut bytes = [0; 33];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| bad("public_key", &"33 bytes in hexadecimal"))?;
    PublicKey::from_bytes(&bytes).map_err(|e| bad("public_key", &e))
}

fn script_of(member: &str, text: &str) -> Result<Vec<u8>, Error> {
    let bytes = BASE64.decode(text).map_err(|_| bad(member, &"not base64"))?;
    if bytes.is_empty() || bytes.len() > SCRIPT_BYTES_MAX {
        return Err(bad(member, &format!("1 to {SCRIPT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
