//! `[ldap]`.

use super::{BLANK, Opt, SECONDS, Shape};

options! {
    LDAP_SERVER {
        section: "ldap", key: "server", shape: Shape::List, allowed: "a URL such as \"ldap://ldap.example.com\" or \"ldaps://ldap.example.com:636\"", example: "ldaps://ldap.example.com",
        help: "The directory: ldap:// (port 389) or ldaps:// (port 636). Several hold the same and are tried in turn. Required with the source ldap"
    }
    LDAP_USE_TLS {
        section: "ldap", key: "use_tls", shape: Shape::Boolean, allowed: "true or false", default: "false",
        help: "Whether TLS begins by StartTLS, over ldap://. A server that refuses it is not used"
    }
    LDAP_TLS_CACERTFILE {
        section: "ldap", key: "tls_cacertfile", allowed: "a path", example: "/etc/airgate/ldap-ca.pem",
        help: "PEM certificates of the authorities that may vouch for the server, or the server's own self-signed one. Default: the system's. Certificates are always verified"
    }
    LDAP_TLS_CERTFILE {
        section: "ldap", key: "tls_certfile", allowed: "a path", example: "/etc/airgate/ldap-client.pem",
        help: "A PEM certificate to show to a server that asks for one. Needs tls_keyfile"
    }
    LDAP_TLS_KEYFILE {
        section: "ldap", key: "tls_keyfile", allowed: "a path", example: "/etc/airgate/ldap-client-key.pem",
        help: "The PEM private key of tls_certfile"
    }
    LDAP_SEARCH {
        section: "ldap", key: "search", allowed: "a distinguished name", example: "ou=people,dc=example,dc=com",
        help: "Where users are searched for. Exactly one entry must match"
    }
    LDAP_SEARCH_FILTER {
        section: "ldap", key: "search_filter", allowed: "a search filter in brackets (RFC 4515)", example: "(memberOf=cn=airflow,ou=groups,dc=example,dc=com)",
        help: "What an entry must match besides the name"
    }
    LDAP_UID_FIELD {
        section: "ldap", key: "uid_field", allowed: "an attribute's name", default: "uid",
        help: "The attribute that holds the user's name: what is searched for, and who the user is in Airflow, as the directory spells it. In Active Directory sAMAccountName. No user may be able to change it"
    }
    LDAP_BIND_USER {
        section: "ldap", key: "bind_user", allowed: "a distinguished name", example: "cn=airgate,dc=example,dc=com",
        help: "The account that searches for the user, whose entry is then bound with the password. Without it the user's own name is bound, made by username_format and append_domain"
    }
    LDAP_BIND_PASSWORD {
        section: "ldap", key: "bind_password", secret: true, example: "{ file = \"/run/secrets/ldap_password\" }",
        help: "The password of bind_user"
    }
    LDAP_USERNAME_FORMAT {
        section: "ldap", key: "username_format", allowed: "a text with %s in it", example: "uid=%s,ou=people,dc=example,dc=com",
        help: "Without bind_user: the name to bind, with %s for the user's, which is escaped in a distinguished name. Other names, such as EXAMPLE\\%s, need search"
    }
    LDAP_APPEND_DOMAIN {
        section: "ldap", key: "append_domain", allowed: "a domain", example: "example.com",
        help: "Without bind_user: put behind the user's name with an @ before it is bound, for Active Directory"
    }
    LDAP_CONNECT_TIMEOUT {
        section: "ldap", key: "connect_timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long connecting to one server may take, TLS included. Then the next is tried. A whole check takes at most 25 s"
    }
    LDAP_READ_TIMEOUT {
        section: "ldap", key: "read_timeout", shape: Shape::Duration, allowed: SECONDS, default: "5s",
        help: "How long a server may take for one answer"
    }
}
