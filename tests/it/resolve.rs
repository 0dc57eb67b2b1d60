//! Names of the upstream, whose addresses change: the system's resolver is asked, and reads `/etc/hosts`, which is the
//! test's own in a mount namespace of airgate's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Closed, get};

const ENTER: &str = r#"#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ -z "$ENTERED" ]; then
  ENTERED=1 exec unshare $HOW "$0" "$@"
fi
mount --bind hosts /etc/hosts || exit 77
exec "$AIRGATE" "$@"
"#;

/// How one may have a mount namespace here, if at all.
fn how() -> Option<&'static str> {
    let can = |how: &&str| {
        let tried = Command::new("unshare").args(how.split(' ')).args(["true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    ["--mount", "--user --map-root-user --mount"].into_iter().find(can)
}

#[test]
fn a_name_that_moves_is_followed_without_a_restart() {
    let Some(how) = how() else {
        eprintln!("skipped: no mount namespace here");
        return;
    };
    // The same port at two addresses.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = |last: u8| {
        let place = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
        Closed::at(place).open(move |_| answer(200, &[], &format!("{{\"at\": {last}}}")))
    };
    let (first, second) = (serve(1), serve(2));
    let hosts = |last: u8| format!("127.0.0.1 localhost\n127.0.0.{last} airflow.test\n");
    let config = format!(
        "[upstream]\nurl = \"http://airflow.test:{port}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[log]\naccess = false\n"
    );
    let setup = Airgate::with(config)
        .file("hosts", hosts(1))
        .file("enter", ENTER)
        .env("HOW", how)
        .env("AIRGATE", env!("CARGO_BIN_EXE_airgate"));
    let program = setup.home().join("enter");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let gate = setup.program(program).start();
    let healthy = |last: u8| {
        let address = IpAddr::from([127, 0, 0, last]);
        format!("airgate_upstream_healthy{{upstream=\"{address}:{port}\"}}")
    };
    let ask = || gate.send(get("/api/v2/dags").bearer(&token::good("admin"))).told();
    gate.counts(&healthy(1), 1.0);
    assert_eq!(ask(), (200, "{\"at\": 1}".into()));

    // In place: what is mounted is this very file.
    std::fs::write(gate.home().join("hosts"), hosts(2)).unwrap();
    first.kill();
    gate.counts(&healthy(2), 1.0);
    assert_eq!(ask(), (200, "{\"at\": 2}".into()));
    assert_eq!(gate.metric(&healthy(1)), 0.0, "the old one is forgotten");
    assert!(!gate.admin("/metrics").text().contains(&healthy(1)));
    drop(second);
}
