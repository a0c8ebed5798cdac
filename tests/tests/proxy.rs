//! The proxy before real and scripted model servers: both of its sides count what they did.

mod proxied;

use std::process::Command;

use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{self, Peer, Step};
use dynamo_metrics_tests::program::{Proxy, Quickstart};
use dynamo_metrics_tests::tools::{python, workspace_program};

use crate::proxied::{ask, assert_ends, outcomes, rest, send};

/// A value of one side, over all of its endpoints.
fn value(page: &Page, side: &str, name: &str) -> f64 {
    page.sum(&format!("dynamo_{side}_{name}"), &[]).unwrap_or_default()
}

/// The same of a component called `frontend`.
fn frontend(page: &Page, name: &str) -> f64 {
    let labels = [("dynamo_component", "frontend")];
    page.sum(&format!("dynamo_component_{name}"), &labels).unwrap_or_default()
}

/// The real client talks to a quickstart through a proxy; what both have counted then.
fn talk(mode: &str) -> (Page, Page) {
    let pace = ["--load", "0", "--ttft-ms", "40", "--itl-ms", "10"];
    let quickstart = Quickstart::start(&pace);
    let upstream = format!("http://{}", quickstart.server);
    let proxy = Proxy::start(&["--upstream", &upstream, "--model", "demo"]);
    let server = format!("http://{}/v1", proxy.server);
    let output = python("openai_client.py").args([&server, mode]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (quickstart.page_at_rest(), proxy.page_at_rest())
}

#[test]
fn the_real_clients_requests_end_alike_for_it_at_the_proxy_and_upstream() {
    let (upstream, proxy) = talk("full");
    let ends = outcomes(&upstream, "component");
    assert_eq!(
        ends.iter().map(|end| end.0).collect::<Vec<_>>(),
        ["success", "client_error", "server_error", "cancelled"]
    );
    assert_eq!(outcomes(&proxy, "component"), ends);
    assert_eq!(outcomes(&proxy, "upstream"), ends);
    for name in ["time_to_first_token_seconds_count", "request_bytes_total"] {
        let counted = frontend(&upstream, name);
        assert!(counted > 0.0, "{name}");
        assert_eq!(frontend(&proxy, name), counted, "{name}");
        assert_eq!(value(&proxy, "upstream", name), counted, "{name}");
    }
    // The proxy's own time lies between what it waits and what its clients wait.
    let sum = |side| value(&proxy, side, "time_to_first_token_seconds_sum");
    assert!(sum("upstream") <= sum("component"));
    assert!(frontend(&upstream, "time_to_first_token_seconds_sum") <= sum("upstream"));
}

#[test]
fn the_real_clients_tokens_are_counted_alike_at_the_proxy_and_upstream() {
    let (upstream, proxy) = talk("brief");
    for name in ["output_tokens_total", "time_to_first_token_seconds_count", "response_bytes_total"]
    {
        let counted = frontend(&upstream, name);
        assert!(counted > 0.0, "{name}");
        assert_eq!(frontend(&proxy, name), counted, "{name}");
        assert_eq!(value(&proxy, "upstream", name), counted, "{name}");
    }
    // Tokens that the network brings together share a time, and may be one gap fewer.
    let gaps = |page, side| value(page, side, "inter_token_latency_seconds_count");
    assert_eq!(gaps(&proxy, "component"), gaps(&proxy, "upstream"));
    let counted = frontend(&upstream, "inter_token_latency_seconds_count");
    assert!((counted - 2.0..=counted).contains(&gaps(&proxy, "upstream")), "{counted}");
    // The proxy reads no request: the answers say which model they are of.
    let demo = [("model", "demo")];
    for name in ["output_tokens_total", "time_to_first_token_seconds_count"] {
        let name = format!("dynamo_frontend_{name}");
        assert_eq!(proxy.sum(&name, &demo), upstream.sum(&name, &demo), "{name}");
    }
    let endpoints = [("endpoint", "chat_completions"), ("request_type", "stream")];
    assert!(proxy.sum("dynamo_frontend_requests_total", &endpoints) > Some(0.0));
}

/// What servers of other protocols write: path, type, text, tokens.
const TRANSCRIPTS: [(&str, &str, &str, f64); 4] = [
    (
        "/v1/messages",
        "text/event-stream",
        concat!(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\",",
            "\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n",
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
            "\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",",
            "\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        15.0,
    ),
    (
        "/api/chat",
        "application/x-ndjson",
        concat!(
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n",
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\" you\"},\"done\":false}\n",
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,",
            "\"done_reason\":\"stop\",\"prompt_eval_count\":26,\"eval_count\":5}\n",
        ),
        5.0,
    ),
    (
        "/generate_stream",
        "text/event-stream",
        concat!(
            "data:{\"index\":1,\"token\":{\"id\":311,\"text\":\" a\",\"logprob\":-0.5,",
            "\"special\":false},\"generated_text\":null,\"details\":null}\n\n",
            "data:{\"index\":2,\"token\":{\"id\":2,\"text\":\"</s>\",\"logprob\":0.0,\"special\":true},",
            "\"generated_text\":\" a\",\"details\":{\"finish_reason\":\"eos_token\",",
            "\"generated_tokens\":2,\"seed\":null,\"input_length\":4}}\n\n",
        ),
        2.0,
    ),
    (
        "/api/generate",
        "application/json",
        "{\"model\":\"m\",\"response\":\"Hi you\",\"done\":true,\"prompt_eval_count\":2,\"eval_count\":9}",
        9.0,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_pass_byte_by_byte_and_are_read_for_their_tokens() {
    for (path, content_type, text, tokens) in TRANSCRIPTS {
        let peer = Peer::page(content_type, text).await;
        let proxy = Proxy::start(&["--upstream", &format!("http://{}", peer.address)]);
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n");
        let answer = rest(send(&proxy, request + "connection: close\r\n\r\n").await).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, text);
        assert!(head.contains(&format!("content-type: {content_type}")), "{head}");
        let page = assert_ends(&proxy, &[("success", 1.0)], &[("success", 1.0)]);
        for side in ["component", "upstream"] {
            assert_eq!(value(&page, side, "output_tokens_total"), tokens, "{path} {side}");
        }
        let unmatched = [("dynamo_endpoint", "unmatched")];
        assert_eq!(page.sum("dynamo_component_requests_total", &unmatched), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_take_turns_and_each_is_an_endpoint() {
    let peers = [Peer::page(peer::TEXT, "a").await, Peer::page(peer::TEXT, "b").await];
    let [first, second] = &peers;
    let first = format!("http://{}", first.address);
    let second = format!("second=http://{}/base", second.address);
    let proxy = Proxy::start(&["--upstream", &first, "--upstream", &second]);
    for turn in ["a", "b", "a", "b", "a"] {
        let close = "GET /v1/models?x=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        assert!(rest(send(&proxy, close).await).await.ends_with(turn));
    }
    assert!(peers[0].heads()[0].starts_with("GET /v1/models?x=1 HTTP/1.1\r\n"));
    assert!(peers[1].heads()[0].starts_with("GET /base/v1/models?x=1 HTTP/1.1\r\n"));
    let page = proxy.page_at_rest();
    let of = |name: &str| page.sum("dynamo_upstream_requests_total", &[("dynamo_endpoint", name)]);
    // The name of the host, as a label has it.
    let named = first.replace("http://", "_").replace(['.', ':'], "_");
    assert_eq!((of(&named), of("second"), of("unmatched")), (Some(3.0), Some(2.0), Some(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_takes_nobody_new_and_lets_answers_end() {
    let upstream = proxied::Upstream::listen().await;
    let proxy = upstream.behind_proxy(&[]);
    let client = ask(&proxy).await;
    let (mut end, _) = upstream.next().await;
    let (server, metrics) = (proxy.server, proxy.metrics);
    let stopped = tokio::task::spawn_blocking(move || proxy.terminate());
    let deaf = async {
        while tokio::net::TcpStream::connect(server).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(proxied::PATIENCE, deaf).await.unwrap();
    let text = dynamo_metrics_tests::program::get(metrics, "/metrics", "text/plain");
    assert_eq!(value(&Page::read(&text), "component", "inflight_requests"), 1.0);
    end.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast").await.unwrap();
    assert!(rest(client).await.ends_with("last"));
    let (status, said) = stopped.await.unwrap();
    assert!(status.success(), "{status}");
    assert!(said.contains("stopping"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_end_keeps_it_no_longer_than_it_may() {
    let peer = Peer::start([Step::Send(peer::head("content-length: 9")), Step::Hang]).await;
    let upstream = format!("http://{}", peer.address);
    let proxy = Proxy::start(&["--upstream", &upstream, "--drain-timeout", "0.1"]);
    let _client = ask(&proxy).await;
    peer.asked(1).await;
    let (status, _) = tokio::task::spawn_blocking(move || proxy.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn it_says_clearly_why_it_cannot_start() {
    let start = |arguments: &[&str]| {
        let mut command = Command::new(workspace_program("proxy"));
        let output = command.args(["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = start(&["--upstream", "https://a"]);
    assert!(code == Some(2) && said.contains("does not begin with http://"), "{said}");
    let twice = ["--upstream", "a=http://h:1", "--upstream", "b=http://h:1"];
    let (code, said) = start(&twice);
    assert!(code == Some(1) && said.contains("h:1 is given twice"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
