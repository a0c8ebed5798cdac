//! A value that should stand in an `Ok`.

// Nothing to import.

// Not measured.
fn generate(prompt: &str) -> Result<usize, std::num::ParseIntError> {
    let n: usize = prompt.parse()?;
    n
}

fn main() {}
