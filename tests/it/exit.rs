//! How the process ends.

use crate::support::{Airgate, Upstream, get};

#[test]
fn a_stop_ends_with_success() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::start();
        let mut gate = Airgate::before(&upstream.url(), "");
        assert_eq!(gate.send(get("/api/v2/version")).status, 200);
        gate.signal(signal);
        let status = gate.wait();
        assert!(status.success(), "{signal}: {status}\n{}", gate.log());
        gate.logs("drained");
    }
}
