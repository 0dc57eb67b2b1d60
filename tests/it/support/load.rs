//! Many clients at a time, and what became of each request.
//!
//! A request has a name of its own, which its target carries, so that the upstream knows it too. Of a request
//! that the upstream has seen the client must have an answer: its head was read. One that got lost before, on
//! a connection that was closed in that very moment, a client sends again, as HTTP clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::client::{Answer, Ask, Connection};
use super::tls::{Client, Secure};

/// How long answers may stay out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients at work.
pub struct Load<'a> {
    to: SocketAddr,
    ask: &'a (dyn Fn(&str) -> Ask + Sync),
    tls: bool,
    keeps: bool,
    stop: AtomicBool,
    next: AtomicUsize,
    ended: Mutex<Ended>,
    more: Condvar,
}

/// What became of the requests.
#[derive(Default, Clone)]
pub struct Ended {
    /// How many answers of each status.
    pub statuses: BTreeMap<u16, usize>,
    /// The names of requests without an answer.
    pub lost: BTreeSet<String>,
    /// How long each answer of the upstream took; what a gate says without it tells nothing of its speed.
    pub times: Vec<Duration>,
}

impl Ended {
    pub fn answered(&self) -> usize {
        self.statuses.values().sum()
    }

    /// The time within which 99 of 100 were answered.
    pub fn p99(&self) -> Duration {
        self.within(99)
    }

    /// The time within which so many of 100 were answered.
    pub fn within(&self, per_cent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times[times.len() * per_cent / 100]
    }
}

enum Wire {
    Plain(Connection),
    Tls(Box<Secure>),
}

impl Wire {
    fn open(load: &Load<'_>) -> std::io::Result<Self> {
        match load.tls {
            true => Ok(Self::Tls(Box::new(Client::default().connect(load.to)?))),
            false => Connection::open(load.to).map(Self::Plain),
        }
    }

    fn exchange(&mut self, ask: &Ask, to: SocketAddr) -> std::io::Result<Answer> {
        let (bytes, method) = (ask.bytes(to), ask.method().to_owned());
        match self {
            Self::Plain(wire) => wire.write(&bytes).and_then(|()| wire.read(&method)),
            Self::Tls(wire) => wire.write(&bytes).and_then(|()| wire.read(&method)),
        }
    }
}

impl<'a> Load<'a> {
    /// Clients that send what `ask` makes of a request's name.
    pub fn new(to: SocketAddr, ask: &'a (dyn Fn(&str) -> Ask + Sync)) -> Self {
        Self {
            to,
            ask,
            tls: false,
            keeps: true,
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            ended: Mutex::default(),
            more: Condvar::new(),
        }
    }

    /// Over TLS.
    pub fn with_tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// On a new connection for each request, where they are to be compared and one of two servers keeps none.
    pub fn anew(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// Such clients for another server.
    pub fn beside<'b>(&self, to: SocketAddr, ask: &'b (dyn Fn(&str) -> Ask + Sync)) -> Load<'b> {
        Load { tls: self.tls, keeps: self.keeps, ..Load::new(to, ask) }
    }

    /// The request of a name.
    pub fn ask(&self, name: &str) -> Ask {
        (self.ask)(name)
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Has so many clients ask while something happens, half of them on connections that they keep, or none. Between two
    /// requests each has a rest.
    pub fn during<T>(&self, clients: usize, rest: Duration, happens: impl FnOnce() -> T) -> (T, Ended) {
        std::thread::scope(|scope| {
            for client in 0..clients {
                scope.spawn(move || self.client(self.keeps && client % 2 == 0, rest));
            }
            // However it ends: else a test that fails would go on for ever.
            let _stop = Stop(&self.stop);
            happens()
        })
        .with(|| self.ended.lock().unwrap().clone())
    }

    /// Waits until there are so many answers in all, for so long at most. Whether there are.
    pub fn reaches(&self, answers: usize, within: Duration) -> bool {
        let ended = self.ended.lock().unwrap();
        let wait = self.more.wait_timeout_while(ended, within, |ended| ended.answered() < answers);
        !wait.unwrap().1.timed_out()
    }

    /// Waits for so many more answers.
    #[track_caller]
    pub fn goes_on(&self, answers: usize) {
        let before = self.ended.lock().unwrap().answered();
        assert!(self.reaches(before + answers, PATIENCE), "no {answers} answers within {PATIENCE:?}");
    }

    fn client(&self, keeps: bool, rest: Duration) {
        let mut kept = None;
        while !self.stop.load(Ordering::SeqCst) {
            let name = format!("r{}", self.next.fetch_add(1, Ordering::SeqCst));
            let ask = self.ask(&name);
            let began = Instant::now();
            let wire = kept.take().map_or_else(|| Wire::open(self), Ok);
            let answer = wire.and_then(|mut wire| Ok((wire.exchange(&ask, self.to)?, wire)));
            let mut ended = self.ended.lock().unwrap();
            match answer {
                Ok((answer, wire)) => {
                    *ended.statuses.entry(answer.status).or_default() += 1;
                    if answer.status < 500 {
                        ended.times.push(began.elapsed());
                    }
                    let closes =
                        answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                    kept = Some(wire).filter(|_| keeps && !closes);
                }
                Err(_) => {
                    ended.lost.insert(name);
                }
            }
            drop(ended);
            self.more.notify_all();
            std::thread::sleep(rest);
        }
    }
}

/// Sets it when it is dropped.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

trait With: Sized {
    fn with<U>(self, also: impl FnOnce() -> U) -> (Self, U) {
        (self, also())
    }
}

impl<T> With for T {}
