//! The metrics as Prometheus itself sees them, and the alerts of `deploy/`.
//!
//! Where `prometheus` and `promtool` are missing, these tests say so and pass; with
//! `TEST_REQUIRE_PROMETHEUS=1` they fail.

use std::{
    env, fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::kit::{server::Server, until};

const GOOD: &str = r#"{"type":"user_action","source":"web","user_id":"u","data":{}}"#;
/// A store that is not there.
const AWAY: (&str, &str) = ("store", "mysql://nobody:nothing@127.0.0.1:1/eventdb");

fn deploy(file: &str) -> String {
    format!("{}/deploy/prometheus/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// Whether the calling test can run.
fn has_prometheus() -> bool {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let both = is_there("prometheus") && is_there("promtool");
    if !both {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        assert!(
            env::var("TEST_REQUIRE_PROMETHEUS").as_deref() != Ok("1"),
            "{test} must run, but there is no Prometheus"
        );
        // Heard also when the test passes.
        std::io::stderr().write_all(format!("LEFT OUT: {test}: no Prometheus\n").as_bytes()).unwrap();
    }
    both
}

/// Runs `promtool` with this on its standard input; what it said, where it is content.
fn promtool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that does not read it has ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// A Prometheus of its own, with the alerts of `deploy/`; ended when dropped.
struct Prometheus {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Prometheus {
    /// One that scrapes `server` as it is, five times a second, and has no patience with alerts.
    fn scraping(server: &Server) -> Self {
        let dir = TempDir::new().unwrap();
        let path = |file: &str| dir.path().join(file).display().to_string();
        let alerts = fs::read_to_string(deploy("alerts.yml")).unwrap();
        fs::write(path("alerts.yml"), alerts.replace("for: 1m", "for: 1s")).unwrap();
        let configuration = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [alerts.yml]\n\
             scrape_configs:\n  - job_name: event-pipeline\n    static_configs: [{{targets: ['{}']}}]\n",
            server.address()
        );
        fs::write(path("prometheus.yml"), configuration).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path("prometheus.yml")));
        command.arg(format!("--storage.tsdb.path={}", path("data")));
        command.arg(format!("--web.listen-address={address}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, url: format!("http://{address}"), _dir: dir }
    }

    /// Waits until an expression has a sample whose line contains this.
    fn until(&self, expression: &str, contains: &str) {
        until(&format!("{expression} to have {contains}"), || {
            promtool(&["query", "instant", &self.url, expression], "").is_ok_and(|said| said.contains(contains))
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    if !has_prometheus() {
        return;
    }
    // With something in every family: an event that is stored, a store that fails, a letter.
    for settings in [vec![("shards", "2")], vec![AWAY, ("ack", "queued")]] {
        let server = Server::start(&settings);
        assert!(server.post("/events", GOOD).status < 300);
        if settings.contains(&AWAY) {
            until("a retry", || server.get("/metrics/prometheus").text().contains("store_retries_total{"));
        }
        let text = server.get("/metrics/prometheus").text();
        assert_eq!(promtool(&["check", "metrics"], &text), Ok(String::new()), "{text}");
    }
}

#[test]
fn a_stock_prometheus_scrapes_and_tells_of_an_outage() {
    if !has_prometheus() {
        return;
    }
    let server = Server::start(&[AWAY, ("ack", "durable")]);
    assert_eq!(server.post("/events", GOOD).status, 202);
    let prometheus = Prometheus::scraping(&server);
    prometheus.until("event_pipeline_events_received_total", "=> 1 @");
    prometheus.until("event_pipeline_current_queue_depth", "=> 1 @");
    prometheus.until("event_pipeline_acknowledgement_seconds_count", "=> 1 @");
    prometheus.until(r#"ALERTS{alertstate="firing"}"#, "EventPipelineStoreDown");
    drop(server);
    prometheus.until(r#"ALERTS{alertstate="firing"}"#, "EventPipelineDown");
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    if has_prometheus() {
        promtool(&["check", "rules", &deploy("alerts.yml")], "").unwrap_or_else(|said| panic!("{said}"));
        promtool(&["test", "rules", &deploy("alerts_test.yml")], "").unwrap_or_else(|said| panic!("{said}"));
    }
}

#[test]
fn alerts_and_the_dashboard_speak_of_metrics_that_there_are() {
    let server = Server::start(&[]);
    assert_eq!(server.post("/events", GOOD).status, 200);
    let mut exposed = server.get("/metrics/prometheus").text();
    // Families that are empty here.
    exposed.push_str("event_pipeline_dead_letters event_pipeline_store_retries_total");
    let dashboard = format!("{}/deploy/grafana/dashboard.json", env!("CARGO_MANIFEST_DIR"));
    let dashboard = fs::read_to_string(dashboard).unwrap();
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    for text in [fs::read_to_string(deploy("alerts.yml")).unwrap(), dashboard] {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let ours = |word: &&str| word.starts_with("event_pipeline_") || word.starts_with("process_");
        let names = text.split(|letter| !is_part(letter)).filter(ours);
        for name in names {
            let is_there = exposed.split(|letter| !is_part(letter)).any(|exposed| exposed == name);
            assert!(is_there, "{name} is no metric of ours");
        }
    }
}

#[test]
fn the_process_shows_itself_under_the_usual_names() {
    let server = Server::start(&[]);
    let value = |name: &str| -> f64 {
        let text = server.get("/metrics/prometheus").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let started = value("process_start_time_seconds");
    assert!((now - 60.0..now + 2.0).contains(&started), "{started} is not just before {now}");
    let (resident, addresses) = (value("process_resident_memory_bytes"), value("process_virtual_memory_bytes"));
    assert!(1e6 < resident && resident < addresses, "{resident} of {addresses}");
    // Listener, shards, ingest threads, store and more.
    assert!(value("process_threads") >= 8.0);
    let descriptors = value("process_open_fds");
    assert!(0.0 < descriptors && descriptors < value("process_max_fds"), "{descriptors}");
    // The scrapes' own connections are closed some time after them.
    let connections: Vec<_> = (0..64).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    until("the connections to count", || value("process_open_fds") >= descriptors + connections.len() as f64 / 2.0);
    let used = value("process_cpu_seconds_total");
    until("time to be used", || server.post("/events", GOOD).status < 300 && value("process_cpu_seconds_total") > used);
}
