//! What is in a keytab: whose tickets can be read with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::settings::ServicePrincipal;

/// Largest keytab that is read. One entry takes some hundred bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What is wrong with a keytab for tickets of this principal, if anything is.
///
/// # Errors
/// It cannot be read.
pub(super) fn look(path: &Path, principal: Option<&ServicePrincipal>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(trouble(&bytes, principal))
}

fn trouble(keytab: &[u8], principal: Option<&ServicePrincipal>) -> Option<String> {
    let Some(held) = principals(keytab) else {
        return Some("is no keytab. Until it is one, tickets get 503".to_owned());
    };
    if held.is_empty() {
        return Some("holds no key. Until it does, tickets get 503".to_owned());
    }
    let wanted = match principal? {
        ServicePrincipal::Renewer => return None,
        ServicePrincipal::Exact(name) => name.clone(),
        ServicePrincipal::AnyHost(service) => format!("{service}/_HOST"),
    };
    let fits = |held: &String| match principal {
        Some(ServicePrincipal::Exact(name)) if name.contains('@') => held == name,
        Some(ServicePrincipal::Exact(name)) => held.rsplit_once('@').is_some_and(|(held, _)| held == name),
        Some(ServicePrincipal::AnyHost(service)) => {
            held.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }
        Some(ServicePrincipal::Renewer) | None => true,
    };
    (!held.iter().any(fits)).then(|| {
        format!(
            "holds no key of [kerberos] principal {wanted}, but of {}. Until it does, tickets get 503",
            held.join(", ")
        )
    })
}

/// Each principal once, as Kerberos writes them but for escapes: `service/host@REALM`. `None` if it is no
/// keytab of MIT's format, version 2.
fn principals(keytab: &[u8]) -> Option<Vec<String>> {
    let mut rest = keytab.strip_prefix(&[5, 2])?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let size = i32::from_be_bytes(*size);
        // Keys that were removed leave a hole of that size.
        let length = usize::try_from(size.unsigned_abs()).ok()?;
        if length == 0 {
            break;
        }
        let (entry, after) = after.split_at_checked(length)?;
        rest = after;
        if size > 0 {
            let name = principal(entry)?;
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    Some(found)
}

fn principal(mut entry: &[u8]) -> Option<String> {
    let count = number(&mut entry)?;
    let realm = text(&mut entry)?;
    let parts: Option<Vec<String>> = (0..count).map(|_| text(&mut entry)).collect();
    Some(format!("{}@{realm}", parts?.join("/")))
}

fn number(from: &mut &[u8]) -> Option<u16> {
    let (bytes, rest) = from.split_first_chunk::<2>()?;
    *from = rest;
    Some(u16::from_be_bytes(*bytes))
}

fn text(from: &mut &[u8]) -> Option<String> {
    let length = number(from)?;
    let (bytes, rest) = from.split_at_checked(length.into())?;
    *from = rest;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keytab as MIT's `ktutil` writes it, with a hole in it.
    fn keytab(names: &[(&[&str], &str)]) -> Vec<u8> {
        let counted =
            |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
        let mut all = vec![5, 2];
        all.extend((-8_i32).to_be_bytes());
        all.extend([0; 8]);
        for (parts, realm) in names {
            let mut entry = u16::try_from(parts.len()).unwrap().to_be_bytes().to_vec();
            entry.extend(counted(realm));
            parts.iter().for_each(|part| entry.extend(counted(part)));
            // name type, time, version, key type, key
            entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18, 0, 4, 1, 2, 3, 4]);
            all.extend(i32::try_from(entry.len()).unwrap().to_be_bytes());
            all.extend(entry);
        }
        all
    }

    #[test]
    fn troubles() {
        let both = keytab(&[
            (&["HTTP", "gate.example.com"], "EXAMPLE.COM"),
            (&["HTTP", "gate.example.com"], "EXAMPLE.COM"),
            (&["airflow", "gate.example.com"], "EXAMPLE.COM"),
        ]);
        let exact = |name: &str| Some(ServicePrincipal::Exact(name.to_owned()));
        let any = |service: &str| Some(ServicePrincipal::AnyHost(service.to_owned()));
        let held = "HTTP/gate.example.com@EXAMPLE.COM, airflow/gate.example.com@EXAMPLE.COM";
        type Row<'a> = (&'a str, &'a [u8], Option<ServicePrincipal>, Option<String>);
        let rows: [Row<'_>; 12] = [
            ("any", &both, None, None),
            ("the renewer's name", &both, Some(ServicePrincipal::Renewer), None),
            ("with its realm", &both, exact("HTTP/gate.example.com@EXAMPLE.COM"), None),
            ("without a realm", &both, exact("airflow/gate.example.com"), None),
            ("a service on any host", &both, any("airflow"), None),
            (
                "another host",
                &both,
                exact("HTTP/gate@EXAMPLE.COM"),
                Some(format!(
                    "holds no key of [kerberos] principal HTTP/gate@EXAMPLE.COM, but of {held}. Until it does, tickets get 503"
                )),
            ),
            (
                "another realm",
                &both,
                exact("HTTP/gate.example.com@OTHER"),
                Some(format!(
                    "holds no key of [kerberos] principal HTTP/gate.example.com@OTHER, but of {held}. Until it does, tickets get 503"
                )),
            ),
            (
                "another service",
                &both,
                any("HTT"),
                Some(format!(
                    "holds no key of [kerberos] principal HTT/_HOST, but of {held}. Until it does, tickets get 503"
                )),
            ),
            ("empty", b"\x05\x02", None, Some("holds no key. Until it does, tickets get 503".into())),
            ("a text", b"secret", None, Some("is no keytab. Until it is one, tickets get 503".into())),
            ("nothing", b"", None, Some("is no keytab. Until it is one, tickets get 503".into())),
            ("cut off", &both[..40], None, Some("is no keytab. Until it is one, tickets get 503".into())),
        ];
        for (name, keytab, principal, expected) in rows {
            assert_eq!(trouble(keytab, principal.as_ref()), expected, "{name}");
        }
    }

    #[test]
    fn no_bytes_make_it_fall() {
        let whole = keytab(&[(&["HTTP", "a"], "B")]);
        for cut in 0..whole.len() {
            for byte in [0, 1, 127, 128, 255] {
                let mut broken = whole.clone();
                broken[cut] = byte;
                let _ = principals(&broken);
                let _ = principals(&whole[..cut]);
            }
        }
    }
}
