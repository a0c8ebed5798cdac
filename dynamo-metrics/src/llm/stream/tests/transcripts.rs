//! What servers write, one stream for each protocol and each way to write it.

use std::sync::LazyLock;

use super::super::kserve::tests::{error, response};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Sse,
    Ndjson,
    KServe,
    Json,
}

pub(super) struct Transcript {
    pub(super) name: &'static str,
    pub(super) wire: Wire,
    pub(super) bytes: Vec<u8>,
    /// What is seen of it, in short.
    pub(super) says: &'static str,
}

pub(super) static ALL: LazyLock<Vec<Transcript>> = LazyLock::new(|| {
    let texts = [(SSE, Wire::Sse), (NDJSON, Wire::Ndjson), (JSON, Wire::Json)];
    let texts = texts.into_iter().flat_map(|(all, wire)| {
        all.iter().map(move |(name, says, text)| Transcript {
            name,
            wire,
            bytes: text.as_bytes().to_vec(),
            says,
        })
    });
    texts.chain(kserve()).collect()
});

/// Server-sent events: name, what they say, text.
const SSE: &[(&str, &str, &str)] = &[
    (
        "vllm chat",
        "openai=2 usage=12/5 complete stop",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" world"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":12,"total_tokens":17,"completion_tokens":5}}

data: [DONE]

"#,
    ),
    (
        "vllm chat, usage on every chunk",
        "openai=7 usage=7/7 complete length",
        r#"data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":{"prompt_tokens":7,"completion_tokens":0}}

data: {"model":"m","choices":[{"index":0,"delta":{"content":"one two three"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}

data: {"model":"m","choices":[{"index":0,"delta":{"content":" four five six"}}],"usage":{"prompt_tokens":7,"completion_tokens":6}}

data: {"model":"m","choices":[{"index":0,"delta":{"content":" seven"},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":7}}

data: [DONE]

"#,
    ),
    (
        "sglang, role with the first token, ids between",
        "openai=2 complete stop",
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}

event: sglext_ids
data: {"ids":[1,2]}

data: {"choices":[{"index":0,"delta":{"content":" you","reasoning_content":null,"tool_calls":null},"finish_reason":"stop"}]}

data: [DONE]

"#,
    ),
    (
        "azure, filters first and last",
        "openai=1 complete stop",
        r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}

data: {"choices":[{"content_filter_results":{},"delta":{"content":"Hi","role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"model":"gpt-4o"}

data: {"choices":[{"content_filter_results":{},"delta":{},"finish_reason":"stop","index":0,"logprobs":null}],"model":"gpt-4o"}

data: [DONE]

"#,
    ),
    (
        "openai, obfuscated, details of usage",
        "openai=2 usage=20/4 cached=16 thought=2 complete stop",
        r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null,"obfuscation":"xYz"}

data: {"id":"c","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}],"usage":null,"obfuscation":"8"}

data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null,"obfuscation":""}

data: {"id":"c","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":4,"total_tokens":24,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}},"obfuscation":"q"}

data: [DONE]

"#,
    ),
    (
        "groq, usage of its own",
        "openai=1 usage=3/1 complete stop",
        r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}],"x_groq":{"id":"req_1"}}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.1,"prompt_tokens":3,"completion_tokens":1}}}

data: [DONE]

"#,
    ),
    (
        "deepseek, reasoning, then the answer, comments between",
        "openai=3 reasoning=2 usage=5/3 cached=4 thought=2 complete stop",
        r#": keep-alive

data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":""}}]}

data: {"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm"}}]}

:
data: {"choices":[{"index":0,"delta":{"content":null,"reasoning_content":", well"}}]}

data: {"choices":[{"index":0,"delta":{"content":"Yes","reasoning_content":null}}]}

data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"prompt_cache_hit_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}}

data: [DONE]

"#,
    ),
    (
        "two tools at once",
        "openai=5 complete toolcalls",
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"weather","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Rome\"}"}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"time","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#,
    ),
    (
        "two choices, left before the marker",
        "openai=4 complete length",
        r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}

data: {"choices":[{"index":1,"delta":{"content":"b"}}]}

