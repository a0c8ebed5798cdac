//! Clients: the built-in one, and one to type into a shell.

use std::net::SocketAddr;

use axum::http::uri::PathAndQuery;
use futures_util::{StreamExt as _, stream};
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::messages::{InferRequest, StreamResponse};
use crate::load::Wish;

/// A program in Python that streams an answer.
pub(crate) fn command(server: SocketAddr, wish: &Wish) -> String {
    let Wish { model, prompt, max_tokens } = wish;
    format!(
        "python3 -c '\n\
         import numpy, tritonclient.grpc as triton  # pip install numpy tritonclient[grpc]\n\
         text = triton.InferInput(\"text_input\", [1], \"BYTES\")\n\
         text.set_data_from_numpy(numpy.array([{prompt:?}], dtype=object))\n\
         def show(result, error):\n    \
         print(error or result.as_numpy(\"text_output\")[0].decode(), end=\"\", flush=True)\n\
         client = triton.InferenceServerClient(\"{server}\")\n\
         client.start_stream(show)\n\
         client.async_stream_infer({model:?}, [text], parameters={{\"max_tokens\": {max_tokens}}})\n\
         client.stop_stream()\n\
         print()'"
    )
}

/// Streams one answer, and leaves it after so many responses.
pub(crate) async fn stream(
    server: SocketAddr,
    wish: &Wish,
    responses: usize,
) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("http://{server}"))?.connect().await?;
    let mut client = Grpc::new(channel);
    client.ready().await?;
    let request = InferRequest::new(&wish.model, &wish.prompt, wish.max_tokens);
    let codec = ProstCodec::<InferRequest, StreamResponse>::default();
    let requests = tonic::Request::new(stream::iter([request]));
    let method = PathAndQuery::from_static("/inference.GRPCInferenceService/ModelStreamInfer");
    let answers = client.streaming(requests, method, codec).await?.into_inner();
    let mut answers = answers.take(responses);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}
