//! Which pages may post from a browser (the Fetch standard's CORS protocol).

use hyper::{
    HeaderMap,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
        VARY,
    },
};

/// Adds to an answer what lets the page at the request's `Origin` read it, where it is one of
/// `allowed` (`*` for any).
pub(super) fn allow(allowed: &[String], request: &HeaderMap, answer: &mut HeaderMap) {
    if allowed.is_empty() {
        return;
    }
    // What is answered depends on the origin: caches must tell origins apart.
    answer.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(ORIGIN) else { return };
    let any = allowed.iter().any(|name| name == "*");
    if any {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if allowed.iter().any(|name| name.as_bytes() == origin.as_bytes()) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    } else {
        return;
    }
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    if request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
        let headers = HeaderValue::from_static("Content-Type, Idempotency-Key, Prefer");
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_for(allowed: &[&str], origin: &'static str) -> Option<String> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let request = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let mut answer = HeaderMap::new();
        allow(&allowed, &request, &mut answer);
        Some(answer.get(ACCESS_CONTROL_ALLOW_ORIGIN)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_named_origins_are_allowed() {
        assert_eq!(allowed_for(&[], "https://a.example"), None);
        assert_eq!(allowed_for(&["https://a.example"], "https://b.example"), None);
        assert_eq!(allowed_for(&["https://a.example"], "https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(allowed_for(&["*"], "https://a.example").as_deref(), Some("*"));
    }
}
