//! A name that nothing has. The names that generated code uses are as unknown as any other.

// Nothing to import.

// Not measured.
fn generate() -> usize {
    std::mem::size_of_val(&call)
}

fn main() {}
