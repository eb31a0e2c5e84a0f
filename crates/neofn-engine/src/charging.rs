//! What a run costs its project: set aside before it begins, settled with its end. Knows no account and no rule of the
//! ledger; without purses everything is free.

use crate::cache::Loaded;
use crate::engine::Inner;
use neofn_gas::ledger::{Hold, UnitPrice};
use neofn_gas::port::LedgerError;
use neofn_gas::{Reservation, ReserveError};
use neofn_types::{Code, Error, InvocationId};

impl Inner {
    /// Sets aside what an attempt may cost at the most. Callees are paid for by their caller and must not come here.
    pub(crate) async fn reserve(&self, loaded: &Loaded) -> Result<Reservation, Error> {
        let Some(purses) = &self.ports.purses else {
            return Ok(Reservation::free(UnitPrice(0)));
        };
        let record = &loaded.record;
        let reserved = purses.reserve(&record.key, record.spec.limits.units).await;
        reserved.map_err(|error| match error {
            ReserveError::Refused(refused) => refused.into(),
            ReserveError::Store(error) => unavailable(error),
        })
    }

    /// What an invocation that waits sets aside while it is accepted.
    pub(crate) async fn admission(&self, loaded: &Loaded, id: InvocationId) -> Result<Option<Hold>, Error> {
        let Some(purses) = &self.ports.purses else {
            return Ok(None);
        };
        let record = &loaded.record;
        let hold = purses.admission(&record.key, id, record.spec.limits.units);
        hold.await.map_err(unavailable)
    }
}

fn unavailable(error: LedgerError) -> Error {
    Error::new(Code::StoreFailed, Code::StoreFailed.info().title).because(error)
}
