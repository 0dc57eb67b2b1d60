//! `airgate hash-password`.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Exit;
use crate::auth::basic::hash::{HashFailed, hash_password as hash_password_of};
use crate::secret::Secret;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
enum NoHash {
    #[error("the password cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the password is longer than {MOST} bytes, or is not UTF-8")]
    TooLong,
    #[error("the password is empty")]
    Empty,
    #[error("the two passwords differ")]
    Differ,
    #[error("the password cannot be hashed: {0}")]
    Hash(#[from] HashFailed),
}

/// Longest password that is read, in bytes.
const MOST: usize = 4096;

/// Reads a password, from a terminal without echo and twice, and prints its argon2id hash.
pub fn hash_password(
    input: impl Read + IsTerminal + AsFd,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Exit {
    let password = if input.is_terminal() { ask(input, err) } else { line(&mut BufReader::new(input)) };
    match password.and_then(|password| hash(&password)) {
        Ok(hash) => {
            let _ = writeln!(out, "{hash}");
            Exit::Success
        }
        Err(error) => {
            let _ = writeln!(err, "airgate: {error}");
            Exit::Failure
        }
    }
}

fn hash(password: &str) -> Result<String, NoHash> {
    if password.is_empty() {
        return Err(NoHash::Empty);
    }
    Ok(hash_password_of(&Secret::new(password))?)
}

fn ask(input: impl Read + IsTerminal + AsFd, err: &mut impl Write) -> Result<Zeroizing<String>, NoHash> {
    let silent = Silence::on(&input)?;
    let mut reader = BufReader::new(&silent);
    let mut prompt = |text: &str| -> Result<Zeroizing<String>, NoHash> {
        write!(err, "{text}: ")?;
        err.flush()?;
        let password = line(&mut reader)?;
        writeln!(err)?;
        Ok(password)
    };
    let (first, second) = (prompt("Password")?, prompt("Again")?);
    if first == second { Ok(first) } else { Err(NoHash::Differ) }
}

/// One line, without its end.
fn line(reader: &mut impl BufRead) -> Result<Zeroizing<String>, NoHash> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = reader.take(MOST as u64 + 2).read_until(b'\n', &mut bytes)?;
    let ended = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = ended.unwrap_or(&bytes[..read]);
    match std::str::from_utf8(line) {
        Ok(text) if text.len() <= MOST => Ok(Zeroizing::new(text.to_owned())),
        Ok(_) | Err(_) => Err(NoHash::TooLong),
    }
}

/// A terminal that does not show what is typed. Dropping it shows again.
struct Silence<'a, T: AsFd> {
    terminal: &'a T,
    before: Termios,
}

impl<'a, T: AsFd> Silence<'a, T> {
    fn on(terminal: &'a T) -> Result<Self, NoHash> {
        let before = tcgetattr(terminal).map_err(std::io::Error::from)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(std::io::Error::from)?;
        Ok(Self { terminal, before })
    }
}

impl<T: AsFd> Read for &Silence<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(self.terminal, buffer)?)
    }
}

impl<T: AsFd> Drop for Silence<'_, T> {
    fn drop(&mut self) {
        // What cannot be undone here, the shell undoes.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::basic::hash::StoredHash;

    use super::*;

    #[test]
    fn a_line_is_a_password() {
        let long = "x".repeat(MOST + 1);
        for (name, input, expected) in [
            ("with newline", "secret\n", Ok("secret")),
            ("without", "secret", Ok("secret")),
            ("of Windows", "secret\r\n", Ok("secret")),
            ("first line only", "secret\nmore\n", Ok("secret")),
            ("spaces stay", " a b \n", Ok(" a b ")),
            ("too long", &long, Err("the password is longer than 4096 bytes, or is not UTF-8")),
        ] {
            let read = line(&mut input.as_bytes()).map_err(|e| e.to_string());
            assert_eq!(read.as_ref().map(|p| p.as_str()).map_err(String::as_str), expected, "{name}");
        }
        assert!(line(&mut &b"\xff\n"[..]).is_err());
    }

    #[test]
    fn the_hash_is_argon2id_and_verifies() {
        let text = hash("secret").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let stored = StoredHash::parse(&text).unwrap();
        assert!(stored.verify(&Secret::new("secret")));
        assert!(!stored.verify(&Secret::new("Secret")));
        assert_ne!(text, hash("secret").unwrap());
    }

    #[test]
    fn an_empty_password_has_no_hash() {
        assert_eq!(hash("").unwrap_err().to_string(), "the password is empty");
    }
}
