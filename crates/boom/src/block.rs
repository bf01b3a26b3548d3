//! One block of a boom file or its tail, decoded.