data: {"choices":[{"index":0,"delta":{"content":"c"},"finish_reason":"stop"}]}

data: {"choices":[{"index":1,"delta":{"content":"data: [DONE]"},"finish_reason":"length"}]}

"#,
    ),
    (
        "refusal, parts of content",
        "openai=2 complete contentfilter",
        r#"data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Well"},{"type":"text","text":""}]}}]}

data: {"choices":[{"index":0,"delta":{"refusal":"I cannot"}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}

data: [DONE]

"#,
    ),
    (
        "an error in the middle",
        "openai=1 complete failed",
        r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}

data: {"error":{"message":"out of memory","type":"InternalServerError","code":500}}

data: [DONE]

"#,
    ),
    (
        "an error by its event, without data",
        "openai=1 unfinished failed",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\nevent: error\n: out of memory\n\n",
    ),
    (
        "an error and nothing else",
        "=0 failed",
        "data: {\"object\":\"error\",\"message\":\"no\",\"code\":400}\n\n",
    ),
    (
        "cut off, junk between",
        "openai=2 unfinished uninspected=malformed",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":\n\ndata: 7\n\ndata:\n\ndata\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ud83d\"}}]}\n\ndata: {\"choices\":[{",
    ),
    (
        "marker without its end",
        "openai=1 complete",
        "\u{FEFF}data: {\"choices\":[{\"index\":0,\ndata:\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]",
    ),
    (
        "completions",
        "openai=2 complete length",
        r#"data: {"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"index":0,"text":" b","logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}

data: [DONE]

"#,
    ),
    (
        "responses",
        "responses=5 reasoning=1 usage=9/6 cached=0 thought=1 complete stop",
        r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"r","object":"response","status":"in_progress","error":null,"incomplete_details":null,"model":"m","output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","status":"in_progress","content":[],"role":"assistant"}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","sequence_number":2,"item_id":"i","delta":"Hm"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"i","output_index":0,"content_index":0,"delta":"In","logprobs":[],"obfuscation":"a1"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"i","output_index":0,"content_index":0,"delta":" Rome","logprobs":[],"obfuscation":""}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":5,"item_id":"i","text":"In Rome"}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":6,"item":{"type":"function_call","name":"weather","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":7,"delta":"{}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"item":{"type":"function_call","name":"weather","arguments":"{}"}}

