//! Which handler answers a request, and what every answer has in common.

use std::{panic::AssertUnwindSafe, rc::Rc};

use futures_util::future::FutureExt as _;
use hyper::{
    Method, Request,
    body::{Body as _, Incoming},
    header::{ALLOW, HeaderValue},
    http::request::Parts,
};

use super::{
    answer::{self, Answer},
    code::RequestCode,
    context::IngestThread,
    cors, dashboard, ingest, ops, pages,
    problem::Problem,
    progress::Progress,
    query, refusal,
    request_id::{self, REQUEST_ID},
    tail,
    terms::Terms,
};
use crate::event::Shape;

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    Events,
    Batch,
    Tail,
    Event(&'a str),
    Metrics,
    Prometheus,
    Health,
    Live,
    Ready,
    OpenApi,
    Page,
    Dashboard,
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/events" => Self::Events,
            "/events/batch" => Self::Batch,
            "/events/tail" => Self::Tail,
            "/metrics" => Self::Metrics,
            "/metrics/prometheus" => Self::Prometheus,
            "/health" => Self::Health,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/openapi.json" => Self::OpenApi,
            "/" => Self::Page,
            "/dashboard/stream" => Self::Dashboard,
            _ => match path.strip_prefix("/events/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Self::Event(id),
                _ => return None,
            },
        })
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Events => "GET, HEAD, POST, OPTIONS",
            Self::Batch => "POST, OPTIONS",
            Self::Tail
            | Self::Event(_)
            | Self::Metrics
            | Self::Prometheus
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::OpenApi
            | Self::Page
            | Self::Dashboard => "GET, HEAD, OPTIONS",
        }
    }
}

/// Answers a request, whatever it is.
pub(super) async fn answer(thread: &Rc<IngestThread>, progress: &Rc<Progress>, request: Request<Incoming>) -> Answer {
    let (mut head, body) = request.into_parts();
    let terms = progress.terms();
    let page = cors::Page::of(&terms.options.cors_origins, &head.headers);
    let request_id = request_id::given(&head.headers);
    let handled = AssertUnwindSafe(handle(thread, progress, &terms, &mut head, body)).catch_unwind().await;
    let mut response = match handled {
        Ok(Ok(mut response)) => {
            if let Some(id) = request_id {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response
        }
        Ok(Err(problem)) => refusal::answer(problem, request_id, &head),
        Err(panic) => refusal::panicked(panic.as_ref(), request_id, &head),
    };
    if let Some(page) = page {
        page.allow(response.headers_mut());
    }
    response
}

async fn handle(
    thread: &Rc<IngestThread>,
    progress: &Rc<Progress>,
    terms: &Terms,
    head: &mut Parts,
    body: Incoming,
) -> Result<Answer, Problem> {
    let path = head.uri.path();
    let resource = Resource::of(path).ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    let allow = resource.allow();
    match (&head.method, resource) {
        (&Method::OPTIONS, _) => {
            let mut response = answer::no_content();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            Ok(response)
        }
        (&Method::POST, Resource::Events) => ingest::post(thread, progress, terms, head, body, Shape::Single).await,
        (&Method::POST, Resource::Batch) => {
            let shape = Shape::Batch { events_max: terms.options.max_batch_events };
            ingest::post(thread, progress, terms, head, body, shape).await
        }
        (&Method::GET | &Method::HEAD, resource) if resource != Resource::Batch => {
            if !body.is_end_stream() {
                let detail = "a GET or HEAD request has no body";
                return Err(Problem::bad_request(RequestCode::InvalidParameter, detail).close());
            }
            progress.body_read();
            match resource {
                Resource::Events => pages::events(thread, head.uri.query()).await,
                Resource::Tail => tail::tail(thread, progress, head.uri.query()),
                Resource::Event(id) => query::event(thread.pipeline(), id).await,
                Resource::Metrics => Ok(ops::metrics(thread, &head.headers)),
                Resource::Prometheus => Ok(ops::metrics_for_prometheus(thread, &head.headers)),
                Resource::Health => Ok(ops::health(thread)),
                Resource::Live => Ok(ops::live()),
                Resource::Ready => ops::ready(thread),
                Resource::OpenApi => Ok(ops::openapi(thread)),
                Resource::Page => Ok(dashboard::page(&head.headers)),
                Resource::Dashboard => dashboard::stream(thread, progress),
                Resource::Batch => Err(Problem::method_not_allowed(allow)),
            }
        }
        _ => Err(Problem::method_not_allowed(allow)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::{Options, openapi};

    #[test]
    fn paths_are_compared_whole() {
        assert_eq!(Resource::of("/events"), Some(Resource::Events));
        assert_eq!(Resource::of("/events/batch"), Some(Resource::Batch));
        assert_eq!(Resource::of("/events/x"), Some(Resource::Event("x")));
        assert_eq!(Resource::of("/events/tail"), Some(Resource::Tail));
        assert_eq!(Resource::of("/"), Some(Resource::Page));
        for unknown in ["", "/dashboard", "/events/", "/events/x/y", "/Events", "/metricsx", "*"] {
            assert_eq!(Resource::of(unknown), None, "{unknown}");
        }
    }

    /// The paths that this file knows, as its own text has them.
    fn paths() -> BTreeSet<String> {
        let arms = include_str!("route.rs").lines().filter_map(|line| line.trim().split_once(" => Self::"));
        let whole = arms.filter_map(|(path, _)| path.strip_prefix('"')?.strip_suffix('"')).map(str::to_owned);
        whole.chain(["/events/{id}".to_owned()]).collect()
    }

    #[test]
    fn every_route_is_in_the_openapi_document_and_every_path_of_that_is_a_route() {
        let document = openapi::document(&Options::default());
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let documented = document["paths"].as_object().unwrap();
        assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), paths());
        for (path, operations) in documented {
            let path = path.replace("{id}", "x");
            let resource = Resource::of(&path).unwrap();
            let mut methods: Vec<_> = operations.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
            // OpenAPI has no need to say that HEAD works where GET does.
            methods.extend(methods.contains(&"GET".to_owned()).then(|| "HEAD".to_owned()));
            methods.push("OPTIONS".to_owned());
            let allowed: BTreeSet<_> = resource.allow().split(", ").map(str::to_owned).collect();
            assert_eq!(methods.into_iter().collect::<BTreeSet<_>>(), allowed, "{path}");
        }
    }
}
