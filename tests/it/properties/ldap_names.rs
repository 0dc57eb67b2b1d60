//! Names that people type, and filters that operators write. Input: a text.

use airgate::auth::basic::ldap::name::NameFormat;
use airgate::ports::ldap::dn;
use airgate::ports::ldap::filter::{self, Filter};

/// Whatever a name holds, it stays one value: of the distinguished name that is made of it, and of the
/// filter that looks for it. What is a filter is the same filter when it is written and read again.
pub fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    for (format, attributes) in [("uid=%s", 1), ("uid=%s,ou=people,dc=test", 3), ("cn=a+uid=%s,dc=test", 3)] {
        let name = NameFormat::parse(Some(format), None).unwrap().bind_name(text);
        let parts = dn::parse(&name).unwrap_or_else(|| panic!("no name: {name}"));
        assert_eq!(parts.len(), attributes, "{name}");
        let uid = parts.iter().find(|(kind, _)| kind == "uid");
        assert_eq!(uid.map(|(_, value)| value.as_slice()), Some(input), "{name}");
    }
    let named = Filter::equal("uid", text);
    let both = Filter::And(vec![Filter::any(), named.clone()]);
    for filter in [named, both] {
        assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter));
    }
    let escaped = filter::escape(input);
    assert!(escaped.is_ascii() && !escaped.contains(['*', '(', ')', '\0']));
    if let Ok(filter) = Filter::parse(text) {
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }
    if let Some(parts) = dn::parse(text) {
        let value = |value: &[u8]| str::from_utf8(value).map(dn::escape);
        let written: Result<Vec<String>, _> =
            parts.iter().map(|(kind, bytes)| value(bytes).map(|value| format!("{kind}={value}"))).collect();
        if let Ok(written) = written {
            assert_eq!(dn::parse(&written.join(",")), Some(parts));
        }
    }
}
