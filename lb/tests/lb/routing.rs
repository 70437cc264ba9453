use std::collections::BTreeSet;

use tokio::io::AsyncWriteExt;

use crate::harness::{Backend, Lb, get, group, request, rule, target, text};

#[tokio::test]
async fn requests_go_by_host_and_path_to_their_target_group() {
    let (web, api, shop) = (
        Backend::text("web").await,
        Backend::text("api").await,
        Backend::text("shop").await,
    );
    let mut lb = Lb::start(&[target("w", web.address)]).await;
    let revision = lb.change(|table| {
        table
            .target_groups
            .push(group("api", &[target("a", api.address)]));
        table
            .target_groups
            .push(group("shop", &[target("s", shop.address)]));
        let rules = &mut table.listeners[0].rules;
        rules.insert(0, rule(&[], &["/api/*"], &[("api", 1)]));
        rules.insert(1, rule(&["shop.*"], &[], &[("shop", 1)]));
    });
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.text(), "web");
    assert_eq!(get(lb.address, "/api/x?y").await.text(), "api");
    let mut connection = lb.connect().await;
    connection
        .send("GET / HTTP/1.1\r\nHost: SHOP.example:80\r\n\r\n")
        .await;
    assert_eq!(connection.answer().await.text(), "shop");
}

#[tokio::test]
async fn targets_of_a_group_take_turns() {
    let (a, b) = (Backend::text("a").await, Backend::text("b").await);
    let lb = Lb::start(&[target("a", a.address), target("b", b.address)]).await;
    let mut connection = lb.connect().await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(connection.get("/").await.text().to_owned());
    }
    assert_eq!(answers[..2], answers[2..]);
    assert_eq!(answers.iter().collect::<BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn a_target_sees_the_client_and_the_host_and_nothing_that_concerns_one_hop() {
    let echo = Backend::http(|request| async move {
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        text(headers.collect::<String>())
    })
    .await;
    let lb = Lb::start(&[target("e", echo.address)]).await;
    let mut connection = lb.connect().await;
    connection
        .send(
            "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, X-Secret\r\n\
             X-Secret: 1\r\nTE: trailers\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\n\
             X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Other: 2\r\n\r\n",
        )
        .await;
    let answer = connection.answer().await;
    let mut seen: Vec<_> = answer.text().lines().collect();
    seen.sort_unstable();
    let port = format!("x-forwarded-port: {}", lb.address.port());
    assert_eq!(
        seen,
        [
            "host: shop.example",
            "x-forwarded-for: 192.0.2.7, 127.0.0.1",
            &port,
            "x-forwarded-proto: http",
            "x-other: 2",
        ]
    );
}

#[tokio::test]
async fn what_concerns_the_hop_to_the_target_does_not_reach_the_client() {
    let backend = Backend::raw(|mut stream, _| async move {
        assert!(request(&mut stream).await);
        let answer = "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\
                      Server: shop\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    let answer = connection.get("/").await;
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(answer.header("connection"), None);
    assert_eq!(answer.header("x-end"), Some("2"));
    assert_eq!(answer.header("server"), Some("shop"));
    assert_eq!(
        connection.get("/").await.status,
        200,
        "the client's connection stays"
    );
}
