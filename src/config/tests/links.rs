//! Variables that Kubernetes sets by itself, and what only looks like them.

use super::load;
use crate::config::Settings;

#[test]
fn the_links_that_kubernetes_sets_are_passed_over() {
    for name in ["EVENT_PIPELINE", "EVENT_PIPELINE_METRICS", "EVENT_PIPELINE_STORE"] {
        let link = |suffix: &str| format!("{name}_{suffix}");
        let links = [
            (link("SERVICE_HOST"), "10.0.0.7"),
            (link("SERVICE_PORT"), "8080"),
            (link("SERVICE_PORT_HTTP"), "8080"),
            (link("PORT"), "tcp://10.0.0.7:8080"),
            (link("PORT_8080_TCP"), "tcp://10.0.0.7:8080"),
            (link("PORT_8080_TCP_PROTO"), "tcp"),
            (link("PORT_8080_TCP_PORT"), "8080"),
            (link("PORT_8080_TCP_ADDR"), "10.0.0.7"),
            (link("PORT_53_UDP"), "udp://10.0.0.7:53"),
        ];
        let links = links.each_ref().map(|(name, value)| (name.as_str(), *value));
        assert_eq!(load(&[], &links, None).unwrap(), Settings::default());
    }
}

#[test]
fn settings_are_read_beside_such_links() {
    let environment = [("EVENT_PIPELINE_SERVICE_HOST", "10.0.0.7"), ("EVENT_PIPELINE_SHARDS", "2")];
    assert_eq!(load(&[], &environment, None).unwrap().pipeline.shards, 2);
}

#[test]
fn what_only_looks_like_such_a_link_is_an_error() {
    for (name, value) in [
        ("EVENT_PIPELINE_PORT", "9000"),
        ("EVENT_PIPELINE_HOST", "10.0.0.7"),
        ("EVENT_PIPELINE_PORT_TCP", "tcp://10.0.0.7:8080"),
        ("EVENT_PIPELINE_PORT_8080", "8080"),
        ("EVENT_PIPELINE_PORT_8080_HTTP", "8080"),
        ("EVENT_PIPELINE_PORT_8080_TCP_HOST", "8080"),
        ("EVENT_PIPELINE_SUPPORT_8080_TCP", "8080"),
    ] {
        let said = load(&[], &[(name, value)], None).unwrap_err().to_string();
        assert!(said.starts_with(&format!("unknown variable {name}:")), "{said}");
    }
}
