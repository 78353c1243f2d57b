//! What operators and their tools ask: metrics, health, liveness, readiness.

use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::{
    answer::{self, Answer},
    code::RequestCode,
    context::IngestThread,
    exposition::{self, Format},
    problem::Problem,
};
use crate::pipeline::JournalHealth;

/// Grades of the health format (draft-inadarei-api-health-check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// All is well.
    Pass,
    /// It works, and somebody should look.
    Warn,
    /// No event can be accepted.
    Fail,
}

/// `GET /metrics`: everything counted, as JSON, or as Prometheus asks for it.
pub(super) fn metrics(thread: &IngestThread, headers: &HeaderMap) -> Answer {
    let mut response = match Format::asked_for(headers) {
        Format::Json => answer::value(StatusCode::OK, &thread.pipeline().metrics()),
        format => exposed(thread, format),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT));
    response
}

/// `GET /metrics/prometheus`: the same for those who cannot ask.
pub(super) fn metrics_for_prometheus(thread: &IngestThread, headers: &HeaderMap) -> Answer {
    exposed(thread, if Format::asked_for(headers) == Format::OpenMetrics { Format::OpenMetrics } else { Format::Text })
}

fn exposed(thread: &IngestThread, format: Format) -> Answer {
    let mut response = answer::json(StatusCode::OK, exposition::write(thread.pipeline(), format));
    response.headers_mut().insert(CONTENT_TYPE, format.media_type());
    response
}

/// `GET /livez`: the process runs.
pub(super) fn live() -> Answer {
    answer::json(StatusCode::OK, r#"{"status":"alive"}"#)
}

/// `GET /readyz`: events can be accepted.
pub(super) fn ready(thread: &IngestThread) -> Result<Answer, Problem> {
    let retry_after_s = thread.pipeline().retry_after_s();
    if thread.is_draining() {
        return Err(Problem::unavailable(RequestCode::Draining, "the service is shutting down", retry_after_s));
    }
    if !thread.pipeline().journal_health().accepting {
        return Err(Problem::unavailable(
            RequestCode::JournalFull,
            "the journal has no room for more events",
            retry_after_s,
        ));
    }
    if !thread.pipeline().can_accept() {
        return Err(Problem::unavailable(RequestCode::Overloaded, "no shard has room for more events", retry_after_s));
    }
    Ok(answer::json(StatusCode::OK, r#"{"status":"ready"}"#))
}

/// `GET /openapi.json`: what can be asked, and what is answered.
pub(super) fn openapi(thread: &IngestThread) -> Answer {
    let mut response = answer::json(StatusCode::OK, thread.openapi());
    // The next start may have other limits.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The state of the service; as JSON, the answer of `GET /health`.
#[derive(Serialize, JsonSchema)]
#[schemars(description = "How the service is.")]
pub(super) struct Health {
    /// The worst of the checks.
    status: Grade,
    /// Of the service.
    version: &'static str,
    checks: Checks,
}

/// How its parts are, each in a list of one.
#[derive(Serialize, JsonSchema)]
struct Checks {
    journal: [JournalCheck; 1],
    store: [StoreCheck; 1],
    shards: [ShardsCheck; 1],
}

/// `warn` while the store is not known to be there; events wait in the journal then.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StoreCheck {
    status: Grade,
    component_type: &'static str,
    #[schemars(extend("enum" = ["starting", "up", "down"]))]
    state: &'static str,
    /// For how long, in seconds.
    state_seconds: u64,
    /// What the store said last, while it is down; never with a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    output: Option<String>,
}

/// `warn` where it was damaged, `fail` while it has no room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JournalCheck {
    status: Grade,
    component_type: &'static str,
    /// It has room for more events.
    accepting: bool,
    /// How long the oldest event has waited that is not stored, in seconds.
    oldest_unstored_seconds: f64,
    /// What was found damaged, and where to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    output: Option<String>,
}

/// `fail` while no event can be accepted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShardsCheck {
    status: Grade,
    component_type: &'static str,
    /// Shard workers that run.
    workers: usize,
    /// How many there should be.
    shards: usize,
    /// A shard has room for more events, and the service is not shutting down.
    accepting: bool,
}

/// The schemas of what is answered here.
pub(super) fn schemas(generator: &mut SchemaGenerator) {
    generator.subschema_for::<Health>();
}

/// `GET /health`.
pub(super) fn health(thread: &IngestThread) -> Answer {
    let health = health_now(thread);
    let code = if health.status == Grade::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut response = answer::value(code, &health);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/health+json"));
    response
}

/// Pass; warn while the store is away and events still find room, or where the journal was damaged; or fail.
pub(super) fn health_now(thread: &IngestThread) -> Health {
    let pipeline = thread.pipeline();
    let store = pipeline.store_health();
    let (workers, shards) = pipeline.workers();
    let accepting = pipeline.can_accept() && !thread.is_draining();
    let store = StoreCheck {
        status: if store.up { Grade::Pass } else { Grade::Warn },
        component_type: "datastore",
        state: store.state,
        state_seconds: store.since.as_secs(),
        output: store.error,
    };
    let journal = pipeline.journal_health();
    let journal = JournalCheck {
        status: match journal {
            JournalHealth { accepting: false, .. } => Grade::Fail,
            JournalHealth { damaged: 0, .. } => Grade::Pass,
            JournalHealth { .. } => Grade::Warn,
        },
        component_type: "datastore",
        accepting: journal.accepting,
        oldest_unstored_seconds: journal.oldest_unstored.as_secs_f64(),
        output: (journal.damaged > 0).then(|| {
            format!("{} places in the journal were damaged; look for *.corrupt in its directory", journal.damaged)
        }),
    };
    let shards = ShardsCheck {
        status: if workers == shards && accepting { Grade::Pass } else { Grade::Fail },
        component_type: "component",
        workers,
        shards,
        accepting,
    };
    let status = store.status.max(shards.status).max(journal.status);
    let checks = Checks { journal: [journal], store: [store], shards: [shards] };
    Health { status, version: env!("CARGO_PKG_VERSION"), checks }
}
