//! What clients do to connections, on purpose or not, and what becomes of it.

use super::support::{Server, in_time, post, review};
use pullpass_core::admission::Endpoint;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_mins(1);

fn ask() -> String {
    post(Endpoint::Mutate, &review("u"))
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_is_cut_though_it_never_stops() {
    let server = Server::start(|config| {
        config.limits.header_timeout = SHORT;
        config.limits.idle_timeout = LONG;
    })
    .await;
    let client = server.connect().await;
    let (mut read, mut write) = tokio::io::split(client.stream);
    let dripping = tokio::spawn(async move {
        for byte in b"POST /mutate HTTP/1.1\r\nx: "
            .iter()
            .chain(std::iter::repeat(&b'a'))
        {
            if write.write_all(&[*byte]).await.is_err() || write.flush().await.is_err() {
                return;
            }
            sleep(SHORT / 10).await;
        }
    });
    let mut answer = Vec::new();
    let _ = in_time(tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer)).await;
    assert!(answer.is_empty());
    in_time(dripping).await.unwrap();
}

#[tokio::test]
async fn a_header_after_a_first_request_has_its_own_time_too() {
    let server = Server::start(|config| {
        config.limits.header_timeout = SHORT;
        config.limits.idle_timeout = LONG;
    })
    .await;
    let mut client = server.connect().await;
    assert_eq!(client.ask(&ask()).await.status, 200);
    client.send("POST /mut").await;
    client.is_closed_in_silence().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = Server::start(|config| {
        config.limits.header_timeout = SHORT;
        config.limits.idle_timeout = LONG;
    })
    .await;
    // Go connects ahead of need: a connection may be idle before its first request.
    let mut client = server.connect().await;
    for _ in 0..3 {
        sleep(SHORT * 3).await;
        assert_eq!(client.ask(&ask()).await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed() {
    let server = Server::start(|config| config.limits.idle_timeout = SHORT).await;
    let mut fresh = server.connect().await;
    let mut used = server.connect().await;
    assert_eq!(used.ask(&ask()).await.status, 200);
    fresh.is_closed_in_silence().await;
    used.is_closed_in_silence().await;
    server
        .metric_becomes("pullpass_open_connections{port=\"webhook\"}", 0.0)
        .await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_told_so() {
    let server = Server::start(|config| config.limits.body_timeout = SHORT).await;
    let mut client = server.connect().await;
    let request = ask();
    let answer = client.ask(&request[..request.len() - 1]).await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), Some("close"));
    client.is_closed_in_silence().await;
}

#[tokio::test]
async fn an_old_connection_ends_with_an_answer() {
    let server = Server::start(|config| config.limits.max_age = SHORT).await;
    let mut client = server.connect().await;
    assert_eq!(client.ask(&ask()).await.header("connection"), None);
    sleep(SHORT * 2).await;
    let last = client.ask(&ask()).await;
    assert_eq!(last.status, 200);
    assert_eq!(last.header("connection"), Some("close"));
    client.is_closed_in_silence().await;
}

/// The client sends all of it before it looks for an answer, as many clients do.
async fn send_40_mib(server: &Server, head: &str) {
    let mut client = server.connect().await;
    client.send(head).await;
    let piece = vec![b' '; 1 << 20];
    for _ in 0..40 {
        in_time(client.stream.write_all(&piece)).await.unwrap();
    }
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("connection"), Some("close"));
    client.is_closed_in_silence().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_mebibytes_are_413_and_the_answer_arrives() {
    let server = Server::start(|_| {}).await;
    let head = "POST /mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 41943040\r\n\r\n";
    send_40_mib(&server, head).await;
    assert_eq!(server.connect().await.ask(&ask()).await.status, 200);
    assert_eq!(server.metric("pullpass_body_memory_bytes").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_mebibytes_in_a_chunk_are_413_and_the_answer_arrives() {
    let server = Server::start(|_| {}).await;
    let head = "POST /mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2800000\r\n";
    send_40_mib(&server, head).await;
    assert_eq!(server.connect().await.ask(&ask()).await.status, 200);
    assert_eq!(server.metric("pullpass_body_memory_bytes").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_review_comes_through_whole() {
    let server = Server::start(|_| {}).await;
    let mut body = review("u");
    body.push_str(&" ".repeat(18 << 20));
    let mut client = server.connect().await;
    assert_eq!(
        client.ask(&post(Endpoint::Validate, &body)).await.status,
        200
    );
    assert_eq!(client.ask(&ask()).await.status, 200);
}

#[tokio::test]
async fn a_client_is_told_to_go_on_only_when_its_body_is_wanted() {
    let server = Server::start(|_| {}).await;
    let head = "POST /mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 41943040\r\n\r\n";
    let mut client = server.connect().await;
    assert_eq!(client.ask(head).await.status, 413);
}

#[tokio::test]
async fn a_header_without_end_is_431() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let head = format!("POST /mutate HTTP/1.1\r\nx: {}", "a".repeat(70_000));
    let _ = client.stream.write_all(head.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 431);
}

#[tokio::test]
async fn the_memory_of_bodies_is_bounded_over_all_connections() {
    let server = Server::start(|config| config.limits.body_memory = 2 << 20).await;
    let limit = server.metric("pullpass_body_memory_limit_bytes").await;
    assert_eq!(limit, Some(1_048_576.0));
    let mut holding = server.connect().await;
    let mut body = review("u");
    body.push_str(&" ".repeat(900_000));
    let request = post(Endpoint::Mutate, &body);
    let (most, rest) = request.split_at(request.len() - 10);
    holding.send(most).await;
    // Held for as long as the body is not whole.
    in_time(async {
        while server.metric("pullpass_body_memory_bytes").await < Some(900_000.0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Another one gets no memory in the time that its sender has.
    let hurried = request.replace("timeout=10s", "timeout=100ms");
    let refused = server.connect().await.ask(&hurried).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("connection"), Some("close"));
    // A small one needs none.
    assert_eq!(server.connect().await.ask(&ask()).await.status, 200);
    assert_eq!(holding.ask(rest).await.status, 200);
    server
        .metric_becomes("pullpass_body_memory_bytes", 0.0)
        .await;
    assert_eq!(server.connect().await.ask(&request).await.status, 200);
}

#[tokio::test]
async fn requests_sent_ahead_are_all_answered_in_order() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let all: String = (0..5)
        .map(|n| post(Endpoint::Mutate, &review(&format!("uid-{n}"))))
        .collect();
    client.send(&all).await;
    for n in 0..5 {
        let answer = client.answer().await.unwrap();
        assert!(answer.body.contains(&format!("uid-{n}")), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_admin_port_cuts_slow_headers_too() {
    let server = Server::start(|config| config.limits.header_timeout = SHORT).await;
    let tcp = tokio::net::TcpStream::connect(server.admin).await.unwrap();
    let mut client = super::support::Client::new(tcp);
    client.send("GET /liv").await;
    client.is_closed_in_silence().await;
    assert_eq!(server.admin("/livez").await.body, "ok\n");
}

#[tokio::test]
async fn shutting_down_is_announced_then_closes_idle_connections_then_ends() {
    let mut server = Server::start(|_| {}).await;
    let mut busy = server.connect().await;
    let mut idle = server.connect().await;
    assert_eq!(server.admin("/readyz").await.status, 200);
    assert_eq!(busy.ask(&ask()).await.header("connection"), None);

    server.begin_shutdown();
    in_time(async {
        while server.admin("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Still there for those who have not heard: old connections and new ones.
    let last = busy.ask(&ask()).await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    let newest = server.connect().await.ask(&ask()).await;
    assert_eq!(
        (newest.status, newest.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(server.admin("/livez").await.status, 200);
    idle.is_closed_in_silence().await;
    assert!(server.ended().await);
}

#[tokio::test]
async fn a_request_on_its_way_is_answered_before_the_end() {
    let mut server = Server::start(|config| config.limits.shutdown_delay = SHORT).await;
    let request = ask();
    let (most, rest) = request.split_at(request.len() - 10);
    let mut client = server.connect().await;
    client.send(most).await;
    let mut idle = server.connect().await;
    server.begin_shutdown();
    // The end of the idle one says that draining has begun.
    idle.is_closed_in_silence().await;
    let answer = client.ask(rest).await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert!(server.ended().await);
}

#[tokio::test]
async fn a_request_that_takes_too_long_does_not_hold_up_the_end() {
    let mut server = Server::start(|config| {
        config.limits.shutdown_delay = Duration::ZERO;
        config.limits.drain_timeout = SHORT;
        config.limits.body_timeout = LONG;
    })
    .await;
    let mut client = server.connect().await;
    // Nothing but the drain's own time ends it.
    let request = ask().replace("?timeout=10s", "");
    client.send(&request[..request.len() - 10]).await;
    server
        .metric_becomes("pullpass_requests_in_flight{route=\"mutate\"}", 1.0)
        .await;
    server.begin_shutdown();
    assert!(!server.ended().await);
}

#[tokio::test]
async fn metrics_come_in_the_format_that_was_asked_for() {
    let server = Server::start(|_| {}).await;
    let open = "accept: text/html;q=0.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n";
    let [text, open_metrics] = [
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ];
    for (accept, media_type) in [("", text), (open, open_metrics)] {
        let tcp = tokio::net::TcpStream::connect(server.admin).await.unwrap();
        let mut client = super::support::Client::new(tcp);
        client
            .send(&format!("GET /metrics HTTP/1.1\r\nhost: a\r\n{accept}\r\n"))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert_eq!(answer.header("vary"), Some("accept"));
        let has_an_end = answer.body.ends_with("# EOF\n");
        assert_eq!(has_an_end, media_type == open_metrics);
        assert!(answer.body.contains("\npullpass_panics_total 0\n"));
    }
}
