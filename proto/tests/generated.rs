//! The committed prost types are those of `pgevents.proto`. By itself, so that it can write types
//! that other tests use already.

use std::{fs, path::Path};

#[test]
fn committed_types_are_those_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/v1.rs");
    let fresh = generate(root);
    if fs::read_to_string(&committed).unwrap_or_default() != fresh {
        fs::write(&committed, fresh).expect("rewrite v1.rs");
        panic!("src/v1.rs was not up to date; it is now, so commit it");
    }
}

/// Compiles the contract without `protoc`, so that nothing has to be installed for it.
fn generate(root: &Path) -> String {
    let descriptors = protox::compile(["pgevents.proto"], [root]).expect("compile pgevents.proto");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(&out).expect("create output folder");
    prost_build::Config::new()
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("generate types");
    fs::read_to_string(out.join("pgevents.v1.rs")).expect("read generated types")
}
