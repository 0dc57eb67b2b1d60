//! An airgate that was built without the feature `kerberos`.

use std::process::Command;

use crate::support::Airgate;

const CONFIG: &str = "[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n\
                      [api]\nauth_backends = [\"jwt\", \"kerberos_auth\"]\n";

#[test]
fn it_says_so_when_kerberos_is_configured() {
    let expected = "airgate.toml:4:25: [api] auth_backends: this airgate was built without Kerberos. Build it with \
                    the cargo feature `kerberos`";
    let (code, said) = Airgate::with(CONFIG).fails();
    assert_eq!(code, Some(1));
    assert!(said.contains(expected), "{said}");
}

#[test]
fn it_needs_no_library_of_it() {
    let needs = Command::new("ldd").arg(env!("CARGO_BIN_EXE_airgate")).output().unwrap();
    let needs = String::from_utf8_lossy(&needs.stdout);
    assert!(needs.contains("libc.so") && !needs.contains("krb5") && !needs.contains("gssapi"), "{needs}");
    let binary = std::fs::read(env!("CARGO_BIN_EXE_airgate")).unwrap();
    let name = b"libgssapi_krb5.so";
    assert!(!binary.windows(name.len()).any(|window| window == name), "nor loads one");
}
