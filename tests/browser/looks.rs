//! Light and dark, large and small.

use serde_json::json;

use super::{Load, driver::Browser, kit::server::Server};

/// The lightness of the ground, from 0 to 255.
const GROUND: &str = "return parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])";

#[test]
fn it_is_light_or_dark_as_wanted_and_fits_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&[("ack", "durable")]);
    let _load = Load::start(&server, 3000);
    let ground = || browser.script(GROUND).as_u64().unwrap();
    browser.screen(1400, 1250, "light");
    browser.open(&format!("http://{}/", server.address()));
    browser.until("the tail", "return document.querySelectorAll('#tail button').length >= 40");
    browser.until("a curve", "return document.querySelector('#chart .curve').getAttribute('d')?.startsWith('M')");
    if std::env::var("TEST_SCREENSHOTS").is_ok() {
        // A curve to look at takes its time.
        browser.until("a long curve", "return document.querySelector('#chart .curve').getAttribute('d').length > 300");
    }
    assert!(ground() > 200, "light where the system is");
    browser.picture("light");
    browser.screen(1400, 1250, "dark");
    assert!(ground() < 50, "dark where the system is");
    browser.picture("dark");

    let press = "document.getElementById('theme').click()";
    browser.script(press);
    assert_eq!((browser.text("theme").as_str(), ground() > 200), ("Theme: light", true));
    browser.open(&format!("http://{}/", server.address()));
    assert_eq!((browser.text("theme").as_str(), ground() > 200), ("Theme: light", true), "kept");
    // A page alone needs two messages to draw a line.
    browser.until("the first message", "return document.getElementById('uptime').textContent !== '–'");
    let curve = browser.script("return document.querySelector('#chart .curve').getAttribute('d')");
    assert!(curve.as_str().unwrap().starts_with('M'), "what was drawn before is still there");
    browser.script(press);
    assert_eq!((browser.text("theme").as_str(), ground() < 50), ("Theme: dark", true));
    browser.script(press);
    assert_eq!(browser.text("theme"), "Theme: auto");

    browser.until("the tail", "return document.querySelectorAll('#tail button').length >= 40");
    for width in [320, 360, 768, 1100] {
        browser.screen(width, 780, "light");
        browser.script("scrollTo(0, 0)");
        let overflow = browser.script(
            "const width = document.documentElement.clientWidth;
             return [...document.querySelectorAll('body *')]
               .filter((element) => !element.closest('#tail, #chart, .skip') && element.getBoundingClientRect().right > width + 0.5)
               .map((element) => element.outerHTML.slice(0, 80))",
        );
        assert_eq!(overflow, json!([]), "beyond {width}");
        assert_eq!(
            browser.script("return document.scrollingElement.scrollWidth <= innerWidth"),
            json!(true),
            "at {width} it scrolls sideways"
        );
        browser.picture(&format!("wide-{width}"));
        if width < 400 {
            for (part, id) in ["chart-title", "tail-title", "sample-title"].iter().enumerate() {
                browser
                    .script(&format!("document.getElementById('{id}').parentElement.parentElement.scrollIntoView()"));
                browser.picture(&format!("wide-{width}-{part}"));
            }
        }
    }
}
