//! A future that cannot be sent, for a value of the caller's own.

use std::rc::Rc;

// Nothing to import.

async fn sample() {}

// Not measured.
async fn generate() -> u8 {
    let counted = Rc::new(7);
    sample().await;
    *counted
}

fn spawn(_: impl Future + Send) {}

fn main() {
    spawn(generate());
}
