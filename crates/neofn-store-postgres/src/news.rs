//! What other nodes did: PostgreSQL's notifications, which are wake-ups and no more.
//!
//! Changes of functions are told in the transaction that makes them. That invocations wait is told beside it and not
//! often: a notification in every admission would make all commits take turns.

use crate::error::Fault;
use neofn_engine::port::News;
use neofn_types::FunctionKey;
use sqlx::postgres::{PgConnection, PgListener, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

const CHANNEL: &str = "neofn";
/// Between two notifications that invocations wait.
const QUEUE_EVERY: Duration = Duration::from_millis(100);
/// Before the next try to listen.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// Tells every node, this one too, when the transaction commits.
pub(crate) async fn tell(conn: &mut PgConnection, news: &News) -> Result<(), Fault> {
    let payload = match news {
        News::Live(key) => format!("live {key}"),
        News::Gone(key) => format!("gone {key}"),
        News::Triggers => "triggers".to_owned(),
        News::Queue => "queue".to_owned(),
        News::Anything => "anything".to_owned(),
    };
    send(conn, &payload).await
}

async fn send(conn: &mut PgConnection, payload: &str) -> Result<(), Fault> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(payload)
        .execute(conn)
        .await?;
    Ok(())
}

/// Tells other nodes that invocations wait, whenever `waits` says so.
pub(crate) async fn tell_of_queue(pool: PgPool, me: Arc<str>, waits: Arc<Notify>) {
    loop {
        waits.notified().await;
        let told = async { send(&mut *pool.acquire().await?, &format!("queue {me}")).await };
        match told.await {
            Ok(()) | Err(Fault::Down(_)) => {}
            Err(Fault::Closed) => return,
            // they look around by themselves every second
            Err(fault) => tracing::debug!(error = %fault, "other nodes not woken"),
        }
        tokio::time::sleep(QUEUE_EVERY).await;
    }
}

/// Hands on what other nodes tell, until nobody takes it.
pub(crate) async fn listen(pool: PgPool, me: Arc<str>, out: mpsc::Sender<News>) {
    loop {
        match listen_once(&pool, &me, &out).await {
            Ok(()) | Err(Fault::Closed) => return,
            Err(fault) => tracing::warn!(error = %fault, "news of other nodes are late"),
        }
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

/// Ends well when nobody takes the news any more.
async fn listen_once(pool: &PgPool, me: &str, out: &mpsc::Sender<News>) -> Result<(), Fault> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // whatever was told before we listened was told to others
    let mut news = Some(News::Anything);
    loop {
        if let Some(news) = news.take()
            && out.send(news).await.is_err()
        {
            return Ok(());
        }
        news = match listener.try_recv().await? {
            Some(told) => read(told.payload(), me),
            None => Some(News::Anything),
        };
    }
}

fn read(payload: &str, me: &str) -> Option<News> {
    let (what, whose) = payload.split_once(' ').unwrap_or((payload, ""));
    let key = || {
        let (project, function) = whose.split_once('/')?;
        Some(FunctionKey::new(project.parse().ok()?, function.parse().ok()?))
    };
    match what {
        "live" => key().map(News::Live),
        "gone" => key().map(News::Gone),
        "triggers" => Some(News::Triggers),
        "queue" if whose == me => None,
        "queue" => Some(News::Queue),
        // of a newer neofn
        _ => Some(News::Anything),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_others_are_read() {
        let key = FunctionKey::new("demo".parse().unwrap(), "hello".parse().unwrap());
        for (payload, expected) in [
            ("live demo/hello", Some(News::Live(key.clone()))),
            ("gone demo/hello", Some(News::Gone(key))),
            ("triggers", Some(News::Triggers)),
            ("queue other", Some(News::Queue)),
            ("queue me", None),
            ("something new", Some(News::Anything)),
        ] {
            assert_eq!(read(payload, "me"), expected, "{payload}");
        }
    }
}
