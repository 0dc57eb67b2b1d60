//! More log-ins than hashes can be computed.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::token::{self, SECRET};
use crate::support::{Airgate, Upstream, get};

/// Longest until the first is refused, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
pub fn beyond_the_queue_log_ins_are_503_and_tokens_go_on() {
    let upstream = Upstream::start();
    let config = format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n\
         [basic]\nsources = \"file\"\nusers_file = \"users.htpasswd\"\n[lockout]\nattempts = 0\n"
    );
    // Half a second each.
    let users = format!("admin:{}\n", bcrypt::hash("right", 13).unwrap());
    let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", upstream.url()))
        .file("users.htpasswd", users)
        .start();
    // 64 wait, and at most half the cores compute.
    let cores = std::thread::available_parallelism().unwrap().get();
    let (told, answers) = channel();
    for number in 0..64 + cores + 16 {
        let ask = get("/api/v2/pools/a").basic(&format!("user-{number}"), "wrong");
        // Of one network alone fewer are taken.
        let (told, ask) = (told.clone(), ask.with("X-Forwarded-For", format!("198.51.{number}.1")));
        let address = gate.address();
        // Left alone with its answer when the gate goes.
        std::thread::spawn(move || {
            if let Ok(answer) = ask.try_send(address) {
                let _ = told.send(answer);
            }
        });
    }
    let refused = loop {
        let answer = answers.recv_timeout(PATIENCE).unwrap();
        if answer.status != 401 {
            break answer;
        }
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(gate.metric("airgate_hash_checks_rejected_total") >= 1.0);
    assert!(gate.metric("airgate_hash_checks_running") <= (cores / 2).max(1) as f64);
    // Who has a token notices nothing.
    let bearer = get("/api/v2/pools/a").bearer(&token::good("admin"));
    assert_eq!(gate.send(bearer).status, 200);
}
