//! Calls whose formatting is left to the writer.
