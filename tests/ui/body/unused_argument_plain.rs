//! An argument that is not used.

#![deny(unused_variables)]

// Nothing to import.

// Not measured.
pub async fn generate(prompt: &str, limit: usize) -> usize {
    prompt.len()
}

fn main() {}
