//! A function that nobody calls.

#![deny(dead_code)]

// Nothing to import.

// Not measured.
async fn generate(prompt: &str) -> usize {
    prompt.len()
}

fn main() {}
