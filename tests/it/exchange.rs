//! Without a key: the token that the upstream issued for a name and password goes on in their place.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Upstream, get, post};

/// Issues `token-1.x.y`, `token-2.x.y`, … for any password but `wrong`, and answers as told to the rest.
fn issuing(rest: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
    let issued = AtomicUsize::new(0);
    Upstream::answering(move |seen| match seen.target.as_str() {
        "/auth/token" if String::from_utf8_lossy(&seen.body).contains("wrong") => {
            answer(401, &[], "{\"detail\": \"Invalid credentials\"}")
        }
        "/auth/token" => {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            answer(201, &[], &format!("{{\"access_token\": \"token-{number}.x.y\"}}"))
        }
        _ => rest(seen),
    })
}

fn pool() -> Ask {
    get("/api/v2/pools/a").basic("admin", "admin-pw")
}

/// What the upstream was asked, with the credential that it was shown.
fn asked(upstream: &Upstream) -> Vec<String> {
    let shown = |seen: &Seen| format!("{} {}", seen.target, seen.all("authorization").join(", "));
    upstream.seen().iter().map(shown).collect()
}

#[test]
fn one_log_in_serves_many_requests() {
    let upstream = issuing(|_| answer(200, &[], "{}"));
    let gate = Airgate::before(&upstream.url(), "");
    for _ in 0..3 {
        assert_eq!(gate.send(pool().with("Cookie", "session=a.b.c; theme=dark")).status, 200);
    }
    assert_eq!(gate.send(get("/api/v2/pools/a").basic("admin", "wrong")).status, 401);
    let with_token = "/api/v2/pools/a Bearer token-1.x.y";
    assert_eq!(asked(&upstream), ["/auth/token ", with_token, with_token, with_token, "/auth/token "]);
    let cookies: Vec<_> = upstream.seen().iter().flat_map(|s| s.header("cookie").map(String::from)).collect();
    assert_eq!(cookies, ["theme=dark"; 3], "Airflow's own cookie could say that it is somebody else");
}

#[test]
fn without_a_cache_every_request_logs_in() {
    let upstream = issuing(|_| answer(200, &[], "{}"));
    let gate = Airgate::before(&upstream.url(), "[basic]\ncache_ttl = \"0s\"\n");
    for _ in 0..2 {
        assert_eq!(gate.send(pool()).status, 200);
    }
    assert_eq!(
        asked(&upstream),
        [
            "/auth/token ",
            "/api/v2/pools/a Bearer token-1.x.y",
            "/auth/token ",
            "/api/v2/pools/a Bearer token-2.x.y"
        ]
    );
}

/// A token this new is refused for a right that the user does not have: the refusal is the answer, and no
/// further request costs a log-in. (What happens with one that has been good for a while is tested where
/// the clock can be set, in `gate::tests`.)
#[test]
fn a_refusal_of_a_new_token_is_passed_on() {
    for (name, ask, status) in [
        ("a read, 403", pool(), 403),
        ("a read, 401", pool(), 401),
        ("a change, 403", post("/api/v2/pools/a").basic("admin", "admin-pw").body("{}"), 403),
    ] {
        let upstream = issuing(move |_| answer(status, &[], "{\"detail\": \"Forbidden\"}"));
        let gate = Airgate::before(&upstream.url(), "");
        for _ in 0..2 {
            let refused = gate.send(ask.clone());
            assert_eq!((refused.status, refused.detail()), (status, "Forbidden".into()), "{name}");
        }
        let with_token = "/api/v2/pools/a Bearer token-1.x.y";
        assert_eq!(asked(&upstream), ["/auth/token ", with_token, with_token], "{name}");
    }
}

/// Log-ins at the same time for the same name and password are one.
#[test]
fn many_at_once_log_in_once() {
    let upstream = issuing(|_| answer(200, &[], "{}"));
    let gate = Airgate::before(&upstream.url(), "");
    std::thread::scope(|scope| {
        let many: Vec<_> = (0..8).map(|_| scope.spawn(|| gate.send(pool()).status)).collect();
        for one in many {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
    let log_ins = asked(&upstream).iter().filter(|asked| asked.starts_with("/auth/token")).count();
    assert_eq!(log_ins, 1);
}
