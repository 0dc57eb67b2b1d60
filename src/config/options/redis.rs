//! `[redis]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    REDIS_URL {
        section: "redis", key: "url", secret: true, example: "rediss://airgate:password@redis.example.com:6379/0",
        allowed: "redis://[[user]:password@]host[:port][/database], the same with rediss:// for TLS, or unix:///path[?db=0&user=…&password=…]",
        help: "A Redis (5 or newer) that all replicas use: what is guessed at one counts at all. Without it, each counts by itself. What is not plain in user or password is written as %XX"
    }
    REDIS_CA_FILE {
        section: "redis", key: "ca_file", allowed: "a path", example: "/etc/ssl/redis-ca.pem",
        help: "PEM certificates that the certificate of Redis must chain to. Default: the system's"
    }
    REDIS_SECRET {
        section: "redis", key: "secret", secret: true, example: "a-long-random-text",
        help: "What names and addresses are hashed with before Redis gets them. The same for all replicas. Default: the first [api_auth] jwt_secret, else the password of url"
    }
    REDIS_TIMEOUT {
        section: "redis", key: "timeout", shape: Shape::Duration, allowed: SECONDS, default: "50ms",
        help: "The longest time that one question to Redis may take. A log-in asks two"
    }
}
