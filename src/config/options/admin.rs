//! `[admin]`.

use super::{ADDRESSES, BLANK, Opt};

options! {
    ADMIN_LISTEN {
        section: "admin", key: "listen", allowed: ADDRESSES, default: "127.0.0.1:9091",
        help: "Where /metrics, /healthz and /readyz are served. Whoever reaches it may read them"
    }
}
