//! The pipeline as a whole, with a store that is told what to do.

mod admission;
mod dead_letters;
mod durable;
mod gated_disk;
mod kit;
mod pages;
mod shutdown;
mod store_faults;
mod tail;
mod workers;
