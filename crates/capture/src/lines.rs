//! Turns the bytes of a stream into lines.
