//! One producer's bytes on their way to the writer, in a file that outlives a killed process.
