//! The dashboard without a mouse.

use serde_json::json;

use super::{
    driver::{Browser, key},
    kit::server::Server,
};

/// More than all stops of the page.
const STOPS_MAX: usize = 40;

/// The id of what has the focus.
fn focused(browser: &Browser) -> String {
    let id = browser.script("return document.activeElement.id || document.activeElement.className");
    id.as_str().unwrap().to_owned()
}

/// Presses the tab key until the element of that id has the focus, which has to be seen at every stop.
fn go_to(browser: &Browser, id: &str) -> Vec<String> {
    let mut stops = Vec::new();
    while stops.len() < STOPS_MAX {
        browser.press(key::TAB);
        stops.push(focused(browser));
        let is_seen = browser.script(
            "const style = getComputedStyle(document.activeElement);
             return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2",
        );
        assert_eq!(is_seen, json!(true), "the focus on {stops:?} cannot be seen");
        if stops.last().is_some_and(|stop| stop == id) {
            return stops;
        }
    }
    panic!("{id} is not among {stops:?}");
}

#[test]
fn an_event_is_sent_and_read_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&[("ack", "durable")]);
    browser.screen(1400, 1250, "dark");
    browser.open(&format!("http://{}/", server.address()));
    browser.until("the tail", "return document.getElementById('tail-state').textContent === 'live'");
    assert_eq!(server.post("/events", r#"{"type":"user_action","source":"web","data":{"n":1}}"#).status, 202);
    browser.until("a line", "return document.querySelectorAll('#tail button').length === 1");

    let stops = go_to(&browser, "chart");
    assert_eq!(stops[0], "skip", "the way around the top comes first: {stops:?}");
    browser.until("a sample", "return document.getElementById('chart-received').textContent !== '–'");
    browser.press(key::LEFT);
    let spoken = browser.script("return document.getElementById('chart').getAttribute('aria-valuetext')");
    assert!(spoken.as_str().unwrap().contains("received"), "{spoken}");

    // However many lines there are, they are one stop.
    go_to(&browser, "tail-clear");
    browser.press(key::TAB);
    browser.press(key::DOWN);
    browser.press(key::ENTER);
    assert_eq!(browser.script("return document.activeElement.getAttribute('aria-expanded')"), json!("true"));
    assert!(browser.text("tail").contains("\"n\": 1"), "{}", browser.text("tail"));

    go_to(&browser, "sample-type");
    browser.press("sens");
    go_to(&browser, "sample-user");
    browser.press_with(key::CONTROL, "a");
    browser.press("by keys");
    go_to(&browser, "sample-data");
    browser.press_with(key::CONTROL, "a");
    browser.press(r#"{"t":1.50}"#);
    go_to(&browser, "sample-send");
    browser.press(key::ENTER);
    browser.until("the answer", "return document.getElementById('answer').textContent.startsWith('202 Accepted')");
    let id = browser.script("return JSON.parse(document.querySelector('#answer pre').textContent).id");
    let event = server.get(&format!("/events/{}", id.as_str().unwrap())).json();
    assert_eq!(
        (&event["type"], &event["source"], &event["user_id"], &event["data"]),
        (&json!("sensor_data"), &json!("iot_device"), &json!("by keys"), &json!({"t": 1.5}))
    );
    assert_eq!(focused(&browser), "sample-send", "the focus stays where it was");
    go_to(&browser, "sample-look");
    browser.press(key::ENTER);
    browser.until(
        "where it is",
        "return /\"state\": \"(durable|stored)\"/.test(document.getElementById('answer').textContent)",
    );

    // What the service refuses is shown in its own words.
    browser.script("document.getElementById('sample-data').focus()");
    browser.press_with(key::CONTROL, "a");
    browser.press("{oops");
    browser.press_with(key::CONTROL, key::ENTER);
    browser.until("the refusal", "return document.getElementById('answer').textContent.includes('malformed_json')");
}
