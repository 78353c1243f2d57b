//! The journal on file systems that crash, lie and rot.

mod chance;
mod crash;
mod damage;
mod disk_tests;
mod fake_disk;
mod fake_fs;
mod fake_fs_tests;
mod golden;
mod hardship;
mod kit;
mod running;
