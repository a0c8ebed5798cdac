//! The last expression is a statement.

// Nothing to import.

// Not measured.
fn generate(prompt: &str) -> usize {
    prompt.len();
}

fn main() {}
