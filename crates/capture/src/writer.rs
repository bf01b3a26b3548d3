//! The one thread of a run that numbers its records and writes them down.
