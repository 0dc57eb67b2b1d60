use super::*;

/// All of `password`, each made by another program than ours: libxcrypt, Python's bcrypt,
/// argon2-cffi and hashlib.
const FOREIGN: [(&str, &str); 8] = [
    ("bcrypt 2a", "$2a$04$oa7cFY38YiW.E4AGbDx7x.T1DEU074CwSB/9ClzG1sLKAwbTwFS4S"),
    ("bcrypt 2b", "$2b$04$J/baD3AXwWPjm//2YatTQuAcuxA8PVQyUUrSRaJsSp4QV0lKJbu12"),
    ("bcrypt 2y", "$2y$04$bvIG6Nmid91Mu9RcmmWZfOGUXL/cBhCDpGksnHBEIu.Ty/ANEcxWW"),
    (
        "argon2id",
        "$argon2id$v=19$m=64,t=2,p=1$VYE3+htq5FxD4VJiuOC0Xw$jeUQzgKGdVD3oh+YxG+9SsrEOJrTw+/dXG22dpXMlp0",
    ),
    (
        "argon2i",
        "$argon2i$v=19$m=64,t=2,p=1$q/EDUh/DhYSKS9mZaTn3OA$qyzlGAHXExFjh11mlDxBY+RCbUJDlK7WDKNm24o9RKw",
    ),
    (
        "argon2d",
        "$argon2d$v=19$m=64,t=2,p=1$PlvQvQbsucq3Sks+4mfCLQ$9nut7LHX/Vc6yyntHS+qVEjFG1+r7/nstuD6S1rjTyo",
    ),
    ("argon2id, four lanes", "$argon2id$v=19$m=64,t=1,p=4$rOD3Vo55fqnnfxLPwaEeAQ$h7C8K6jriC/8hc95agPXSw"),
    ("scrypt", "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$jU+wVnnRO8xMJ6kk2pn2W1IFgOT9r8PK+dHZ+HH3bt4"),
];

#[test]
fn good_kinds_are_taken_and_compare() {
    for (name, hash) in FOREIGN {
        let stored = StoredHash::parse(hash).unwrap();
        assert!(stored.verify(&Secret::new("password")), "{name}");
        assert!(!stored.verify(&Secret::new("Password")), "{name}");
        assert!(!stored.verify(&Secret::new("")), "{name}");
        assert!(!format!("{stored:?}").contains('$'), "{name}");
    }
}

#[test]
fn a_hash_of_ours_is_argon2id_as_owasp_recommends_and_salted() {
    let (one, two) =
        (hash_password(&Secret::new("pässwörd")).unwrap(), hash_password(&Secret::new("pässwörd")).unwrap());
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, two);
    let stored = StoredHash::parse(&one).unwrap();
    assert!(stored.verify(&Secret::new("pässwörd")));
    assert!(!stored.verify(&Secret::new("passwort")));
}

#[test]
fn what_is_not_taken_is_refused_by_name() {
    use InvalidHash::{Malformed, TooCostly, Unsupported, Weak};
    for (hash, expected) in [
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", Weak("SHA-1 ({SHA})")),
        ("{SSHA}AAAA", Weak("salted SHA-1 ({SSHA})")),
        ("$apr1$salt$0000000000000000000000", Weak("Apache's MD5 ($apr1$)")),
        ("$1$salt$0000000000000000000000", Weak("MD5-crypt ($1$)")),
        ("$5$salt$x", Weak("SHA-256-crypt ($5$)")),
        ("$6$salt$x", Weak("SHA-512-crypt ($6$)")),
        (
            "$2x$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            Weak("bcrypt with the sign error of 2011 ($2x$)"),
        ),
        ("rl.3StKT.4T8M", Weak("a plain text or a DES crypt")),
        ("hunter2", Weak("a plain text or a DES crypt")),
        ("", Weak("a plain text or a DES crypt")),
        ("$y$j9T$x", Unsupported("yescrypt ($y$)")),
        ("$7$x", Unsupported("scrypt in crypt's own format ($7$)")),
        ("$pbkdf2-sha256$x", Unsupported("PBKDF2")),
        ("pbkdf2:sha256:600000$salt$00", Unsupported("Werkzeug's PBKDF2")),
        ("scrypt:32768:8:1$salt$00", Unsupported("Werkzeug's own format of scrypt")),
        ("$frob$x", Unsupported("this kind of hash")),
        ("$2y$05$short", Malformed("bcrypt")),
        ("$2y$03$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", Malformed("bcrypt")),
        ("$2y$17$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", TooCostly("bcrypt")),
        ("$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ", Malformed("argon2")),
        ("$argon2id$v=19$m=64,t=2,p=1", Malformed("argon2")),
        ("$argon2xx$v=19$m=64,t=2,p=1$c29tZXNhbHQ$4Ad37WgDl7xyoCRXAFvAzO5i6r6s4tHn", Malformed("argon2")),
        (
            "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$4Ad37WgDl7xyoCRXAFvAzO5i6r6s4tHn",
            TooCostly("argon2"),
        ),
        ("$argon2id$v=19$m=64,t=17,p=1$c29tZXNhbHQ$4Ad37WgDl7xyoCRXAFvAzO5i6r6s4tHn", TooCostly("argon2")),
        ("$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q", Malformed("scrypt")),
        (
            "$scrypt$ln=20,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjJjxD+iCs5E",
            TooCostly("scrypt"),
        ),
    ] {
        assert_eq!(StoredHash::parse(hash).err(), Some(expected), "{hash}");
    }
}

#[test]
fn a_refusal_does_not_tell_the_password() {
    let error = StoredHash::parse("hunter2").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