event: response.completed
data: {"type":"response.completed","sequence_number":9,"response":{"id":"r","status":"completed","error":null,"model":"m","output":[{"type":"message","content":[{"type":"output_text","text":"In Rome"}]}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":15}}}

"#,
    ),
    (
        "responses, fields in the order of the alphabet, then done",
        "responses=1 usage=2/1 complete length",
        r#"data: {"response":{"model":"m","usage":null},"sequence_number":0,"type":"response.created"}

data: {"content_index":0,"delta":"a","item_id":"i","logprobs":[],"output_index":0,"sequence_number":1,"type":"response.output_text.delta"}

data: {"response":{"incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":2,"output_tokens":1}},"sequence_number":2,"type":"response.incomplete"}

data: [DONE]

"#,
    ),
    (
        "responses that fail",
        "responses=0 complete failed error",
        r#"event: response.created
data: {"response":{"model":"m"}}

event: response.failed
data: {"response":{"model":"m","error":{"code":"server_error","message":"no"},"usage":null}}

"#,
    ),
    (
        "responses with an error alone",
        "responses=0 unfinished failed",
        "data: {\"type\":\"response.created\",\"response\":{}}\n\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"no\"}\n\n",
    ),
    (
        "anthropic messages",
        "anthropic=5 reasoning=1 usage=33/15 cached=8 complete toolcalls",
        r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_read_input_tokens":8,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"!"}}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#,
    ),
    (
        "anthropic, overloaded",
        "anthropic=1 unfinished failed",
        r#"event: message_start
data: {"type":"message_start","message":{"model":"claude","usage":{"input_tokens":25,"output_tokens":1}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}

"#,
    ),
    (
        "tgi",
        "tgi=3 usage=4/3 exact complete stop",
        "data:{\"index\":1,\"token\":{\"id\":311,\"text\":\" a\",\"logprob\":-0.5,\"special\":false},\"generated_text\":null,\"details\":null}\n\ndata:{\"index\":2,\"token\":{\"id\":9,\"text\":\"\",\"logprob\":-1,\"special\":false},\"generated_text\":null,\"details\":null}\n\ndata:{\"index\":3,\"token\":{\"id\":2,\"text\":\"</s>\",\"logprob\":0.0,\"special\":true},\"generated_text\":\" a\",\"details\":{\"finish_reason\":\"eos_token\",\"generated_tokens\":3,\"seed\":null,\"input_length\":4}}\n\n",
    ),
    (
        "tgi, an error",
        "tgi=1 exact unfinished failed",
        "data:{\"index\":1,\"token\":{\"id\":311,\"text\":\" a\"},\"generated_text\":null}\n\ndata:{\"error\":\"Request failed during generation\",\"error_type\":\"generation\"}\n\n",
    ),
    (
        "triton",
        "triton=2",
        r#"data: {"model_name":"vllm","model_version":"1","text_output":""}

data: {"model_name":"vllm","model_version":"1","text_output":" a"}

data: {"model_name":"vllm","model_version":"1","text_output":" b"}

data: {"model_name":"vllm","model_version":"1","text_output":""}

"#,
    ),
    (
        "triton, an error",
        "triton=1 failed",
        "data: {\"model_name\":\"m\",\"text_output\":\"a\"}\n\ndata: {\"error\":\"bad request\"}\n\n",
    ),
    (
        "some other protocol",
        "=0 uninspected=unrecognized",
        "event: tick\ndata: {\"time\":1}\n\nevent: tick\ndata: {\"time\":2}\n\n",
    ),
    ("nothing but comments", "=0", ": hello\n\n:\n\nid: 7\n\n"),
    ("nothing", "=0", ""),
];

/// Records on lines: name, what they say, text.
const NDJSON: &[(&str, &str, &str)] = &[
    (
        "ollama chat",
        "ollama=3 reasoning=1 usage=26/5 complete stop",
        r#"{"model":"qwen3","created_at":"2025-10-26T17:15:24.097767Z","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
{"model":"qwen3","created_at":"2025-10-26T17:15:24.109172Z","message":{"role":"assistant","content":"Hi"},"done":false}

{"model":"qwen3","created_at":"2025-10-26T17:15:24.109999Z","message":{"role":"assistant","content":" you"},"done":false}
{"model":"qwen3","created_at":"2025-10-26T17:15:24.121485Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":174560334,"load_duration":101397084,"prompt_eval_count":26,"prompt_eval_duration":13074791,"eval_count":5,"eval_duration":52479709}
"#,
    ),
    (
        "ollama generate, no end of the last line",
        "ollama=1 usage=2/9 complete length",
        "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\r\n{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"length\",\"context\":[1,2,3],\"prompt_eval_count\":2,\"eval_count\":9}",
    ),
    (
        "ollama calls a tool",
        "ollama=1 complete stop",
        r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Rome"}}}]},"done":false}
{"model":"m","message":{"role":"assistant","content":""},"done_reason":"stop","done":true}
"#,
    ),
    (
        "ollama fails",
        "ollama=1 unfinished failed",
        "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n{\"error\":\"an error was encountered while running the model\"}\n",
    ),
];

/// Answers in one piece: name, what they say, text.
const JSON: &[(&str, &str, &str)] = &[(
    "chat",
    "openai=0 usage=9/4 cached=8 stop",
    r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a \"b\" \\"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":8}}}"#,
)];

fn kserve() -> [Transcript; 2] {
    let stream = |messages: &[Vec<u8>]| {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.push(0);
            bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            bytes.extend(message);
        }
        bytes
    };
    let text = |text, last| response(&[("text_output", text)], last);
    [
        Transcript {
            name: "kserve",
            wire: Wire::KServe,
            bytes: stream(&[text("", false), text("a", false), text(" b", false), text("", true)]),
            says: "kserve=2 complete",
        },
        Transcript {
            name: "kserve, an error",
            wire: Wire::KServe,
            bytes: stream(&[text("a", false), error("out of memory")]),
            says: "kserve=1 failed",
        },
    ]
}
