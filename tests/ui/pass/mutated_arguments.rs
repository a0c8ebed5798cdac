//! An argument whose parts are changed, and used, without a warning that they are not.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;

struct Request {
    limit: usize,
    prompt: String,
}

#[instrumented_endpoint]
async fn taken_apart(mut request: Request) -> String {
    request.limit += 1;
    let Request { limit, prompt } = request;
    prompt.chars().take(limit).collect()
}

#[instrumented_endpoint]
async fn by_part(mut request: Request) -> usize {
    request.limit = 7;
    let prompt = request.prompt;
    prompt.len().min(request.limit)
}

#[instrumented_endpoint]
async fn whole((mut first, second): (u8, u8), mut request: Request) -> Request {
    first += second;
    request.limit = usize::from(first);
    request
}

fn main() {
    let request = || Request { limit: 1, prompt: "hello".to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(taken_apart(request()).await, "he");
        assert_eq!(by_part(request()).await, 5);
        assert_eq!(whole((1, 2), request()).await.limit, 3);
    });
}
