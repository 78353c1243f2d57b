//! What people write by hand: parse, take a connection of the pool, insert each event, answer.
//!
//! Nothing is done badly on purpose: the driver prepares its statement once a connection, and hyper
//! and the pool are used as their examples do.

use std::{convert::Infallible, net::TcpListener, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mysql_async::{Opts, Pool, params, prelude::Queryable as _};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const NAME: &str = "naive";

const INSERT: &str = "INSERT INTO processed_events (id, type, source, user_id, processed_data, processing_time_ms) \
    VALUES (:id, :type, :source, :user_id, :processed_data, 0)";

pub(super) fn serve(listener: TcpListener, url: &str) -> Result<()> {
    let pool = Arc::new(Pool::new(Opts::from_url(url)?));
    listener.set_nonblocking(true)?;
    tokio::runtime::Runtime::new()?.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let pool = Arc::clone(&pool);
            let service = service_fn(move |request| {
                let pool = Arc::clone(&pool);
                async move { Ok::<_, Infallible>(answer(&pool, request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    })
}

async fn answer(pool: &Pool, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, answer) = match take(pool, request).await {
        Ok(ids) => (StatusCode::ACCEPTED, json!({"received": ids.len(), "accepted": ids.len(), "ids": ids})),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": error.to_string()})),
    };
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status;
    response
}

async fn take(pool: &Pool, request: Request<Incoming>) -> Result<Vec<String>> {
    let body = request.into_body().collect().await?.to_bytes();
    let events = match serde_json::from_slice(&body)? {
        Value::Array(events) => events,
        Value::Object(mut object) => match object.remove("events") {
            Some(Value::Array(events)) => events,
            _ => vec![Value::Object(object)],
        },
        _ => Vec::new(),
    };
    let mut conn = pool.get_conn().await?;
    let mut ids = Vec::with_capacity(events.len());
    for event in events {
        let id = event["id"].as_str().map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let values = params! {
            "id" => &id,
            "type" => event["type"].as_str(),
            "source" => event["source"].as_str(),
            "user_id" => event["user_id"].as_str(),
            "processed_data" => json!({"data": event["data"], "timestamp": event["timestamp"]}).to_string(),
        };
        conn.exec_drop(INSERT, values).await?;
        ids.push(id);
    }
    Ok(ids)
}
