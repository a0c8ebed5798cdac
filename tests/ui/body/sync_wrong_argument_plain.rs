//! A call in the body has an argument of the wrong type.

// Nothing to import.

fn sample(temperature: f64) -> f64 {
    temperature
}

// Not measured.
fn generate(prompt: &str) -> f64 {
    sample(prompt)
}

fn main() {}
