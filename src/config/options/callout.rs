//! `[callout.NAME]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    CALLOUT_URL {
        section: "callout.NAME", key: "url", allowed: "an http or https URL, without user or fragment", example: "http://127.0.0.1:9000/verify",
        help: "Where the service is asked: GET, without a body. Redirects are not followed. Required"
    }
    CALLOUT_HEADERS {
        section: "callout.NAME", key: "headers", shape: Shape::List, allowed: "the name of a request header that holds a credential", default: "Authorization",
        help: "The client's headers that go out, and no others. A request that has none of them is not for this service"
    }
    CALLOUT_TIMEOUT {
        section: "callout.NAME", key: "timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long an answer may take, connecting included. Then it cannot be told whether the credential is good"
    }
    CALLOUT_CA_FILE {
        section: "callout.NAME", key: "ca_file", allowed: "a path", example: "/etc/airgate/auth-ca.pem",
        help: "PEM certificates of authorities that may vouch for an https service, besides the system's"
    }
    CALLOUT_CACHE_TTL {
        section: "callout.NAME", key: "cache_ttl", shape: Shape::Duration, allowed: SECONDS, default: "0s",
        help: "How long an acceptance is taken for requests that look the same to the service: headers, method, target and address. What the service has taken back may work that long. 0 is off"
    }
    CALLOUT_AMBIENT {
        section: "callout.NAME", key: "ambient", allowed: "auto, yes or no", default: "auto",
        help: "Whether browsers send the credential by themselves, so that foreign pages must be kept from changing anything with it: auto (yes for a cookie, for Basic, Digest, Negotiate and NTLM, and for headers that any page may set), yes, no"
    }
    CALLOUT_CHALLENGE {
        section: "callout.NAME", key: "challenge", allowed: "printable ASCII", example: "Basic realm=\"example\"",
        help: "The WWW-Authenticate for who shows nothing to this service. One that the service itself sends goes before it. None by default"
    }
}
