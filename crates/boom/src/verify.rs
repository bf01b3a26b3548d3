//! Checks every checksum and every seq of a boom file.
