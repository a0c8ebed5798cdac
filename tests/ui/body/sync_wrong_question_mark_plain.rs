//! `?` on an error that does not convert to the function's.

// Nothing to import.

#[derive(Debug)]
struct Refused;

// Not measured.
fn generate(prompt: &str) -> Result<usize, Refused> {
    let n: usize = prompt.parse::<usize>()?;
    Ok(n)
}

fn main() {
    println!("{:?}", Refused);
}
