//! What a call leaves as an iterator, read page by page, and the session that it is kept in, ended on every way out.
//! Knows no node: it stands on the port.

use crate::error::ChainError;
use crate::model::{Invocation, Session};
use crate::port::Chain;
use crate::stack::StackItem;
use std::sync::Arc;

/// Items that are read of one iterator.
pub const ITEMS_MAX: usize = 1_000;
/// Items that are asked for at once: what nodes allow where nobody changed it.
const PAGE: u32 = 100;

/// What an iterator held.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The first items, [`ITEMS_MAX`] at the most.
    pub items: Vec<StackItem>,
    /// Whether there were more.
    pub truncated: bool,
}

/// Ends a session when it goes, also when whoever reads is dropped in the middle.
struct Ending {
    chain: Arc<dyn Chain>,
    session: Option<Session>,
}
impl Drop for Ending {
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let chain = self.chain.clone();
        runtime.spawn(async move {
            if let Err(error) = chain.end_session(&session).await {
                tracing::debug!(%error, "iterator session left to its time-out");
            }
        });
    }
}

/// Ends the session that a call left, if it left one; does not wait for it.
pub fn end(chain: &Arc<dyn Chain>, ended: &Invocation) {
    drop(Ending {
        chain: chain.clone(),
        session: ended.session.clone(),
    });
}

/// The items of the iterator that a call left on top, if it left one there. Its session is ended in any case.
pub async fn listing(chain: &Arc<dyn Chain>, ended: &Invocation) -> Result<Option<Listing>, ChainError> {
    let _ending = Ending {
        chain: chain.clone(),
        session: ended.session.clone(),
    };
    let Some(StackItem::Interop(interop)) = ended.stack.first() else {
        return Ok(None);
    };
    let (Some(session), Some(name)) = (&ended.session, &interop.iterator) else {
        return Ok(Some(Listing {
            items: interop.items.clone(),
            truncated: interop.truncated,
        }));
    };
    let mut items = Vec::new();
    loop {
        // one more than is given: whether there are more is then known
        let wanted = u32::try_from(ITEMS_MAX + 1 - items.len()).map_or(PAGE, |left| left.min(PAGE));
        let page = chain.iterate(session, name, wanted).await?;
        let over = u32::try_from(page.len()).map_or(true, |n| n < wanted);
        items.extend(page);
        if over || items.len() > ITEMS_MAX {
            break;
        }
    }
    let truncated = items.len() > ITEMS_MAX;
    items.truncate(ITEMS_MAX);
    Ok(Some(Listing { items, truncated }))
}
