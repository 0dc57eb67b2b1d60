//! The gate as a whole, where more than one of its parts is at work, and at times of the test's choice.

use super::*;
use crate::auth::basic::BasicAuth;
use crate::auth::basic::check::{CheckSettings, PasswordCheck, Source, SourceVerdict};
use crate::auth::cache::VerifiedCache;
use crate::auth::jwt::{Settings as JwtSettings, Signer};
use crate::auth::lockout::Lockout;
use crate::auth::{Identity, Origin};
use crate::gate::mint::{Directory, Member, Mode};
use crate::gate::route::{OtherRoutes, RouteSettings};
use crate::gate::token::AuthManager;
use crate::request::{Peer, RequestId};
use crate::secret::Secret;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use tokio::runtime::Handle;

/// When the first request comes.
fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// An upstream that knows every password, and issues a new token for each log-in.
#[derive(Default)]
struct Airflow {
    log_ins: AtomicUsize,
}

impl Airflow {
    /// How long its tokens live.
    const LIFE: Duration = Duration::from_secs(60);

    fn log_ins(&self) -> usize {
        self.log_ins.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for Airflow {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn fingerprint(&self) -> &str {
        ""
    }

    async fn check(&self, username: &str, _password: &Secret, now: SystemTime) -> SourceVerdict {
        let number = self.log_ins.fetch_add(1, Ordering::SeqCst) + 1;
        SourceVerdict::Accepted {
            identity: Identity { origin: Origin::Upstream, name: username.into() },
            onward: Onward::Issued(HeaderValue::try_from(format!("Bearer token-{number}")).unwrap()),
            expires: Some(now + Self::LIFE),
            seal: None,
        }
    }
}

fn gate(airflow: &Arc<Airflow>, mode: Mode, signer: Option<Signer>) -> Gate {
    let cache = Arc::new(VerifiedCache::new(100).unwrap());
    let lockout = Arc::new(Lockout::new());
    let check = |cache_ttl| {
        let settings = CheckSettings { cache_ttl, ..CheckSettings::default() };
        let sources: Vec<Arc<dyn Source>> = vec![airflow.clone()];
        let (cache, lockout) = (cache.clone(), lockout.clone());
        PasswordCheck::new(sources, settings, cache, lockout, Arc::default(), Handle::current())
    };
    let passwords = Arc::new(check(Duration::from_secs(3600)));
    let admin = Member { role: "admin".into(), teams: Vec::new() };
    let page = NonZeroU32::new(100).unwrap();
    Gate {
        quota: None,
        routes: Routes::new(RouteSettings {
            base_path: None,
            other_routes: OtherRoutes::Deny,
            experimental: false,
            ..RouteSettings::default()
        }),
        cors: None,
        limit: PageLimit::new(page, page),
        chain: Chain::new(vec![Arc::new(BasicAuth::new(passwords.clone()))]),
        mint: Mint::new(mode, signer, Directory::Simple([("admin".into(), admin)].into_iter().collect())),
        log_in: LogIn {
            auth_manager: AuthManager::Simple,
            passwords,
            keycloak: None,
            relay: check(Duration::ZERO),
            relay_cli: check(Duration::ZERO),
            life: Duration::from_secs(3600),
            cli_life: Duration::from_secs(600),
        },
        translator: Translator::new(
            translate::Settings::default(),
            Arc::new(Nobody),
            translate::workers::Workers::new(Handle::current(), NonZeroUsize::MIN),
        ),
    }
}

/// An upstream that is never asked.
struct Nobody;

#[async_trait]
impl crate::ports::StreamClient for Nobody {
    async fn open(
        &self,
        _: http::Request<Bytes>,
    ) -> Result<http::Response<Box<dyn crate::ports::Chunks>>, crate::ports::SendError> {
        Err(crate::ports::SendError::Timeout)
    }
}

/// A request of one client, at a time.
struct Client {
    head: http::request::Parts,
    target: &'static str,
    peer: Peer,
    now: SystemTime,
}

impl Client {
    fn new(method: Method, target: &'static str) -> Self {
        let request = http::Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, "airflow.example.com")
            .header(CONTENT_TYPE, "application/json");
        let address = Some([192, 0, 2, 1].into());
        let peer = Peer { address, connection: address, tls: false, trusted: false };
        Self { head: request.body(()).unwrap().into_parts().0, target, peer, now: epoch() }
    }

    /// `admin:admin-pw`.
    fn basic(mut self) -> Self {
        let value = HeaderValue::from_static("Basic YWRtaW46YWRtaW4tcHc=");
        self.head.headers.insert(AUTHORIZATION, value);
        self
    }

    /// Seconds after the first request.
    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now = epoch() + Duration::from_secs(seconds);
        self
    }

    async fn decide(&self, gate: &Gate) -> (Step, Outcome) {
        let mut outcome = Outcome::default();
        let id = RequestId::random();
        let step = gate.decide(&self.request(&id), &mut outcome).await;
        (step, outcome)
    }

