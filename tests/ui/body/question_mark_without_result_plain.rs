//! `?` in a function that returns no `Result`.

// Nothing to import.

// Not measured.
async fn generate(prompt: &str) -> usize {
    prompt.parse::<usize>()?
}

fn main() {}
