//! The pipeline as a whole, with a store that is told what to do.

mod admission;
mod kit;
mod shutdown;
mod store_faults;
mod workers;
