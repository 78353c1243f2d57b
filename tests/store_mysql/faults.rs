//! Servers that go, hosts that are dead or cannot write, replies that never come or too late.

use std::time::{Duration, Instant};

use event_pipeline::storage::{MySql, Storage as _, StoreError};
use mysql_async::prelude::Queryable as _;

use crate::{
    mysql::{Database, Made, Server, batch, connect, made, open, with_id},
    proxy::{Proxy, Traffic},
};

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Stores until it is stored, as long as the errors say that this may help; the errors.
async fn insist(store: &MySql, rows: &[Made]) -> Vec<StoreError> {
    let rows = batch(rows);
    let mut errors = Vec::new();
    while let Err(error) = store.store(&rows, 0..rows.len()).await {
        assert!(matches!(error, StoreError::Transient { .. } | StoreError::Ambiguous { .. }), "{error}");
        errors.push(error);
        assert!(errors.len() < 10, "{errors:?}");
    }
    errors
}

#[tokio::test]
async fn a_server_that_is_down_is_noticed_at_once() {
    let store = open(&format!("mysql://event:secret@{}/eventdb", nowhere()));
    let start = Instant::now();
    let error = store.store(&batch(&[made()]), 0..1).await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "io"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mysql://event:secret@{}/eventdb", listener.local_addr().unwrap());
    let store = open(&url).with_timeout(Duration::from_millis(300));
    let start = Instant::now();
    let error = store.health().await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "timeout"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_dead_host_is_passed_over() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let store = open(&database.url_at(&format!("{},{}", nowhere(), database.address())));
    assert!(store.store(&batch(&[made()]), 0..1).await.is_ok());
    assert_eq!(database.count().await, 1);
}

#[tokio::test]
async fn of_several_hosts_one_that_may_come_back_is_waited_for() {
    let Some(database) = Database::create().await else { return };
    let (dead, alive) = (nowhere(), database.address());
    let error = open(&format!("mysql://nobody:secret@{dead},{alive}/eventdb")).health().await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "io"), "{error}");
    assert!(error.to_string().contains(&dead) && error.to_string().contains(&alive), "{error}");
}

#[tokio::test]
async fn a_host_that_cannot_write_is_left_for_the_next() {
    let (Some(reader), Some(writer)) = (Server::start(&[]), Server::start(&[])) else { return };
    let password = writer.url.split_once('@').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    let database = Database::create_on(&writer.url).await;
    database.store().await;
    // The same login, database and table on both.
    let mut conn = connect(&reader.url).await;
    conn.query_drop(format!("CREATE DATABASE {}", database.name)).await.unwrap();
    conn.query_drop(format!("USE {}", database.name)).await.unwrap();
    conn.query_drop(event_pipeline::storage::schema::MYSQL).await.unwrap();
    conn.query_drop(format!("SET PASSWORD = PASSWORD('{password}')")).await.unwrap();
    conn.disconnect().await.unwrap();
    reader.restart(&["--read-only"]);

    let (_, address) = reader.url.rsplit_once('@').unwrap();
    let (address, _) = address.split_once('/').unwrap();
    let store = open(&database.url_at(&format!("{address},{}", database.address())));
    let errors = insist(&store, &[made()]).await;
    assert_eq!(errors.iter().map(StoreError::code).collect::<Vec<_>>(), ["1290"]);
    assert!(insist(&store, &[made()]).await.is_empty());
    assert_eq!(database.count().await, 2);
}

#[tokio::test]
async fn a_restarted_server_is_used_again() {
    let Some(server) = Server::start(&[]) else { return };
    let database = Database::create_on(&server.url).await;
    let store = database.store().await;
    assert!(insist(&store, &[made()]).await.is_empty());
    server.stop();
    let row = made();
    let rows = batch(std::slice::from_ref(&row));
    for _ in 0..2 {
        let error = store.store(&rows, 0..1).await.unwrap_err();
        assert!(matches!(error, StoreError::Transient { .. } | StoreError::Ambiguous { .. }), "{error}");
    }
    assert!(store.health().await.is_err());
    server.restart(&[]);
    assert!(insist(&store, &[row]).await.is_empty());
    assert_eq!(database.count().await, 2);
}

#[tokio::test]
async fn idle_connections_that_were_killed_are_replaced_at_one_failure() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let (first, second) = ([made()], [made()]);
    let (first, second) = (batch(&first), batch(&second));
    let (a, b) = tokio::join!(store.store(&first, 0..1), store.store(&second, 0..1));
    a.and(b).unwrap();
    assert!(database.kill_connections().await >= 2);
    assert!(insist(&store, &[made()]).await.len() <= 1);
    assert_eq!(database.count().await, 3);
}

#[tokio::test]
async fn an_insert_that_is_killed_half_way_is_stored_by_the_next_attempt() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let rows: Vec<_> = (0..600).map(|_| made()).collect();
    let mut lock = database.conn().await;
    lock.query_drop("START TRANSACTION").await.unwrap();
    let last = rows[599].id;
    lock.query_drop(format!("INSERT INTO processed_events (id, type, source) VALUES ('{last}', 'user_action', 'web')"))
        .await
        .unwrap();
    let rows = batch(&rows);
    let storing = tokio::spawn({
        let rows = std::sync::Arc::clone(&rows);
        async move { (store.store(&rows, 0..600).await, store) }
    });
    database.wait_for_insert().await;
    database.kill_connections().await;
    drop(lock);
    let (outcome, store) = storing.await.unwrap();
    // Before its COMMIT nothing can be stored, and that is known.
    assert!(matches!(outcome, Err(StoreError::Transient { .. })), "{outcome:?}");
    assert_eq!(store.store(&rows, 0..600).await.unwrap().duplicates, [0_usize; 0]);
    assert_eq!(database.count().await, 600);
}

