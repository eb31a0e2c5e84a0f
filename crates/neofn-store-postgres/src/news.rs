//! What other nodes did: PostgreSQL's notifications, which are wake-ups and no more.
//!
//! Changes of functions are told in the transaction that makes them. That invocations wait is told beside it and not
//! often: a notification in every admission would make all commits take turns.
//!
//! Who only listens never learns that nobody speaks any more: when nothing is told, the server is asked whether it is there.

use crate::conn::{ACQUIRE, Pool, in_time, read};
use crate::error::Fault;
use neofn_engine::port::News;
use neofn_types::FunctionKey;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
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
pub(crate) async fn tell_of_queue(pool: Pool, me: Arc<str>, waits: Arc<Notify>) {
    loop {
        waits.notified().await;
        let payload = format!("queue {me}");
        match read!(pool, |conn| send(conn, &payload)) {
            Ok(()) | Err(Fault::Down(_)) => {}
            Err(Fault::Closed) => return,
            // they look around by themselves every second
            Err(fault) => tracing::debug!(error = %fault, "other nodes not woken"),
        }
        tokio::time::sleep(QUEUE_EVERY).await;
    }
}

/// Hands on what other nodes tell, until nobody takes it.
pub(crate) async fn listen(pool: Pool, me: Arc<str>, asked_every: Duration, out: mpsc::Sender<News>) {
    loop {
        match listen_once(&pool, &me, asked_every, &out).await {
            Ok(()) | Err(Fault::Closed) => return,
            Err(fault) => {
                if fault.is_silence() {
                    pool.forget_idle();
                }
                tracing::warn!(error = %fault, "news of other nodes are late");
            }
        }
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

/// Ends well when nobody takes the news any more.
async fn listen_once(
    pool: &Pool,
    me: &str,
    asked_every: Duration,
    out: &mpsc::Sender<News>,
) -> Result<(), Fault> {
    // a pool of its own: a listener that is dropped says goodbye, and on a silent connection would keep a place for long
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(pool.connect_options());
    let mut listener = PgListener::connect_with(&own).await?;
    // one that is lost is not repaired behind our back, but made anew
    listener.eager_reconnect(false);
    in_time(ACQUIRE, async { Ok(listener.listen(CHANNEL).await?) }).await?;
    // whatever was told before we listened was told to others
    let mut news = Some(News::Anything);
    loop {
        if let Some(news) = news.take()
            && out.send(news).await.is_err()
        {
            return Ok(());
        }
        news = match tokio::time::timeout(asked_every, listener.try_recv()).await {
            Ok(told) => match told? {
                Some(told) => said(told.payload(), me),
                None => return Err(Fault::lost()),
            },
            Err(_) => {
                in_time(ACQUIRE, async {
                    Ok(sqlx::query("SELECT 1").execute(&mut listener).await?)
                })
                .await?;
                None
            }
        };
    }
}

fn said(payload: &str, me: &str) -> Option<News> {
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
            assert_eq!(said(payload, "me"), expected, "{payload}");
        }
    }
}
