//! neofn
fn main() {}