#[tokio::test]
async fn a_lock_that_is_held_costs_one_attempt_and_not_the_connection() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let row = made();
    let mut lock = database.conn().await;
    lock.query_drop("START TRANSACTION").await.unwrap();
    lock.query_drop(format!(
        "INSERT INTO processed_events (id, type, source) VALUES ('{}', 'user_action', 'web')",
        row.id
    ))
    .await
    .unwrap();
    let rows = batch(std::slice::from_ref(&row));
    let error = store.store(&rows, 0..1).await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "1205"), "{error}");
    lock.query_drop("COMMIT").await.unwrap();
    assert_eq!(store.store(&rows, 0..1).await.unwrap().duplicates, [0]);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_ambiguous_and_the_retry_finds_its_own_rows() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let proxy = Proxy::start(database.address()).await;
    let store = open(&database.url_at(&proxy.address));
    store.health().await.unwrap();
    proxy.set(Traffic::CutReplies { after: 0 });
    // The statement is prepared on this connection by a reply that is cut as well.
    let rows = batch(&[made(), made()]);
    store.store(&rows, 0..2).await.unwrap_err();
    proxy.set(Traffic::Pass);
    store.store(&batch(&[made(), made()]), 0..2).await.unwrap();

    proxy.set(Traffic::CutReplies { after: 0 });
    let rows = batch(&[made(), made()]);
    let error = store.store(&rows, 0..2).await.unwrap_err();
    assert!(matches!(error, StoreError::Ambiguous { .. }), "{error}");
    proxy.set(Traffic::Pass);
    assert_eq!(store.store(&rows, 0..2).await.unwrap().duplicates, [0_usize; 0]);
    assert_eq!(database.count().await, 4);
}

#[tokio::test]
async fn a_reply_that_comes_too_late_is_never_taken_for_another() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let mut proxy = Proxy::start(database.address()).await;
    let store = open(&database.url_at(&proxy.address)).with_timeout(Duration::from_secs(2));
    let first = made();
    store.store(&batch(std::slice::from_ref(&first)), 0..1).await.unwrap();

    proxy.set(Traffic::HoldReplies);
    let late = batch(&[made()]);
    let error = store.store(&late, 0..1).await.unwrap_err();
    assert!(matches!(&error, StoreError::Ambiguous { code, .. } if code == "timeout"), "{error}");
    proxy.wait_until_held().await;
    proxy.set(Traffic::Pass);

    // The late reply says "one new row"; this one is a duplicate.
    assert_eq!(store.store(&batch(&[with_id(first.id)]), 0..1).await.unwrap().duplicates, [0]);
    assert_eq!(store.store(&late, 0..1).await.unwrap().duplicates, [0_usize; 0]);
    assert_eq!(database.count().await, 2);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_connection_behind() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let mut proxy = Proxy::start(database.address()).await;
    let store = open(&database.url_at(&proxy.address));
    let first = made();
    store.store(&batch(std::slice::from_ref(&first)), 0..1).await.unwrap();
    proxy.set(Traffic::HoldReplies);
    let late = batch(&[made()]);
    tokio::select! {
        outcome = store.store(&late, 0..1) => panic!("{outcome:?}"),
        () = proxy.wait_until_held() => {}
    }
    proxy.set(Traffic::Pass);
    assert_eq!(store.store(&batch(&[with_id(first.id)]), 0..1).await.unwrap().duplicates, [0]);
    assert!(store.fetch(first.id).await.unwrap().is_some());
}

#[tokio::test]
async fn the_health_of_a_server_is_whether_it_can_store() {
    let Some(server) = Server::start(&[]) else { return };
    let database = Database::create_on(&server.url).await;
    let store = database.store().await;
    assert_eq!(store.health().await, Ok(()));
    server.sql("SET GLOBAL read_only = 1");
    let error = store.health().await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "1290"), "{error}");
    server.sql("SET GLOBAL read_only = 0");
    assert_eq!(store.health().await, Ok(()));
    assert_eq!(database.count().await, 0);
}

#[tokio::test]
async fn a_table_that_is_locked_leaves_no_statement_of_ours_behind() {
    let Some(database) = Database::create().await else { return };
    let store = database.store().await;
    let mut lock = database.conn().await;
    lock.query_drop("LOCK TABLES processed_events WRITE").await.unwrap();
    let rows = batch(&[made()]);
    let error = store.store(&rows, 0..1).await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "1205"), "{error}");
    lock.query_drop("UNLOCK TABLES").await.unwrap();
    assert!(store.store(&rows, 0..1).await.is_ok());
}

#[tokio::test]
async fn idle_connections_to_a_host_that_fell_silent_cost_one_time_limit() {
    let Some(database) = Database::create().await else { return };
    database.store().await;
    let proxy = Proxy::start(database.address()).await;
    let store = open(&database.url_at(&proxy.address)).with_timeout(Duration::from_secs(2));
    let rows = [(); 4].map(|()| batch(&[made()]));
    let all = rows.each_ref().map(|row| store.store(row, 0..1));
    futures_util::future::join_all(all).await.into_iter().for_each(|stored| assert!(stored.is_ok()));
    proxy.set(Traffic::Silence);
    // Until idle connections are asked before they are used.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let start = Instant::now();
    let error = store.store(&batch(&[made()]), 0..1).await.unwrap_err();
    assert!(matches!(&error, StoreError::Transient { code, .. } if code == "timeout"), "{error}");
    // One to ask, one to connect.
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
