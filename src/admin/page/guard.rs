//! What keeps the status page to those whom it is for.

use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Details, SCRIPT, STYLE, Visible};

/// `Content-Security-Policy`: this document's own style and script, and looks at itself.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        format!("'sha256-{}'", STANDARD.encode(digest))
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// Whether a `Host` is one that only a person or program on the way here would use. A page of somebody else's,
/// whose name was made to point here, has its own name in it (DNS rebinding).
pub fn host_is_ours(host: Option<&str>, details: &Details) -> bool {
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let known = |other: &String| name.eq_ignore_ascii_case(other);
    name.eq_ignore_ascii_case("localhost")
        || details.hosts.iter().any(known)
        || name.parse::<IpAddr>().is_ok_and(|address| match details.visible {
            Visible::All => true,
            Visible::Loopback | Visible::Off => address.to_canonical().is_loopback(),
        })
}
