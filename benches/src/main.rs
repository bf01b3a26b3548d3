//! Benchmarks of logboom beside its rivals.
fn main() {}
