//! The journal on file systems that crash, lie and rot.

mod crash;
mod damage;
mod fake_fs;
mod golden;
mod kit;
mod running;
