//! Deferred calls as a collector and its writer see them.

mod calls;
mod collected;
mod damage;
mod fields;
mod same;
