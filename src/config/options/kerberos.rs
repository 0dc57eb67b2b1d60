//! `[kerberos]`.

use super::{BLANK, Opt, Shape};

options! {
    KERBEROS_KEYTAB {
        section: "kerberos", key: "keytab", allowed: "a path", example: "/etc/airflow/airflow.keytab", airflow: true,
        help: "The keytab with the keys of the service that clients ask for, airflow/fqdn@REALM or HTTP/fqdn@REALM. It is read for each token, so one that was replaced is used at once. Default: what KRB5_KTNAME or krb5.conf names"
    }
    KERBEROS_PRINCIPAL {
        section: "kerberos", key: "principal", allowed: "service/host@REALM, service/host or service/_HOST", example: "airflow/airflow.example.com@EXAMPLE.COM", airflow: true,
        help: "The only entry of the keytab that is used; with _HOST for the host, all of that service. A name without a host, such as Airflow's own default, is that of its ticket renewer and limits nothing. Default: any entry"
    }
    KERBEROS_LOCAL_REALMS {
        section: "kerberos", key: "local_realms", shape: Shape::List, allowed: "a realm such as EXAMPLE.COM", example: "EXAMPLE.COM",
        help: "Realms whose users are named without their realm: alice instead of alice@EXAMPLE.COM. None by default, as Airflow asks users to be named user@REALM"
    }
    KERBEROS_REPLAY_CACHE {
        section: "kerberos", key: "replay_cache", allowed: "a path", example: "/var/cache/airgate",
        help: "The folder in which used tokens are remembered. It must be there and writable. Default: what KRB5RCACHENAME or krb5.conf names, else /var/tmp"
    }
}
