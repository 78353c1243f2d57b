//! Sets `cfg(loom)` for this member alone: on the whole tree it would break other crates.

fn main() {
    std::io::Write::write_all(
        &mut std::io::stdout(),
        b"cargo::rustc-cfg=loom\ncargo::rustc-check-cfg=cfg(loom)\ncargo::rerun-if-changed=build.rs\n",
    )
    .expect("cargo reads what a build script prints");
}
