//! A future that is returned where its value is wanted.

// Nothing to import.

async fn sample() -> usize {
    7
}

// Not measured.
async fn generate() -> usize {
    let first = sample().await;
    println!("{first}");
    sample()
}

fn main() {}
