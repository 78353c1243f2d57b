//! The table is made or checked, and what cannot work is said so, with what to do.

use event_pipeline::storage::{Migration, Storage as _, StoreError, schema};
use mysql_async::prelude::Queryable as _;

use crate::mysql::{Database, Server, batch, made, open};

fn misconfigured<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(error @ StoreError::Misconfigured { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_table_is_made_once_and_then_left_alone() {
    let Some(database) = Database::create().await else { return };
    let store = open(&database.url());
    assert_eq!(store.migrate().await, Ok(Migration::Created));
    assert_eq!(store.migrate().await, Ok(Migration::Unchanged));
    assert_eq!(open(&database.url()).migrate().await, Ok(Migration::Unchanged));
}

#[tokio::test]
async fn a_table_that_somebody_else_made_will_do() {
    let Some(database) = Database::create().await else { return };
    let mut conn = database.conn().await;
    conn.query_drop(
        "CREATE TABLE processed_events (
           id CHAR(36) CHARACTER SET ascii PRIMARY KEY,
           type VARCHAR(20) NOT NULL, source ENUM('web','mobile','iot_device','system') NOT NULL,
           user_id VARCHAR(100), processed_data LONGTEXT, processing_time_ms BIGINT,
           created_at DATETIME(6), processed_at TIMESTAMP NULL, extra INT NOT NULL DEFAULT 7
         ) DEFAULT CHARSET=utf8mb4",
    )
    .await
    .unwrap();
    let store = open(&database.url());
    assert_eq!(store.migrate().await, Ok(Migration::Unchanged));
    let rows = [made(), made()];
    store.store(&batch(&rows), 0..2).await.unwrap();
    let again = store.store(&batch(&rows), 0..2).await.unwrap();
    assert_eq!(again.duplicates, [0_usize; 0]);
    assert_eq!(store.fetch(rows[0].id).await.unwrap().unwrap().created_at_s, Some(rows[0].created_at_s));
}

#[tokio::test]
async fn a_table_that_cannot_hold_every_event_is_refused_by_column() {
    let Some(database) = Database::create().await else { return };
    let mut conn = database.conn().await;
    for (change, named) in [
        ("MODIFY id VARCHAR(20)", "column id"),
        ("DROP PRIMARY KEY", "primary key"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, type)", "primary key"),
        ("MODIFY type ENUM('user_action','sensor_data') NOT NULL", "column type"),
        ("MODIFY source VARCHAR(5)", "column source"),
        ("MODIFY user_id VARCHAR(49)", "column user_id"),
        ("MODIFY user_id VARCHAR(50) CHARACTER SET latin1", "ALTER TABLE"),
        ("MODIFY processed_data TEXT", "column processed_data"),
        ("MODIFY processing_time_ms SMALLINT", "column processing_time_ms"),
        ("DROP COLUMN processed_at", "column processed_at"),
        ("ADD COLUMN tenant INT NOT NULL", "column tenant"),
        ("ADD UNIQUE KEY by_user (user_id, created_at)", "DROP INDEX by_user"),
        ("ENGINE=MyISAM", "MyISAM"),
    ] {
        conn.query_drop("DROP TABLE IF EXISTS processed_events").await.unwrap();
        conn.query_drop(schema::MYSQL).await.unwrap();
        conn.query_drop(format!("ALTER TABLE processed_events {change}")).await.unwrap();
        let message = misconfigured(open(&database.url()).migrate().await);
        assert!(message.contains(named), "{change}: {message}");
    }
}

#[tokio::test]
async fn a_latin1_user_id_is_refused_before_anything_is_stored() {
    let Some(database) = Database::create().await else { return };
    let mut conn = database.conn().await;
    conn.query_drop(schema::MYSQL.replace("utf8mb4", "latin1")).await.unwrap();
    let message = misconfigured(open(&database.url()).store(&batch(&[made()]), 0..1).await);
    assert!(message.contains("latin1") && message.contains("ALTER TABLE"), "{message}");
    assert_eq!(database.count().await, 0);

    let command = message.rsplit_once("run: ").unwrap().1;
    conn.query_drop(command).await.unwrap();
    assert_eq!(open(&database.url()).migrate().await, Ok(Migration::Unchanged));
}

#[tokio::test]
async fn a_server_that_defaults_to_latin1_gets_a_table_that_holds_everything() {
    let Some(server) = Server::start(&["--character-set-server=latin1"]) else { return };
    let database = Database::create_on(&server.url).await;
    let store = open(&database.url());
    assert_eq!(store.migrate().await, Ok(Migration::Created));
    let mut row = made();
    row.user_id = Some("🦀".to_owned());
    store.store(&batch(std::slice::from_ref(&row)), 0..1).await.unwrap();
    assert_eq!(store.fetch(row.id).await.unwrap().unwrap().user_id, row.user_id);
}

#[tokio::test]
async fn a_missing_table_waits_for_an_operator_and_then_works() {
    let Some(database) = Database::create().await else { return };
    let store = open(&database.url());
    let rows = batch(&[made()]);
    let message = misconfigured(store.store(&rows, 0..1).await);
    assert!(message.contains("processed_events"), "{message}");
    misconfigured(store.fetch(made().id).await);
    misconfigured(store.health().await);
    store.migrate().await.unwrap();
    assert_eq!(store.health().await, Ok(()));
    assert!(store.store(&rows, 0..1).await.is_ok());
}

#[tokio::test]
async fn a_wrong_login_or_database_is_told_without_the_password() {
    let Some(database) = Database::create().await else { return };
    let (user, _) = database.server.strip_prefix("mysql://").unwrap().split_once('@').unwrap();
    let (user, _) = user.split_once(':').unwrap_or((user, ""));
    let address = database.address();
    for url in [
        format!("mysql://{user}:wrong-secret@{address}/{}", database.name),
        format!("mysql://nobody:wrong-secret@{address}/{}", database.name),
        database.url().replace(&database.name, "eventdb_missing"),
    ] {
        let store = open(&url);
        let message = misconfigured(store.health().await);
        assert!(message.contains(&address), "{message}");
        misconfigured(store.store(&batch(&[made()]), 0..1).await);
        for text in [message, format!("{store:?}")] {
            let password = url.split_once('@').unwrap().0.rsplit_once(':').unwrap().1;
            assert!(password.starts_with("//") || !text.contains(password), "{text}");
        }
    }
}

#[tokio::test]
async fn encryption_that_is_asked_for_is_there_or_nothing_is() {
    let Some(database) = Database::create().await else { return };
    let mut conn = database.conn().await;
    database.store().await;
    let has_tls: Option<(String, String)> = conn.query_first("SHOW VARIABLES LIKE 'have_ssl'").await.unwrap();
    // MySQL 9 has always, and the variable no more.
    let has_tls = has_tls.is_none_or(|(_, value)| value == "YES");
    let required = open(&format!("{}?ssl-mode=required", database.url())).health().await;
    if has_tls {
        assert_eq!(required, Ok(()));
    } else {
        misconfigured(required);
    }
    // A test server's certificate is nobody's.
    misconfigured(open(&format!("{}?ssl-mode=verify_identity", database.url())).health().await);
}
