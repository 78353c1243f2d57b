//! Compiles this member, and no other, for loom: on the whole tree the flag would break tokio.

fn main() {
    println!("cargo::rustc-cfg=loom");
}
