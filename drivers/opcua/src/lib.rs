//! OPC UA servers as a source.

pub mod browse;
pub mod history;
pub mod security;

/// An empty folder for a test, of its own.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("gwp-opcua-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}