    /// What the upstream is given, and by which grant.
    async fn forward(&self, gate: &Gate) -> (String, Arc<Grant>) {
        let (step, outcome) = self.decide(gate).await;
        let Step::Forward(forward) = step else { panic!("{step:?}") };
        assert!(forward.issued);
        let given = forward.headers.set.iter().find(|(name, _)| name == AUTHORIZATION);
        (given.unwrap().1.to_str().unwrap().to_owned(), outcome.grant.unwrap())
    }

    fn refused(&self, gate: &Gate, grant: &Arc<Grant>) -> bool {
        gate.refused(&self.request(&RequestId::random()), grant)
    }

    fn request<'a>(&'a self, id: &'a RequestId) -> Request<'a> {
        Request { head: &self.head, target: self.target.as_bytes(), peer: &self.peer, now: self.now, id }
    }
}

/// The upstream was started again with another secret, and refuses the tokens that it had issued.
#[tokio::test(start_paused = true)]
async fn a_token_that_the_upstream_refuses_is_fetched_anew_once() {
    let airflow = Arc::new(Airflow::default());
    let gate = gate(&airflow, Mode::Exchange, None);
    let mut client = Client::new(Method::GET, "/api/v2/dags").basic();
    let (given, first) = client.forward(&gate).await;
    assert_eq!(given, "Bearer token-1");

    // So soon it is a right that is missing: asking again would cost a log-in with every request.
    assert!(!client.after(9).refused(&gate, &first));
    assert_eq!(client.forward(&gate).await.0, "Bearer token-1");
    assert_eq!(airflow.log_ins(), 1);

    assert!(client.after(10).refused(&gate, &first), "it is old enough");
    let (given, second) = client.forward(&gate).await;
    assert_eq!(given, "Bearer token-2", "at once");

    // A late refusal of the first, and one of the second, which is new.
    assert!(!client.after(19).refused(&gate, &first));
    assert!(!client.after(19).refused(&gate, &second));
    assert_eq!(client.forward(&gate).await.0, "Bearer token-2");
    assert_eq!(airflow.log_ins(), 2);
}

/// The password has no end; the token that the upstream gave to the gate for it has one, which is none of
/// the client's business.
#[tokio::test]
async fn a_token_for_a_password_lives_its_whole_life() {
    let settings = JwtSettings { secrets: vec![Secret::new("a-secret")], ..JwtSettings::default() };
    let signer = settings.build(|_| unreachable!()).unwrap().signer;
    let gate = gate(&Arc::new(Airflow::default()), Mode::Mint, signer);
    let body = br#"{"username": "admin", "password": "admin-pw"}"#;
    for (name, target, client, body, life) in [
        ("a password", "/auth/token", Client::new(Method::POST, "/auth/token"), &body[..], 3600),
        ("of the command line", "/auth/token/cli", Client::new(Method::POST, "/auth/token/cli"), body, 600),
        ("in the header", "/auth/token", Client::new(Method::POST, "/auth/token").basic(), b"", 3600),
    ] {
        let mut client = client;
        for seconds in [0, 30] {
            let at = format!("{name}, {target}, after {seconds} s");
            let (step, mut outcome) = client.after(seconds).decide(&gate).await;
            let Step::Body(pending) = step else { panic!("{at}: {step:?}") };
            let id = RequestId::random();
            let resumed =
                gate.resume(pending, &client.request(&id), Bytes::from_static(body), &mut outcome).await;
            let Resumed::Whole(reply) = resumed else { panic!("{at}: a stream") };
            assert_eq!(reply.status, StatusCode::CREATED, "{at}");
            let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            let payload = answer["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
            let claims: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), life, "{at}");
        }
    }
}

/// Browsers send no credentials with a preflight. Without a policy here the upstream may have one.
#[tokio::test]
async fn without_cors_a_preflight_is_the_upstreams() {
    let gate = gate(&Arc::new(Airflow::default()), Mode::Exchange, None);
    let preflight = ("access-control-request-method", "POST");
    let origin = ("origin", "https://ui.example.com");
    for (name, target, headers, expected) in [
        ("of the API", "/api/v2/pools", &[origin, preflight][..], None),
        ("of a token endpoint", "/auth/token", &[origin, preflight], None),
        ("of what is not let through", "/dags", &[origin, preflight], Some(404)),
        ("no preflight: no origin", "/api/v2/pools", &[preflight], Some(401)),
        ("no preflight: no method", "/api/v2/pools", &[origin], Some(401)),
    ] {
        let mut client = Client::new(Method::OPTIONS, target);
        client.head.headers.extend(
            headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        let answered = match client.decide(&gate).await.0 {
            Step::Reply(reply) => Some(reply.status.as_u16()),
            Step::Forward(forward) => {
                assert!(forward.headers.set.iter().all(|(name, _)| name != AUTHORIZATION), "{name}");
                None
            }
            Step::Body(_) => panic!("{name}: its body is wanted"),
        };
        assert_eq!(answered, expected, "{name}");
    }
}
