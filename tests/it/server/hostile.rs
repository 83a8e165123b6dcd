//! Clients that take what they can get, beside a client that must not notice. All of them come
//! from one address, as behind a NAT.

use super::support::{Client, Server, in_time, post, review};
use pullpass_core::admission::Endpoint;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(1);

fn ask() -> String {
    post(Endpoint::Mutate, &review("u"))
}

/// A review with so many more bytes, and no time-out of the sender's.
fn ask_at_length(bytes: usize) -> String {
    let mut body = review("u");
    body.push_str(&" ".repeat(bytes));
    post(Endpoint::Mutate, &body).replace("?timeout=10s", "")
}

/// A connection to the admin port that says this and nothing more.
async fn hold_admin(server: &Server, words: &str) -> Client<TcpStream> {
    let mut client = Client::new(TcpStream::connect(server.admin).await.unwrap());
    client.send(words).await;
    client
}

#[tokio::test]
async fn probes_are_answered_whoever_holds_connections_to_the_admin_port() {
    let server = Server::start(|config| config.limits.header_timeout = LONG).await;
    let scrape = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut prometheus = hold_admin(&server, scrape).await;
    assert_eq!(prometheus.answer().await.unwrap().status, 200);
    let mut held = Vec::new();
    for words in ["", "GET /liv"] {
        for _ in 0..300 {
            held.push(hold_admin(&server, words).await);
        }
        for path in ["/livez", "/readyz"] {
            assert_eq!(in_time(server.admin(path)).await.body, "ok\n", "{path}");
        }
        // The connection that was used before is still there.
        assert_eq!(prometheus.ask(scrape).await.status, 200);
    }
    let displaced = "pullpass_connections_displaced_total{port=\"admin\",reason=\"unused\"}";
    assert!(server.metric(displaced).await > Some(0.0));
}

#[tokio::test]
async fn connections_that_are_held_cost_whoever_holds_them() {
    let server = Server::start(|config| {
        config.limits.max_connections = 8;
        config.limits.handshake_timeout = LONG;
    })
    .await;
    let mut api_server = server.connect().await;
    assert_eq!(api_server.ask(&ask()).await.status, 200);
    let (mut silent, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.webhook).await.unwrap());
        idle.push(in_time(server.connect()).await);
    }
    assert_eq!(api_server.ask(&ask()).await.status, 200);
    let newest = in_time(server.connect()).await.ask(&ask()).await;
    assert_eq!(newest.status, 200);
    idle.remove(0).is_closed_in_silence().await;
}

#[tokio::test]
async fn requests_that_stall_lose_their_connections_when_the_places_are_used_up() {
    let server = Server::start(|config| {
        config.limits.max_connections = 4;
        config.limits.header_timeout = LONG;
        config.limits.body_timeout = LONG;
    })
    .await;
    let request = ask_at_length(0);
    let mut stalled = Vec::new();
    for length in [20, 40, request.len() - 10, request.len() - 1] {
        let mut client = server.connect().await;
        client.send(&request[..length]).await;
        stalled.push(client);
    }
    for _ in 0..3 {
        let mut api_server = in_time(server.connect()).await;
        assert_eq!(api_server.ask(&ask()).await.status, 200);
    }
}

#[tokio::test]
async fn bodies_that_stall_make_room_for_others() {
    let server = Server::start(|config| {
        config.limits.body_memory = 1 << 20;
        config.limits.body_timeout = LONG;
    })
    .await;
    let request = ask_at_length(120_000);
    let mut stalled = Vec::new();
    for _ in 0..9 {
        let mut client = server.connect().await;
        client.send(&request[..request.len() - 1]).await;
        stalled.push(client);
    }
    // Small ones are answered at once, and none of the others has a reason to go.
    let mut api_server = server.connect().await;
    for bytes in [0, 10_000, 50_000] {
        let request = ask_at_length(bytes);
        let (some, rest) = request.split_at(400);
        api_server.send(some).await;
        assert_eq!(api_server.ask(rest).await.status, 200, "{bytes}");
    }
    // A large one waits until one of them has had its time of grace.
    assert_eq!(api_server.ask(&ask_at_length(100_000)).await.status, 200);
    let displaced = server.metric("pullpass_bodies_displaced_total").await;
    assert!(displaced > Some(0.0), "{displaced:?}");
    // Its client can try again.
    let answers = stalled.iter_mut().map(|client| Box::pin(client.answer()));
    let (given_up, _, _) = futures_util::future::select_all(answers).await;
    let given_up = given_up.unwrap();
    assert_eq!(given_up.status, 503);
    assert_eq!(given_up.header("retry-after"), Some("1"));
    assert_eq!(given_up.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_slow_body_has_its_time_while_nobody_waits_for_its_memory() {
    let server = Server::start(|config| config.limits.body_memory = 1 << 20).await;
    let request = ask_at_length(200_000);
    let mut slow = server.connect().await;
    for piece in request.as_bytes().chunks(20_000) {
        slow.send(std::str::from_utf8(piece).unwrap()).await;
        sleep(Duration::from_millis(150)).await;
        assert_eq!(server.connect().await.ask(&ask()).await.status, 200);
    }
    assert_eq!(slow.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut() {
    let server = Server::start(|config| {
        config.limits.answer_timeout = Duration::from_millis(150);
        config.limits.idle_timeout = LONG;
    })
    .await;
    let client = server.connect().await;
    let (_never_read, mut write) = tokio::io::split(client.stream);
    // Until the answers fill the buffers of the kernel; these have kilobytes of warnings.
    let image = |n| {
        format!(
            r#"{{"image":"unknown.example/{n}/{}"}},"#,
            "long/".repeat(40)
        )
    };
    let images = (0..20).map(image).collect::<Vec<_>>().concat();
    let body = review("u").replace(r#""containers":["#, &format!(r#""containers":[{images}"#));
    let requests = post(Endpoint::Validate, &body).repeat(10);
    in_time(async {
        use tokio::io::AsyncWriteExt;
        while write.write_all(requests.as_bytes()).await.is_ok() {}
    })
    .await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_soon() {
    let server = Server::start(|config| {
        config.limits.first_byte_timeout = Duration::from_millis(150);
        config.limits.handshake_timeout = LONG;
        config.limits.idle_timeout = LONG;
        config.limits.header_timeout = LONG;
    })
    .await;
    for address in [server.webhook, server.admin] {
        let mut client = Client::new(TcpStream::connect(address).await.unwrap());
        client.is_closed_in_silence().await;
    }
    // Whoever has shaken hands may wait with the first request.
    let mut client = server.connect().await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(client.ask(&ask()).await.status, 200);
}
