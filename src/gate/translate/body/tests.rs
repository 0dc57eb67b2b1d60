use super::*;
use std::num::NonZeroU32;

const PROPERTIES: &[Property] = &[
    must("name", Type::Text, Need::Code),
    must("uri", Type::Text, Need::Document).today("asset"),
    must("conn_type", Type::Text, Need::Model),
    may("slots", Type::Whole),
    may("ids", Type::Texts),
    may("conf", Type::Object).or_null(),
    may("extra", Type::Object).null_in_model(),
    may("page_limit", Type::PageLimit),
    may("state", Type::States(&["success", "none"])),
    held("dry_run", Type::Flag),
    read_only("open_slots"),
];

fn read(body: &str) -> Result<Read, String> {
    let limit = PageLimit::new(NonZeroU32::new(7).unwrap(), NonZeroU32::new(5).unwrap());
    Read::new(PROPERTIES, &body.to_owned().into(), &limit).map_err(|fault| match fault {
        Fault::Refused(refusal) => refusal.detail.unwrap_or_default(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_is_sent() {
    for (more, expected) in [
        ("", r#""page_limit":7"#),
        (r#","page_limit":9"#, r#""page_limit":7"#),
        (r#","page_limit":2,"page\u005flimit":99999999999999999999999"#, r#""page_limit":7"#),
        (r#","page_limit":3"#, r#""page_limit":3"#),
        (
            r#","conf":{"b": 1.50, "a":12345678901234567890},"dry_run":true"#,
            r#""conf":{"b": 1.50, "a":12345678901234567890},"page_limit":7"#,
        ),
        (r#","state":["none",null,"success"]"#, r#""page_limit":7,"state":[null,null,"success"]"#),
        (r#","conf":null"#, r#""conf":null,"page_limit":7"#),
    ] {
        let read = read(&format!(r#"{{"name":"n","uri":"u","conn_type":"t"{more}}}"#)).unwrap();
        let expected = format!(r#"{{"name":"n","asset":"u","conn_type":"t",{expected}}}"#);
        assert_eq!(read.today.json(), expected, "{more}");
    }
}

#[test]
fn of_members_of_one_name_the_last_counts() {
    let members = Members::parse(&r#"{"a":1,"b":2,"a":3,"c":4,"b":5}"#.into()).unwrap();
    assert_eq!(members.json(), r#"{"a":3,"c":4,"b":5}"#);
}

/// Each would be named in the answer, and take many times what it is.
#[test]
fn many_members_are_refused() {
    let body = |count| {
        let many: Vec<_> = (0..count).map(|name| format!("\"m{name}\":{name}")).collect();
        Members::parse(&format!("{{{}}}", many.join(",")).into())
    };
    assert_eq!(body(Members::MOST).unwrap().names().count(), Members::MOST);
    assert!(matches!(body(Members::MOST + 1), Err(Fault::Refused(_))));
    let named = |length| Members::parse(&format!("{{\"name\":1,\"{}\":2}}", "\u{7f}".repeat(length)).into());
    assert!(named(Members::LONGEST_NAME).is_ok());
    let Err(Fault::Refused(refusal)) = named(Members::LONGEST_NAME + 1) else { panic!("it is read") };
    let detail = "Request body has a member whose name is longer than 256 bytes";
    assert_eq!(refusal.detail.as_deref(), Some(detail));
}

/// Each element takes many times what is written.
#[test]
fn what_is_read_is_not_too_long() {
    let list = |of: &str| format!("[{of}{}]", format!(",{of}").repeat(MAX_READ / of.len()));
    assert!(matches!(Members::parse(&list("1").into()), Err(Fault::Refused(_))));
    for (name, value, expected) in [
        ("slots", list("1"), Err("'slots' is too long")),
        ("slots", list(r#"{"":0}"#), Err("'slots' is too long")),
        ("ids", list(r#"{"":0}"#), Err("'ids' is too long")),
        ("ids", format!("[{},1]", list(r#""a""#).trim_matches(['[', ']'])), Err("'ids' is too long")),
        ("ids", list(r#""a""#), Ok(())),
    ] {
        let body = format!(r#"{{"name":"n","uri":"u","conn_type":"t","{name}":{value}}}"#);
        let sent = read(&body).map(|read| read.today.raw(name).map(str::to_owned));
        assert_eq!(sent, expected.map(|()| Some(value)).map_err(str::to_owned), "{name}");
    }
}

/// What is sent on lies where it came, and not once more beside it.
#[test]
fn values_are_parts_of_the_body() {
    let body =
        Bytes::from(format!("{{\"name\":\"n\",\"uri\":\"u\",\"conn_type\":\"{}\"}}", "t".repeat(9000)));
    let limit = PageLimit::new(NonZeroU32::new(7).unwrap(), NonZeroU32::new(5).unwrap());
    let read = Read::new(PROPERTIES, &body, &limit).unwrap();
    for members in [&read.came, &read.today] {
        assert!(body.as_ptr_range().contains(&members.raw("conn_type").unwrap().as_ptr()));
    }
}

#[test]
fn what_is_refused() {
    let whole = |more: &str| format!(r#"{{"name":"n","uri":"u","conn_type":"t",{more}}}"#);
    for (body, expected) in [
        (String::new(), "Request body must not be empty"),
        ("x".into(), "Request body is not valid JSON"),
        ("null".into(), "Request body is not valid JSON"),
        ("[]".into(), "[] is not of type 'object'"),
        ("{}".into(), "'uri' is a required property"),
        (r#"{"uri":"u"}"#.into(), "{'conn_type': ['Missing data for required field.']}"),
        (r#"{"uri":"u","conn_type":"t"}"#.into(), "Missing required property(ies): ['name']"),
        (whole(r#""nope":1"#), "{'nope': ['Unknown field.']}"),
        (whole(r#""dry_run":"\ud800""#), "Request body is not valid JSON"),
        (r#"{"name":"\ud800","uri":"u","conn_type":"t"}"#.into(), "Request body is not valid JSON"),
        (whole(r#""slots":"x""#), "'x' is not of type 'integer' - 'slots'"),
        (whole(r#""slots":1.0"#), "1.0 is not of type 'integer' - 'slots'"),
        (whole(r#""slots":null"#), "None is not of type 'integer' - 'slots'"),
        (whole(r#""extra":null"#), "{'extra': ['Field may not be null.']}"),
        (whole(r#""open_slots":1"#), "Property is read-only - 'open_slots'"),
        (whole(r#""page_limit":0"#), "0 is less than the minimum of 1 - 'page_limit'"),
        (whole(r#""page_limit":-0"#), "-0 is less than the minimum of 1 - 'page_limit'"),
        (whole(r#""page_limit":1e9"#), "1000000000.0 is not of type 'integer' - 'page_limit'"),
        (whole(r#""state":["nope"]"#), "'nope' is not one of [None, 'success', 'none'] - 'state.0'"),
    ] {
        assert_eq!(read(&body).map(|_| ()), Err(expected.into()), "{body}");
    }
}
