//! Methods of contracts that were asked for lately. A contract may be updated, so they are kept for seconds only.

use super::abi::Methods;
use crate::overlay::Refusal;
use neofn_chain::port::Chain;
use neofn_types::{Clock, Code, ScriptHash};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a manifest is taken to be as it was.
const FRESH: Duration = Duration::from_secs(30);
/// Contracts that are kept.
const KEPT_MAX: usize = 256;

#[derive(Default)]
pub(crate) struct Manifests(Mutex<HashMap<ScriptHash, (Duration, Arc<Methods>)>>);

impl Manifests {
    pub(crate) async fn of(
        &self,
        chain: &dyn Chain,
        contract: ScriptHash,
        clock: &dyn Clock,
    ) -> Result<Arc<Methods>, Refusal> {
        let now = clock.monotonic();
        if let Some((at, methods)) = self.0.lock().get(&contract)
            && now.saturating_sub(*at) < FRESH
        {
            return Ok(methods.clone());
        }
        let state = chain.contract_state(contract).await.map_err(super::refused)?;
        let state =
            state.ok_or_else(|| (Code::ContractNotFound, format!("there is no contract {contract}")))?;
        let methods = Arc::new(Methods::of(&state.manifest));
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (at, _)| now.saturating_sub(*at) < FRESH);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(contract, (now, methods.clone()));
        }
        Ok(methods)
    }
}
