//! What a line must hold to match, as grams that a filter can look up.
