//! The last expression has another type than the function.

// Nothing to import.

// Not measured.
fn generate(prompt: &str) -> usize {
    let words = prompt.split(' ').count();
    println!("{words}");
    words.to_string()
}

fn main() {}
