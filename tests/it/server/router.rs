//! Every status of the two endpoints, asked of the router without a socket.

use super::support::{MAP, PATIENCE, put_map, review};
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Frame;
use pullpass::http::webhook::Webhook;
use pullpass::http::{Handles, Limits};
use pullpass::observe::metrics::{ExpositionFormat, Metrics};
use pullpass::state::map_store::MapStore;
use pullpass_core::admission::Endpoint;
use pullpass_core::admission::{RuleLabel, Tally};
use pullpass_core::policy::Action;
use pullpass_core::policy::RuleKind;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower::ServiceExt;

fn webhook(change: impl FnOnce(&mut Limits)) -> (Webhook, Arc<MapStore>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
    put_map(&maps, MAP);
    let mut limits = Limits::default();
    change(&mut limits);
    let webhook = Webhook::new(
        Handles::new(Arc::clone(&maps), Arc::clone(&metrics)),
        limits,
    );
    (webhook, maps, metrics)
}

async fn ask(webhook: &Webhook, request: Request<Body>) -> Response {
    webhook.clone().router().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// Asks once and compares the status; the answer to anything but a review is one
/// line of plain text.
async fn expect_error(request: Request<Body>, status: u16) -> Response {
    let (webhook, ..) = webhook(|_| {});
    let response = ask(&webhook, request).await;
    assert_eq!(response.status().as_u16(), status);
    let (parts, body) = response.into_parts();
    assert!(
        parts.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let words = text(Response::new(body)).await;
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.len() > 10 && words.ends_with('\n'), "{words}");
    Response::from_parts(parts, Body::empty())
}

#[tokio::test]
async fn a_review_is_answered_as_json_with_its_uid() {
    let (webhook, ..) = webhook(|_| {});
    for path in [
        "/mutate",
        "/validate",
        "/mutate?timeout=10s",
        "/validate?timeout=rubbish",
    ] {
        let response = ask(&webhook, post(path, review("a-uid"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let answer: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(answer["response"]["uid"], "a-uid");
        assert_eq!(answer["response"]["allowed"], true);
    }
}

#[tokio::test]
async fn media_types_with_parameters_and_in_capitals_are_json_too() {
    let (webhook, ..) = webhook(|_| {});
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;a=b",
    ] {
        let mut request = post("/validate", review("u"));
        request
            .headers_mut()
            .insert("content-type", media_type.parse().unwrap());
        request
            .headers_mut()
            .insert("content-encoding", "identity".parse().unwrap());
        assert_eq!(
            ask(&webhook, request).await.status(),
            StatusCode::OK,
            "{media_type}"
        );
    }
}

#[tokio::test]
async fn other_methods_are_405_and_are_told_which_one_is_right() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let mut request = post("/mutate", review("u"));
        *request.method_mut() = method.parse().unwrap();
        let (webhook, ..) = webhook(|_| {});
        let response = ask(&webhook, request).await;
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn other_paths_are_404() {
    for path in [
        "/",
        "/mutate/",
        "/Mutate",
        "/mutate/x",
        "/healthz",
        "//mutate",
        "/metrics",
    ] {
        expect_error(post(path, review("u")), 404).await;
    }
}

#[tokio::test]
async fn other_media_types_are_415() {
    let none = Request::post("/mutate")
        .body(Body::from(review("u")))
        .unwrap();
    expect_error(none, 415).await;
    for media_type in [
        "text/plain",
        "application/yaml",
        "application/json+x",
        "application/jsonx",
        "",
    ] {
        let mut request = post("/mutate", review("u"));
        request
            .headers_mut()
            .insert("content-type", media_type.parse().unwrap());
        expect_error(request, 415).await;
    }
}

#[tokio::test]
async fn compressed_bodies_are_415() {
    for encoding in ["gzip", "br", "identity, gzip", "deflate"] {
        let mut request = post("/validate", review("u"));
        request
            .headers_mut()
            .insert("content-encoding", encoding.parse().unwrap());
        expect_error(request, 415).await;
    }
}

#[tokio::test]
async fn what_is_no_review_is_400() {
    let truncated = &review("u")[..100];
    let beta = review("u").replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let other_kind = review("u").replace("AdmissionReview", "ConversionReview");
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "\"x\"",
        truncated,
        &beta,
        &other_kind,
        &deep,
    ] {
        expect_error(post("/mutate", body.to_owned()), 400).await;
        expect_error(post("/validate", body.to_owned()), 400).await;
    }
    expect_error(post("/validate", &b"\xff\xfe{}"[..]), 400).await;
}

#[tokio::test]
async fn a_body_above_32_mib_is_413_whether_declared_or_counted() {
    expect_error(post("/mutate", vec![b' '; (32 << 20) + 1]), 413).await;
    let undeclared = Pieces {
        size: 1 << 20,
        left: 33,
    };
    let response = expect_error(post("/mutate", Body::new(undeclared)), 413).await;
    assert_eq!(response.headers()["connection"], "close");
}

#[tokio::test]
async fn a_body_of_just_32_mib_is_read() {
    let mut body = review("u");
    body.push_str(&" ".repeat((32 << 20) - body.len()));
    let (webhook, ..) = webhook(|_| {});
    let response = ask(&webhook, post("/mutate", body)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_within_the_reviews_own_timeout() {
    let (webhook, ..) = webhook(|_| {});
    let response = ask(&webhook, post("/mutate?timeout=30ms", Body::new(Silent))).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response.headers()["connection"], "close");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_within_our_own_timeout() {
    let (webhook, ..) = webhook(|limits| limits.body_timeout = Duration::from_millis(30));
    let response = ask(&webhook, post("/mutate?timeout=30s", Body::new(Silent))).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn without_a_map_it_is_503_and_the_api_server_is_asked_to_come_again() {
    let metrics = Arc::new(Metrics::default());
    let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
    let webhook = Webhook::new(Handles::new(Arc::clone(&maps), metrics), Limits::default());
    let response = ask(&webhook, post("/mutate", review("u"))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");

    put_map(&maps, MAP);
    let response = ask(&webhook, post("/mutate", review("u"))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// A review that takes much memory while it is decided, though it has few bytes.
fn heavy() -> String {
    let containers = format!(r#""containers":[{}"#, "{},".repeat(100_000));
    review("u").replace(r#""containers":["#, &containers)
}

/// Whatever the number of processors, because together they would take more than there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reviews_that_take_much_memory_are_decided_one_after_the_other() {
    static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let (webhook, ..) = webhook(|limits| limits.body_memory = 64 << 20);
    let webhook = webhook.with_review(|context, endpoint, body| {
        MOST.fetch_max(AT_ONCE.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        AT_ONCE.fetch_sub(1, SeqCst);
        pullpass_core::admission::review(context, endpoint, body)
    });
    assert!((300_000..310_000).contains(&heavy().len()));
    let all: Vec<_> = (0..6)
        .map(|_| {
            let webhook = webhook.clone();
            tokio::spawn(async move { ask(&webhook, post("/mutate", heavy())).await.status() })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(MOST.load(SeqCst), 1);
}

#[tokio::test]
async fn a_panic_costs_one_request_tells_nothing_and_is_counted() {
    let (webhook, _, metrics) = webhook(|_| {});
    let broken = webhook
        .clone()
        .with_review(|_, _, _| panic!("a secret of the inside"));
    let response = ask(&broken, post("/validate", review("u"))).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!text(response).await.contains("secret"));
    let counted = metrics.render(ExpositionFormat::Text);
    assert!(counted.contains("pullpass_panics_total 1"), "{counted}");
    assert!(counted.contains("pullpass_http_responses_total{route=\"validate\",code=\"5xx\"} 1"));
    assert!(counted.contains("pullpass_requests_in_flight{route=\"validate\"} 0"));

    let response = ask(&webhook, post("/validate", review("u"))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_large_review_costs_no_more() {
    let (webhook, ..) = webhook(|_| {});
    let broken = webhook.with_review(|_, _, _| panic!("inside"));
    for _ in 0..8 {
        let response = ask(&broken, post("/mutate", vec![b' '; 1 << 20])).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

/// More large reviews than there are processors, and worker threads: the small one is
/// answered while they are all still at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_reviews_do_not_stand_in_the_way_of_small_ones() {
    static MAY_END: AtomicBool = AtomicBool::new(false);
    let (webhook, ..) = webhook(|_| {});
    let webhook = webhook.with_review(|basis, endpoint, body| {
        let began = Instant::now();
        while endpoint == Endpoint::Mutate && !MAY_END.load(SeqCst) {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(1));
        }
        pullpass_core::admission::review(basis, endpoint, body)
    });
    let mut large_body = review("u");
    large_body.push_str(&" ".repeat(1 << 20));
    let large: Vec<_> = (0..8)
        .map(|_| {
            let (webhook, body) = (webhook.clone(), large_body.clone());
            tokio::spawn(async move { ask(&webhook, post("/mutate", body)).await.status() })
        })
        .collect();
    for _ in 0..20 {
        let response = ask(&webhook, post("/validate", review("u"))).await;
        assert_eq!(response.status(), StatusCode::OK);
        tokio::task::yield_now().await;
    }
    // Those that found no place and whose time is up are told to come again.
    let late = ask(&webhook, post("/mutate?timeout=50ms", large_body)).await;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(large.iter().all(|large| !large.is_finished()));
    MAY_END.store(true, SeqCst);
    for large in large {
        assert_eq!(large.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn series_of_entries_end_with_their_entry_and_go_on_while_it_stays() {
    let (_, maps, metrics) = webhook(|_| {});
    let count = |name: &str| {
        let current = maps.current();
        let entries = &current.as_ref().unwrap().entries;
        entries.count(&Tally {
            rule: RuleLabel {
                kind: RuleKind::Entry,
                entry: Some(name),
            },
            action: Action::Deny,
            images: 1,
        });
    };
    put_map(
        &maps,
        &MAP.replace(
            "- name: corp",
            "- name: gone\n    match: [gone.example]\n  - name: corp",
        ),
    );
    count("corp");
    count("gone");
    let series = |name: &str| format!("pullpass_images_total{{entry=\"{name}\",action=\"deny\"}} ");
    assert!(
        metrics
            .render(ExpositionFormat::Text)
            .contains(&series("gone"))
    );

    put_map(&maps, MAP);
    count("corp");
    count("gone");
    let text = metrics.render(ExpositionFormat::OpenMetrics);
    assert!(!text.contains("\"gone\""), "{text}");
    assert!(text.contains(&format!("{}2\n", series("corp"))), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

/// So many pieces of a size, with no length declared.
struct Pieces {
    size: usize,
    left: usize,
}

impl axum::body::HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(vec![b' '; self.size].into()))))
    }
}

/// Never sends anything.
struct Silent;

impl axum::body::HttpBody for Silent {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn images_of_requests_make_no_series() {
    let (webhook, _, metrics) = webhook(|_| {});
    let series = || {
        let text = metrics.render(ExpositionFormat::Text);
        assert!(!text.contains("nowhere"), "{text}");
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let judge = async |image: &str| {
        let review = review("u").replace("quay.io/team/web:1", image);
        let response = ask(&webhook, post("/validate", review)).await;
        assert_eq!(response.status(), StatusCode::OK);
    };
    for image in ["nowhere.example/a", "not valid"] {
        judge(image).await;
    }
    let before = series();
    for i in 0..1_000 {
        judge(&format!("nowhere{i}.example/a")).await;
    }
    assert_eq!(series(), before);
}
