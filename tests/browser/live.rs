//! What is shown while events come.

use serde_json::json;

use super::{Load, driver::Browser, kit::server::Server};

/// Points of the curve of received events.
const POINTS: &str =
    "return (document.querySelector('#chart .curve.received').getAttribute('d') ?? '').split('L').length";

/// Notes what else is moved when a figure or a line is written.
const WATCH_WHAT_MOVES: &str = "window.moved = [];
    const fixed = 'section, header, form, dl, dt, table, th, label, button:not(#tail *), h1, h2, h3, #verdict, #answer';
    new PerformanceObserver((list) => {
        const nodes = list.getEntries().flatMap(({sources}) => sources.map(({node}) => node));
        moved.push(...nodes.filter((node) => node?.matches?.(fixed)).map((node) => node.outerHTML.slice(0, 100)));
    }).observe({type: 'layout-shift', buffered: true});";

#[test]
fn figures_chart_and_tail_move_and_nothing_else_is_asked_for() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&[("shards", "3"), ("ack", "durable")]);
    let origin = format!("http://{}", server.address());
    let load = Load::start(&server, 2000);
    browser.screen(1400, 1250, "light");
    browser.open(&format!("{origin}/"));
    browser.script(WATCH_WHAT_MOVES);
    browser.until("the stream", "return document.getElementById('connection').textContent === 'Live'");
    let rate = "parseFloat(document.getElementById('received-rate').textContent.replace(',', ''))";
    browser.until("the rate of the load", &format!("return {rate} > 500 && {rate} < 4000"));
    for id in ["stored-total", "stored-rate", "ack-p99", "storing-p99", "journal-bytes", "journal-syncs"] {
        let before = browser.text(id);
        assert!(before.starts_with(|digit: char| digit.is_ascii_digit()), "{id}: {before}");
    }
    let total = browser.text("stored-total");
    browser.until("more events", &format!("return document.getElementById('stored-total').textContent !== '{total}'"));
    browser.until("a curve", &format!("{POINTS} >= 3"));
    assert_eq!(browser.script("return document.querySelectorAll('#shards tbody tr').length"), json!(3));
    assert_eq!(browser.script("return document.querySelectorAll('#latency td').length"), json!(10));
    browser.until("the tail", "return document.querySelectorAll('#tail button').length >= 20");
    assert!(browser.text("verdict-said").contains("All is well"), "{}", browser.text("verdict-said"));

    // A tail that is paused stands still while all else goes on.
    browser.script("document.getElementById('tail-pause').click()");
    let first = "document.querySelector('#tail button').textContent";
    let (still, total) = (browser.script(&format!("return {first}")), browser.text("stored-total"));
    browser.until("more events", &format!("return document.getElementById('stored-total').textContent !== '{total}'"));
    assert_eq!(browser.script(&format!("return {first}")), still);
    assert_eq!(browser.text("tail-pause"), "Resume");

    // One user's events among all others.
    browser.script(
        "const user = document.getElementById('tail-user');
         user.value = 'the one';
         user.dispatchEvent(new Event('input'));",
    );
    browser.until("the filtered tail", "return document.getElementById('tail-state').textContent === 'live'");
    let event = r#"{"type":"system_log","source":"system","user_id":"the one","data":{"n":9007199254740993}}"#;
    assert_eq!(server.post("/events", event).status, 202);
    browser.until("that event", "return document.querySelectorAll('#tail button').length === 1");
    let line = browser.script(&format!("return {first}"));
    let line = line.as_str().unwrap();
    assert!(line.contains("the one") && line.contains("9007199254740993"), "{line}");

    assert_eq!(browser.script("return moved"), json!([]), "what has its place keeps it");
    // So it was while only some of the page had come.
    let widths = "const main = document.getElementById('main');
        const widths = [true, false].map((hidden) => { main.hidden = hidden; return document.body.clientWidth; });
        return widths[1] - widths[0];";
    assert_eq!(browser.script(widths), json!(0), "a scrollbar takes no room from what is there");
    browser.assert_quiet(&origin);
    drop(load);
}

#[test]
fn hostile_events_are_text_and_a_store_that_is_away_is_said() {
    use event_pipeline::storage::dead_letters::{self, DeadLetter, DeadLetters};

    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&[("store", "mysql://nobody:nothing@127.0.0.1:1/eventdb"), ("ack", "durable")]);
    let origin = format!("http://{}", server.address());
    let hostile = "<img src=x onerror=alert(1)>";
    browser.screen(1400, 1250, "light");
    browser.open(&format!("{origin}/"));
    browser.until("the tail", "return document.getElementById('tail-state').textContent === 'live'");
    let mut client = server.client();
    for (n, kind) in ["user_action", "sensor_data", "system_log"].iter().cycle().take(12).enumerate() {
        let event = json!({"type": kind, "source": "web", "user_id": hostile, "data": {
            hostile: hostile, "__proto__": {"n": n}, "</script>": "<script>alert(2)</script>", "b": "\u{202e}desrever",
        }});
        assert_eq!(client.post("/events", &event.to_string()).status, 202);
    }
    let letters: Vec<DeadLetter> = (1..=25)
        .map(|number| {
            let letter = json!({
                "id": uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number),
                "receipt": format!("{number:032x}"),
                "reason": "store_refused",
                "code": if number % 2 == 0 { "1406" } else { hostile },
                "detail": format!("Data too long for column 'user_id' at row {number}: {hostile}"),
                "attempts": 1,
                "failed_at": "2025-11-14T12:13:22.000003Z",
                "received_at": "2025-11-14T12:13:21.000002Z",
                "occurred_at": "2025-11-14T12:13:20.000001Z",
                "event": {"type": "sensor_data", "source": "iot_device", "user_id": hostile, "data": {}},
            });
            serde_json::from_str(&letter.to_string()).unwrap()
        })
        .collect();
    let file = server.data_dir.path().join("data").join(dead_letters::FILE);
    DeadLetters::open(&file).unwrap().append(&letters).unwrap();

    browser.until("the lines", "return document.querySelectorAll('#tail button').length === 12");
    browser.until("the letters", "return document.querySelectorAll('#letters li').length === 20");
    assert!(browser.text("letters").starts_with("14 Nov"), "{}", browser.text("letters"));
    assert!(browser.text("letters").contains(hostile) && browser.text("letters").contains("at row 25"));
    assert!(!browser.text("letters").contains("at row 5:"), "the newest only");
    assert!(browser.text("tail").contains(hostile));
    browser.script("document.querySelectorAll('#tail button').forEach((line) => line.click())");
    assert!(browser.script("return document.querySelectorAll('#tail pre').length").as_u64().unwrap() == 12);
    browser.until("the store to be away", "return document.getElementById('store-state').textContent === 'away'");
    assert!(browser.text("verdict-said").contains("The store is away"), "{}", browser.text("verdict-said"));
    browser.until("the error", "return document.getElementById('store-error').textContent.includes('127.0.0.1:1')");
    browser.script("document.querySelectorAll('#tail button').forEach((line) => line.click()); scrollTo(0, 0)");
    assert_eq!(browser.script("return document.querySelectorAll('img, script').length"), json!(1), "its own script");
    browser.picture("store-away");
    browser.assert_quiet(&origin);
}
