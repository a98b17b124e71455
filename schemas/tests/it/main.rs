//! What the dictionary promises to the world outside: JSON Schemas, documents and fixtures that agree with the types.

mod documents;
mod fixtures;
mod json_schemas;
mod messages;

/// Set to write the generated files anew; then read the difference before you commit it.
const WRITE: &str = "ROOST_WRITE_SCHEMAS";

/// Compares a generated file with what stands in the repository, or writes it.
#[expect(clippy::disallowed_methods, reason = "who asks for it has the generated files written")]
fn assert_generated(path: &std::path::Path, expected: &str) {
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the types say; write it anew with `{WRITE}=1 cargo test -p schemas --test it`, read the \
         difference (what was written before must decode for ever), and commit it",
        path.display()
    );
}

/// The directory of this crate.
fn crate_dir() -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
