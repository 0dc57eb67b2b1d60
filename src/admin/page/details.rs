//! What only the status page tells.

use std::time::SystemTime;

/// Who gets to see the status page: `[admin] page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visible {
    /// Nobody.
    Off,
    /// Who asks from this machine, or this pod.
    #[default]
    Loopback,
    /// Whoever reaches the port.
    All,
}

/// What only the status page tells.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Who gets to see it.
    pub visible: Visible,
    /// `[admin] hosts`: names that it may be asked for by.
    pub hosts: Vec<String>,
    /// When the process started.
    pub started: Option<SystemTime>,
    /// When the configuration in force was loaded.
    pub loaded: Option<SystemTime>,
    /// Which Airflow requests are treated for, if that is known.
    pub airflow: Option<u8>,
    /// Certificates, keys, and the files that the configuration was read from.
    pub materials: Vec<Material>,
    /// The options that somebody has set.
    pub settings: Vec<Setting>,
}

/// A certificate, a set of keys, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// What it is.
    pub kind: &'static str,
    /// Its URL or path.
    pub name: String,
    /// When it was made, fetched or last changed.
    pub since: Option<SystemTime>,
    /// When it ends.
    pub until: Option<SystemTime>,
}

/// An option in force. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its section, with brackets.
    pub section: String,
    /// Its key.
    pub key: String,
    /// Its value, as it was written.
    pub value: String,
    /// Where it was written.
    pub at: String,
    /// What is written now, where that waits for an upgrade or a restart.
    pub waiting: Option<Next>,
}

/// A value that is written, and not in force yet. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The value, as it was written.
    pub value: String,
    /// Where it was written.
    pub at: String,
}
