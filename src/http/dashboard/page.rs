//! `GET /`: the dashboard, one page that asks for nothing but what this service gives.
//!
//! It is put together out of the files in `page/`. The policy that it is served with names its script and its
//! style by their hashes: nothing else runs or applies, no other host is asked, and no other page shows it in a
//! frame. What comes from events can be written into it as text only; the browser refuses the rest.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use sha2::{Digest as _, Sha256};

use super::super::answer::{Answer, Body};

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
/// In one scope of their own, so that they share names and the page's window gets none.
const SCRIPT: &str = concat!(
    "'use strict';\n{\n",
    include_str!("page/format.js"),
    include_str!("page/chart.js"),
    include_str!("page/figures.js"),
    include_str!("page/tail.js"),
    include_str!("page/sample.js"),
    include_str!("page/connection.js"),
    "}\n"
);

/// The page as it is sent.
struct Page {
    html: String,
    policy: HeaderValue,
    tag: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let html = HTML.replacen("<style></style>", &format!("<style>{STYLE}</style>"), 1).replacen(
        "<script></script>",
        &format!("<script>{SCRIPT}</script>"),
        1,
    );
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let tag = format!("\"{}\"", hash(&html));
    let header = |text: String| HeaderValue::try_from(text).expect("it is made of letters, digits and punctuation");
    Page { html, policy: header(policy), tag: header(tag) }
});

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// The page, or 304 to whoever has it already.
pub(in crate::http) fn page(asked: &HeaderMap) -> Answer {
    let page = &*PAGE;
    let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &page.tag));
    let (status, body) = match is_known {
        true => (StatusCode::NOT_MODIFIED, Bytes::new()),
        false => (StatusCode::OK, Bytes::from_static(page.html.as_bytes())),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // It is asked for each time, so that a page and its service are of one version.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, page.tag.clone());
    response
}

/// Whether a list of tags has this one. A proxy may have called it weak; here that is as good.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let tags = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|known| known.strip_prefix(b"W/").unwrap_or(known)).any(|known| known == b"*" || known == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_writes_text_only() {
        for way in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "srcdoc"] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
    }

    #[test]
    fn style_and_script_are_where_their_hashes_say() {
        // Else the policy would name a text that the browser sees otherwise.
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--") && !text.contains('\r'));
        }
        assert_eq!(PAGE.html.len(), HTML.len() + STYLE.len() + SCRIPT.len());
    }

    #[test]
    fn a_list_names_a_tag_in_either_form() {
        let tag = HeaderValue::from_static("\"a\"");
        for (list, is_named) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(list), &tag), is_named, "{list}");
        }
    }
}
