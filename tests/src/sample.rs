//! The image of the sample service: one layer with one static binary.

use std::io;
use std::path::Path;

use crate::image::{Config, Image, root};

/// A binary cannot be made into an image of its own.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error(
        "the sample service is not a static 64-bit ELF binary, so it cannot run alone in an image; use `make build`"
    )]
    NotStatic,
    #[error("cannot build the image sample:{version}")]
    Build {
        version: String,
        #[source]
        cause: io::Error,
    },
}

/// Returns the image `sample:VERSION`, which runs `binary` with `VERSION` in its environment.
///
/// # Errors
/// Refuses a binary that needs a dynamic loader: the image has none.
pub fn image(version: &str, binary: &[u8]) -> Result<Image, SampleError> {
    if needs_loader(binary) != Some(false) {
        return Err(SampleError::NotStatic);
    }
    let config = Config {
        entry_point: vec!["/sample-service".to_owned()],
        environment: vec![format!("VERSION={version}")],
        ..Config::default()
    };
    root(&[(Path::new("/sample-service"), 0o755, binary)])
        .and_then(|root| Image::new(&format!("sample:{version}"), &root, &config))
        .map_err(|cause| SampleError::Build {
            version: version.to_owned(),
            cause,
        })
}

/// Returns whether an ELF binary names a loader (a program header PT_INTERP, elf(5)); `None` if it is no such file.
fn needs_loader(binary: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let two = |at: usize| Some(u16::from_le_bytes(binary.get(at..at + 2)?.try_into().ok()?));
    let offset = u64::from_le_bytes(binary.get(0x20..0x28)?.try_into().ok()?);
    let (size, count) = (two(0x36)?, two(0x38)?);
    for index in 0..usize::from(count) {
        let at = usize::try_from(offset).ok()? + index * usize::from(size);
        let kind = u32::from_le_bytes(binary.get(at..at + 4)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_binary_and_a_script_are_refused() {
        let shell = std::fs::read("/bin/sh").unwrap();
        assert_eq!(needs_loader(&shell), Some(true));
        assert_eq!(needs_loader(b"#!/bin/sh\n"), None);
        assert!(matches!(image("v1", &shell), Err(SampleError::NotStatic)));
    }
}
