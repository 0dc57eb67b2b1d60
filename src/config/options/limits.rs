//! `[limits]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    LIMITS_HEADER_TIMEOUT {
        section: "limits", key: "header_timeout", shape: Shape::Duration, allowed: SECONDS, default: "10s",
        help: "The head of a request must be complete by then, else the connection is closed. A body that airgate itself reads has as long again, then 408"
    }
    LIMITS_MAX_HEADERS {
        section: "limits", key: "max_headers", shape: Shape::Integer, allowed: "a whole number from 1 to 256", default: "100",
        help: "Header lines of a request. More is 431"
    }
    LIMITS_MAX_BODY {
        section: "limits", key: "max_body", shape: Shape::Integer, allowed: "a whole number from 1 to 33554432", default: "131072",
        help: "Bytes of a request body that airgate itself reads: log-ins, and lists with their filter in the body, of which it reads 65536 at most. More is 413. Other bodies stream, without limit"
    }
    LIMITS_MAX_TRANSLATED_BODY {
        section: "limits", key: "max_translated_body", shape: Shape::Integer, allowed: "a whole number from 1 to 33554432", default: "4194304",
        help: "Bytes of the body of a request for an API of Airflow 2 that is translated, such as one with a `conf`. More is 413. While such a request is served, it takes some six times as much memory"
    }
    LIMITS_MAX_CONNECTIONS {
        section: "limits", key: "max_connections", shape: Shape::Integer, allowed: "a whole number from 0 to 10000000", default: "10000",
        help: "Connections at a time. 0 is no limit"
    }
    LIMITS_REQUESTS_PER_USER {
        section: "limits", key: "requests_per_user", allowed: "requests in a time, such as \"20/s\", \"600/m\" or \"5000/h\"", example: "600/m",
        help: "Requests that one user may make; more are 429. All of them may come at once. Each replica counts by itself. No limit by default"
    }
    LIMITS_MAX_CONNECTIONS_PER_ADDRESS {
        section: "limits", key: "max_connections_per_address", shape: Shape::Integer, allowed: "a whole number from 0 to 10000000", default: "0",
        help: "Connections at a time from one address; of IPv6, from one /64. 0 is no limit, which is right behind a proxy: there all connections have its address"
    }
}
