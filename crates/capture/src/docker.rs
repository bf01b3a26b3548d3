//! What containers print, from where a Docker engine keeps it.

pub mod jsonfile;
pub mod logfile;
pub mod tailer;
