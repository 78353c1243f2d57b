//! Which pages may post from a browser (the Fetch standard's CORS protocol).

use hyper::{
    HeaderMap,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
        VARY,
    },
};

/// What a request says of the page that sent it, where pages may post at all.
#[derive(Debug)]
pub(super) struct Page {
    /// What the answer allows; `None` where the page is none of those that may post.
    allowed: Option<HeaderValue>,
    /// It asks before it posts.
    is_preflight: bool,
}

impl Page {
    /// Looks for the request's `Origin` among those that are `allowed` (`*` for any); `None` where none is.
    pub(super) fn of(allowed: &[String], request: &HeaderMap) -> Option<Self> {
        if allowed.is_empty() {
            return None;
        }
        let origin = request.get(ORIGIN);
        let named = || origin.filter(|origin| allowed.iter().any(|name| name.as_bytes() == origin.as_bytes())).cloned();
        let any = allowed.iter().any(|name| name == "*");
        let allowed = if any { origin.map(|_| HeaderValue::from_static("*")) } else { named() };
        Some(Self { allowed, is_preflight: request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) })
    }

    /// Adds to an answer what lets the page read it.
    pub(super) fn allow(self, answer: &mut HeaderMap) {
        // What is answered depends on the origin: caches must tell origins apart.
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some(allowed) = self.allowed else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After, X-Request-Id"));
        if self.is_preflight {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
            let headers = "Content-Type, Idempotency-Key, Prefer, X-Request-Id, traceparent";
            let headers = HeaderValue::from_static(headers);
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_for(allowed: &[&str], origin: &'static str) -> Option<String> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let request = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let mut answer = HeaderMap::new();
        Page::of(&allowed, &request)?.allow(&mut answer);
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
