use super::*;

#[test]
fn filters_are_read_and_written() {
    for (name, text, expected) in [
        ("equal", "(uid=alice)", Some("(uid=alice)")),
        ("spaces around", " (uid=alice) ", Some("(uid=alice)")),
        ("a space in the value", "(cn=Alice Smith)", Some("(cn=Alice Smith)")),
        ("present", "(uid=*)", Some("(uid=*)")),
        ("and", "(&(objectClass=person)(!(uid=root)))", Some("(&(objectClass=person)(!(uid=root)))")),
        ("or", "(|(a=1)(b=2))", Some("(|(a=1)(b=2))")),
        ("absolute true and false", "(&(&)(|))", Some("(&(&)(|))")),
        ("at least, at most, like", "(&(a>=1)(b<=2)(c~=3))", Some("(&(a>=1)(b<=2)(c~=3))")),
        ("substrings", "(cn=a*b*c)", Some("(cn=a*b*c)")),
        ("substrings, open ends", "(cn=*b*)", Some("(cn=*b*)")),
        ("a group's name", "(memberOf=cn=a,dc=b)", Some("(memberOf=cn=a,dc=b)")),
        (
            "nested groups of Active Directory",
            "(memberOf:1.2.840.113556.1.4.1941:=cn=a,dc=b)",
            Some("(memberOf:1.2.840.113556.1.4.1941:=cn=a,dc=b)"),
        ),
        ("with the name's parts", "(ou:dn:=people)", Some("(ou:dn:=people)")),
        ("a rule alone", "(:caseExactMatch:=a)", Some("(:caseExactMatch:=a)")),
        ("escapes", r"(cn=\2a\28\5C)", Some(r"(cn=\2a\28\5c)")),
        ("UTF-8", "(cn=ä)", Some(r"(cn=\c3\a4)")),
        ("an empty value", "(cn=)", Some("(cn=)")),
        ("no brackets", "uid=alice", None),
        ("two filters", "(a=1)(b=2)", None),
        ("not closed", "(&(a=1)", None),
        ("nothing", "", None),
        ("no value", "(uid)", None),
        ("no attribute", "(=a)", None),
        ("a bad attribute", "(u id=a)", None),
        ("two asterisks", "(cn=a**b)", None),
        ("half an escape", r"(cn=\2)", None),
        ("a bad escape", r"(cn=\zz)", None),
        ("a bracket in the value", "(cn=a(b)", None),
        ("not of two", "(!(a=1)(b=2))", None),
        ("neither attribute nor rule", "(:=a)", None),
    ] {
        let parsed = Filter::parse(text);
        assert_eq!(parsed.clone().ok().map(|filter| filter.to_string()).as_deref(), expected, "{name}");
        if let Some(text) = expected {
            assert_eq!(Filter::parse(text), parsed, "{name}: written and read again");
        }
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}(a=1){}", "(!".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(15)).is_ok());
    assert_eq!(Filter::parse(&nested(16)), Err(InvalidFilter::TooDeep));
    assert_eq!(Filter::parse(&"(!".repeat(100_000)), Err(InvalidFilter::TooDeep));
}

/// A name is a value whatever is in it.
#[test]
fn no_value_becomes_a_part_of_the_filter() {
    for value in ["*", "alice)(uid=*", "a*b", r"\2a", "(|(uid=*))", "a\0b", "ä", "alice)(|(cn=*"] {
        let filter = Filter::equal("uid", value);
        assert_eq!(filter, Filter::Equal("uid".into(), value.as_bytes().into()));
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter), "{value}");
    }
}

/// As OpenLDAP's tools encode it, but for the lengths.
#[test]
fn on_the_wire() {
    let mut writer = Writer::with_capacity(256);
    Filter::parse("(&(a=1)(b=x*y*z)(c=*)(d:dn:2.4:=v))").unwrap().encode(&mut writer);
    let bytes = writer.into_bytes();
    let short: Vec<u8> = shorten(&bytes);
    let expected = b"\xa0\x33\xa3\x06\x04\x01a\x04\x011\xa4\x0e\x04\x01b\x30\x09\x80\x01x\x81\x01y\x82\x01z\
        \x87\x01c\xa9\x0e\x81\x032.4\x82\x01d\x83\x01v\x84\x01\xff";
    assert_eq!(short[2..], expected[2..], "{short:x?}");
}

/// The same with lengths of one byte.
fn shorten(bytes: &[u8]) -> Vec<u8> {
    let mut reader = crate::ports::ldap::ber::Reader::new(bytes);
    let mut short = Vec::new();
    while let Ok((tag, content)) = reader.any() {
        let content = if tag & 0x20 == 0x20 { shorten(content) } else { content.to_vec() };
        short.extend([tag, content.len() as u8]);
        short.extend(content);
    }
    short
}
