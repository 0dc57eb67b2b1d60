//! What must hold for any input whatever. `fuzz/` searches for inputs that break it; here each
//! property is held against the seeds of `fuzz/` and against some hundred variations of them, the
//! same in every run, so that properties and seeds stay fit for use.

mod airflow_cfg;
mod callout_answer;
mod config_toml;
mod cors;
mod credentials;
mod database_url;
mod kerberos;
mod keycloak_answer;
mod ldap_message;
mod ldap_names;
mod limit;
mod limit_body;
mod target;
mod token;
mod token_body;
mod translation;

use std::path::Path;

/// Variations of seeds that each property is held against.
const VARIATIONS: usize = 500;

fn check(name: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    let mut random = Random(1);
    let variations = (0..VARIATIONS).map(|_| random.vary(&seeds));
    for input in seeds.iter().cloned().chain(variations) {
        let input = Input(input);
        holds(&input.0);
    }
}

/// Is printed when it breaks a property.
struct Input(Vec<u8>);

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was {:?}", String::from_utf8_lossy(&self.0));
        }
    }
}

/// Steele, Lea, Flood: SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A seed with some bytes changed, dropped, doubled, or taken from another seed.
    fn vary(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(8)).min(input.len());
            match self.below(5) {
                0 => drop(input.drain(at..end)),
                1 => {
                    let part = input[at..end].to_vec();
                    input.splice(at..at, part);
                }
                2 => {
                    let byte = self.next() as u8;
                    input.insert(at, byte);
                }
                3 => {
                    const TELLING: &[&[u8]] = &[
                        b"/",
                        b"//",
                        b"..",
                        b"%",
                        b"%2F",
                        b"%2e",
                        b"%00",
                        b"limit",
                        b"=",
                        b"&",
                        b"+",
                        b"_",
                        b"0",
                        b"9",
                        b"\n",
                        b" ",
                        b"\"",
                        b"{",
                        b"[",
                        b"]",
                        b":",
                        b".",
                        b"\\u",
                        b"\xc3",
                        b",",
                        b"\xef\xbb\xbf",
                        b"%(",
                        b")s",
                        b"$",
                        b"'",
                        b"#",
                    ];
                    let token = TELLING[self.below(TELLING.len())];
                    input.splice(at..at, token.iter().copied());
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(24)).min(other.len());
                    input.splice(at..end, other[from..to].iter().copied());
                }
            }
        }
        input
    }
}

#[test]
fn airflow_cfg() {
    check("airflow_cfg", airflow_cfg::holds);
}

#[test]
fn config_toml() {
    check("config_toml", config_toml::holds);
}

#[test]
fn cors() {
    check("cors", cors::holds);
}

#[test]
fn callout_answer() {
    check("callout_answer", callout_answer::holds);
}

#[test]
fn credentials() {
    check("credentials", credentials::holds);
}

#[test]
fn kerberos() {
    check("kerberos", kerberos::holds);
}

#[test]
fn keycloak_answer() {
    check("keycloak_answer", keycloak_answer::holds);
}

#[test]
fn ldap_message() {
    check("ldap_message", ldap_message::holds);
}

#[test]
fn ldap_names() {
    check("ldap_names", ldap_names::holds);
}

#[test]
fn database_url() {
    check("database_url", database_url::holds);
}

#[test]
fn limit() {
    check("limit", limit::holds);
}

#[test]
fn limit_body() {
    check("limit_body", limit_body::holds);
}

#[test]
fn target() {
    check("target", target::holds);
}

#[test]
fn token() {
    check("token", token::holds);
}

#[test]
fn token_body() {
    check("token_body", token_body::holds);
}

#[test]
fn translation() {
    check("translation", translation::holds);
}
