//! The settings, layer by layer, and the data directory.
