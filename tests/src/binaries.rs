//! Finds the binaries under test: the very ones that users get, built statically by `make build`.

use std::path::{Path, PathBuf};

/// Returns the `ctl` to test: `$ROADSTEAD_CTL`, or else what `make build` has left in the workspace.
///
/// # Panics
/// Panics when there is none, and says how to get one: nothing can be tested without it.
#[must_use]
pub fn ctl() -> PathBuf {
    if let Some(path) = std::env::var_os("ROADSTEAD_CTL") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "ROADSTEAD_CTL names {}, which is no file",
            path.display()
        );
        return path;
    }
    built("ctl")
}

/// Returns the sample service, beside `ctl`.
///
/// # Panics
/// Panics when there is none, as `ctl` does.
#[must_use]
pub fn sample_service() -> PathBuf {
    let beside = ctl().with_file_name("sample-service");
    if beside.is_file() {
        beside
    } else {
        built("sample-service")
    }
}

fn built(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let static_build = format!(
        "target/{}-unknown-linux-gnu/release",
        std::env::consts::ARCH
    );
    [static_build.as_str(), "target/release", "target/debug"]
        .iter()
        .map(|folder| workspace.join(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("there is no `{name}` to test; `make test` builds it and runs the tests")
        })
}
