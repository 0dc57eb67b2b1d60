//! `[server]`.

use super::{ADDRESSES, BLANK, Opt, SECONDS, Shape};

options! {
    SERVER_LISTEN {
        section: "server", key: "listen", shape: Shape::List, allowed: ADDRESSES, default: "127.0.0.1:8081",
        help: "Where requests are taken: address and port, or unix:/run/airgate.sock. Port 0 lets the system choose"
    }
    SERVER_THREADS {
        section: "server", key: "threads", shape: Shape::Integer, allowed: "a whole number from 0 to 1024", default: "0",
        help: "Threads that serve requests. 0 is one per core"
    }
    SERVER_GRACE_PERIOD {
        section: "server", key: "grace_period", shape: Shape::Duration, allowed: SECONDS, default: "20s",
        help: "How long a shutdown waits for running requests, at most: it ends with the last one"
    }
    SERVER_DRAIN_DELAY {
        section: "server", key: "drain_delay", shape: Shape::Duration, allowed: SECONDS, default: "0s",
        help: "On SIGTERM: how long requests are still accepted while /readyz already says no. Kubernetes needs a few seconds until it has taken the pod out of its endpoints"
    }
    SERVER_TRUSTED_PROXIES {
        section: "server", key: "trusted_proxies", shape: Shape::List, allowed: "an address such as \"10.0.0.7\", a network such as \"10.0.0.0/8\", or \"unix\"",
        example: "10.0.0.0/8",
        help: "Proxies in front whose X-Forwarded-For, -Proto and -Host are believed, read from the right. \"unix\" is whoever connects to a Unix socket of listen; without it the clients of one have no address, and share one lock-out. None by default"
    }
}
