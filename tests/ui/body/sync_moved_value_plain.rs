//! A value that is used after it was moved.

// Nothing to import.

// Not measured.
fn generate(prompt: String) -> usize {
    drop(prompt);
    prompt.len()
}

fn main() {}
