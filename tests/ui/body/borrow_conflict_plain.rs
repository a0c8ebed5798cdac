//! A value that is changed while it is lent.

// Nothing to import.

// Not measured.
async fn generate(mut words: Vec<String>) -> usize {
    let first = &words[0];
    words.clear();
    first.len()
}

fn main() {}
