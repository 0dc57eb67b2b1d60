//! The files that nobody has named and that must stay, as one process tells them to the one that follows it: without
//! one of them options would silently have their defaults again, and the gate might be open.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The variable that tells them, one a line.
pub const VARIABLE: &str = "AIRGATE_HELD_FILES";

/// The value of [`VARIABLE`] that tells these.
pub fn told(files: &[PathBuf]) -> OsString {
    let lines: Vec<_> = files.iter().map(|file| file.as_os_str()).collect();
    lines.join(OsStr::new("\n"))
}

/// What a value of [`VARIABLE`] tells.
pub fn read(value: &OsStr) -> Vec<PathBuf> {
    let lines = value.as_bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        for files in [
            &[][..],
            &["/opt/a: b/airgate.toml".into()],
            &["/etc/airgate/airgate.toml".into(), OsStr::from_bytes(b"/opt/\xff/airflow.cfg").into()],
        ] {
            assert_eq!(read(&told(files)), files);
        }
    }
}
