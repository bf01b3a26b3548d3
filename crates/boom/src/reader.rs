//! Reads a boom file and its tail: sealed, live, or left behind by a killed writer.
