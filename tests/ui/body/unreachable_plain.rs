//! Code after a return.

#![deny(unreachable_code)]

// Nothing to import.

// Not measured.
pub async fn generate(prompt: &str) -> usize {
    return prompt.len();
    prompt.len() + 1
}

fn main() {}
