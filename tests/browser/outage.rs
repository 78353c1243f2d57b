//! When the service goes, and comes back.

use std::sync::Arc;

use serde_json::json;

use super::{driver::Browser, kit::server::Server};

const LIVE: &str = "return document.getElementById('connection').textContent === 'Live'";
const LOST: &str = "return document.getElementById('verdict-said').textContent.includes('is lost')
    && document.body.classList.contains('stale') && !document.getElementById('try-now').hidden";

#[test]
fn a_lost_connection_is_said_and_found_again() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&[]);
    let (address, data_dir) = (server.address().to_string(), Arc::clone(&server.data_dir));
    browser.screen(1400, 1250, "light");
    browser.open(&format!("http://{address}/"));
    browser.until("the stream", LIVE);
    browser.until("its figures", "return document.getElementById('received-total').textContent === '0'");
    browser.script("window.isSame = true");

    // A service that hangs closes nothing.
    server.signal("STOP");
    browser.until("the silence to be noticed", LOST);
    server.signal("CONT");
    browser.until("the stream", LIVE);
    assert_eq!(browser.script("return document.body.classList.contains('stale')"), json!(false));

    drop(server);
    browser.until("the loss to be noticed", LOST);
    assert!(browser.script("return document.title").as_str().unwrap().contains("Offline"));
    browser.picture("disconnected");
    let server = Server::start_in(data_dir, &[("listen", &address)]);
    browser.until("the stream", LIVE);
    assert_eq!(browser.script("return isSame"), json!(true), "without a new page");
    browser.until("the tail", "return document.getElementById('tail-state').textContent === 'live'");
    assert_eq!(server.post("/events", r#"{"type":"user_action","source":"web","data":{}}"#).status, 200);
    browser.until("an event", "return document.querySelectorAll('#tail button').length === 1");
    browser.until("its count", "return document.getElementById('stored-total').textContent === '1'");
}
