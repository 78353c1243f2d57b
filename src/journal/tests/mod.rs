//! The journal on a disk that breaks when it is told to, and that disk's own tests.

mod chance;
mod disk_tests;
mod fake_disk;
pub(crate) mod fake_fs;
mod fake_fs_tests;
