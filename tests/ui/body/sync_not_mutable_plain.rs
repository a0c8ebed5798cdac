//! An argument that is changed without being `mut`.

// Nothing to import.

// Not measured.
fn generate(prompt: String) -> usize {
    prompt.push('x');
    prompt.len()
}

fn main() {}
