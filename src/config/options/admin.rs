//! `[admin]`.

use super::{ADDRESSES, BLANK, Opt, Shape};

options! {
    ADMIN_LISTEN {
        section: "admin", key: "listen", allowed: ADDRESSES, default: "127.0.0.1:9091",
        help: "Where /metrics, /healthz and /readyz are served. Whoever reaches it may read them"
    }
    ADMIN_PAGE {
        section: "admin", key: "page", allowed: "off, loopback or all", default: "loopback",
        help: "Who sees the status page at / of that port: off (nobody), loopback (who asks from this machine or pod), all (whoever reaches the port). It shows traffic, refusals with addresses of clients, and the configuration, but no secret"
    }
    ADMIN_HOSTS {
        section: "admin", key: "hosts", shape: Shape::List, allowed: "a host name without port", example: "airgate.example.com",
        help: "Names by which the status page may be asked for, besides localhost and addresses: a page of somebody else's whose name was made to point here is refused by it"
    }
}
