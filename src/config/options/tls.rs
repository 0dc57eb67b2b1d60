//! `[server.tls]`.

use super::{BLANK, Opt, Shape};

options! {
    SERVER_TLS_CERTIFICATE {
        section: "server.tls", key: "certificate", shape: Shape::ArrayList, allowed: "a path, or an array of paths", example: "/etc/airgate/tls.crt",
        help: "A PEM file with the certificate that clients are shown, and what it chains to. With it, [server] listen takes TLS 1.2 and 1.3, with HTTP/1.1 and HTTP/2; Unix sockets do not. Of several, the first that has the name that the client asks for is shown, else the first. Read again when the file changes"
    }
    SERVER_TLS_KEY {
        section: "server.tls", key: "key", shape: Shape::ArrayList, allowed: "a path, or an array of paths", example: "/etc/airgate/tls.key",
        help: "The PEM private key of certificate; of several, in the same order"
    }
    SERVER_TLS_CLIENT_CA {
        section: "server.tls", key: "client_ca", allowed: "a path", example: "/etc/airgate/client-ca.pem",
        help: "PEM certificates of the authorities that must vouch for a client's certificate. Whoever has none is turned away before any request. By default clients need none"
    }
}
