//! What the tests stand on: an airgate of one's own, something behind it, something that asks.

pub mod airflow;
pub mod airgate;
pub mod bare;
pub mod browser;
pub mod client;
pub mod database;
pub mod h2load;
#[cfg(feature = "kerberos")]
pub mod kdc;
pub mod keycloak;
pub mod ldap;
pub mod load;
pub mod prometheus;
pub mod redis;
pub mod relay;
pub mod tls;
pub mod token;
pub mod upstream;

pub use airgate::Airgate;
pub use client::{Answer, Ask, Connection, ask, delete, get, head, options, post, put};
pub use upstream::{Closed, Upstream};

/// Renews a volume as Kubernetes does it: the files lie in a folder of their own, and `..data`, by way of which
/// they are read, is a link that is changed at once for all of them. The folder before is gone then.
pub fn swap_volume(home: &std::path::Path, version: &str, files: &[(&str, &[u8])]) {
    let (folder, link, data) = (home.join(version), home.join("link"), home.join("..data"));
    std::fs::create_dir(&folder).unwrap();
    for (file, bytes) in files {
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    let before = std::fs::read_link(&data).ok();
    std::os::unix::fs::symlink(version, &link).unwrap();
    std::fs::rename(&link, &data).unwrap();
    if let Some(before) = before {
        std::fs::remove_dir_all(home.join(before)).unwrap();
    }
}
