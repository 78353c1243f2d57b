//! Where the figures come from: `GET /metrics` and `GET /health`, over one connection that is opened anew
//! where it broke.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::service::{Connection, URL, Url};

/// How long the answers to one asking may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// A figure that every service of ours sends.
const KNOWN_BY: &str = "events_received";

/// What a service said of itself at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The answer of `GET /metrics`.
    pub(super) metrics: Value,
    /// The answer of `GET /health`; null where it is no JSON.
    pub(super) health: Value,
}

/// A service that is asked again and again.
#[derive(Debug)]
pub(super) struct Source {
    url: Url,
    connection: Option<Connection>,
}

impl Source {
    pub(super) fn new(url: Url) -> Self {
        Self { url, connection: None }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Asks once.
    ///
    /// # Errors
    /// Where the service cannot be reached, or another program answers.
    pub(super) async fn sample(&mut self) -> anyhow::Result<Sample> {
        let url = self.url.as_str().to_owned();
        match timeout(PATIENCE, self.ask()).await {
            Ok(asked) => asked,
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs())),
        }
        .with_context(|| format!("cannot ask {url}; does the service run there? (flag --{URL})"))
    }

    async fn ask(&mut self) -> anyhow::Result<Sample> {
        // A service closes connections that are idle for long: only what happens to a new one is news.
        if let Some(connection) = self.connection.take()
            && let Ok(sample) = self.ask_over(connection).await
        {
            return Ok(sample);
        }
        let addresses = self.url.addresses().await?;
        self.ask_over(Connection::open(&addresses).await?).await
    }

    async fn ask_over(&mut self, mut connection: Connection) -> anyhow::Result<Sample> {
        let (head, body) = connection.get(&self.url, "/metrics").await?;
        let metrics: Value = serde_json::from_slice(body).unwrap_or_default();
        if head.status != 200 || !metrics[KNOWN_BY].is_number() {
            bail!("what answers there is no event-pipeline: GET /metrics gave {} without {KNOWN_BY}", head.status);
        }
        let at = Instant::now();
        let mut closes = head.closes;
        let mut health = Value::Null;
        if !closes {
            let (head, body) = connection.get(&self.url, "/health").await?;
            health = serde_json::from_slice(body).unwrap_or_default();
            closes = head.closes;
        }
        self.connection = (!closes).then_some(connection);
        Ok(Sample { at, metrics, health })
    }
}
