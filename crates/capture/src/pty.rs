//! Terminals for the command: one for each stream, or one for everything.
