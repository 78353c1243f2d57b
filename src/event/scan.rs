//! A strict, string-aware scanner of JSON text.
