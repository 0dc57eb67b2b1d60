//! TCP passed on to a server, so that one that others use too can be taken away from a single airgate.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Stands for a server. What is behind it stays there.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    open: bool,
    connections: usize,
    wires: Vec<TcpStream>,
}

impl Relay {
    /// Passes connections on.
    pub fn to(server: SocketAddr) -> Self {
        let relay = Self::closed(server);
        relay.open();
        relay
    }

    /// Ends connections as they come, until it is opened.
    pub fn closed(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let its = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = its.lock().unwrap();
                if !state.open {
                    continue;
                }
                state.connections += 1;
                let Ok(server) = TcpStream::connect(server) else { continue };
                state.wires.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        });
        Self { address, state }
    }

    /// Closed, before the server of a URL; and the URL that leads there.
    pub fn before(url: &str) -> (Self, String) {
        let authority = url.split("://").nth(1).unwrap().rsplit('@').next().unwrap();
        let authority = authority.split(['/', '?']).next().unwrap().replace("localhost", "127.0.0.1");
        let server: SocketAddr = authority.parse().unwrap();
        let relay = Self::closed(server);
        let port = |address: SocketAddr| format!(":{}", address.port());
        let url = url.replace(&port(server), &port(relay.address));
        (relay, url)
    }

    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
    }

    /// Also ends the connections that there are.
    pub fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.open = false;
        for wire in state.wires.drain(..) {
            drop(wire.shutdown(Shutdown::Both));
        }
    }

    /// How many were passed on.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
}
