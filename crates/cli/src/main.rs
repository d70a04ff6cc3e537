//! keystile
fn main() {}
