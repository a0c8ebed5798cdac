//! `?` in a function that returns no `Result`.

// Nothing to import.

// Not measured.
fn generate(prompt: &str) -> usize {
    prompt.parse::<usize>()?
}

fn main() {}
