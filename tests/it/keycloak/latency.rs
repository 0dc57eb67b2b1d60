//! How long a log-in takes beside Keycloak's own grant, which it cannot do without, and beside Airflow's own endpoint.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::before_keycloak;
use crate::support::keycloak::{self, form};
use crate::support::{Ask, Connection, airflow, post};

/// Who is asked, on a connection that is kept open.
struct Side {
    ask: Vec<u8>,
    expected: u16,
    connection: Connection,
    took: Vec<Duration>,
}

impl Side {
    fn new(address: SocketAddr, ask: &Ask, expected: u16) -> Self {
        let connection = Connection::open(address).unwrap();
        Self { ask: ask.bytes(address), expected, connection, took: Vec::new() }
    }

    fn log_in(&mut self) {
        let began = Instant::now();
        self.connection.write(&self.ask).unwrap();
        assert_eq!(self.connection.read("POST").unwrap().status, self.expected);
        self.took.push(began.elapsed());
    }

    fn median(&mut self) -> Duration {
        self.took.sort();
        self.took[self.took.len() / 2]
    }
}

/// The medians of Keycloak's own grant, airgate's endpoint and Airflow's, which take turns.
pub fn medians(rounds: usize) -> [Duration; 3] {
    let keycloak = keycloak::shared();
    let airgate = before_keycloak("[lockout]\nattempts = 0\n");
    let log_in = post("/auth/token").json(json!({ "username": "viewer", "password": "viewer-pw" }));
    let grant = post("/realms/airflow/protocol/openid-connect/token")
        .with("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&[
            ("grant_type", "password"),
            ("client_id", "airflow"),
            ("client_secret", "airflow-client-secret"),
            ("username", "viewer"),
            ("password", "viewer-pw"),
            ("scope", "openid"),
        ]));
    let mut sides = [
        Side::new(keycloak.address(), &grant, 200),
        Side::new(airgate.address(), &log_in, 201),
        Side::new(airflow::keycloak().address(), &log_in, 201),
    ];
    for round in 0..rounds + 3 {
        for at in 0..sides.len() {
            sides[(at + round) % 3].log_in();
        }
        if round == 2 {
            sides.iter_mut().for_each(|side| side.took.clear()); // they are warm now
        }
    }
    sides.each_mut().map(Side::median)
}
