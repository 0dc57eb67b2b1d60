use super::*;

/// What is asked of a target that is accepted: path, decoded path, query, verbatim.
type Accepted<'a> = (&'a str, &'a str, Option<&'a str>, bool);

fn check(name: &str, raw: &[u8], host: Option<&str>, expected: Result<Accepted<'_>, InvalidTarget>) {
    let parsed = Target::parse(raw, host.map(str::as_bytes));
    let seen = parsed.as_ref().map(|t| (t.path(), t.decoded(), t.query(), t.is_verbatim()));
    assert_eq!(seen.map_err(|reason| *reason), expected, "{name}");
}

#[test]
fn accepted_and_what_is_forwarded() {
    let rows: &[(&str, &str, Accepted<'_>)] = &[
        ("plain", "/api/v2/pools?limit=1", ("/api/v2/pools", "/api/v2/pools", Some("limit=1"), true)),
        ("root", "/", ("/", "/", None, true)),
        ("trailing slash", "/api/v2/pools/", ("/api/v2/pools/", "/api/v2/pools/", None, true)),
        ("empty query", "/api/v2/pools?", ("/api/v2/pools", "/api/v2/pools", Some(""), true)),
        ("query is left alone", "/x?a=%zz&b=//../\\;?%00", ("/x", "/x", Some("a=%zz&b=//../\\;?%00"), true)),
        ("two slashes at the start", "//auth/token", ("/auth/token", "/auth/token", None, false)),
        ("many slashes, nothing else", "////", ("/", "/", None, false)),
        ("slashes, then a query", "//?//", ("/", "/", Some("//"), false)),
        ("needless encoding", "/api/v2/%70ools", ("/api/v2/pools", "/api/v2/pools", None, false)),
        ("all that is unreserved", "/%41%7a%30%2D%2e%5f%7Ex", ("/Az0-._~x", "/Az0-._~x", None, false)),
        ("slash", "/v/a%2Fb%2fc", ("/v/a%2Fb%2fc", "/v/a/b/c", None, true)),
        ("two slashes in a name", "/v/s3:%2F%2Fb", ("/v/s3:%2F%2Fb", "/v/s3://b", None, true)),
        ("percent", "/v/100%25", ("/v/100%25", "/v/100%", None, true)),
        ("decoded once only", "/v/%252e%252e", ("/v/%252e%252e", "/v/%2e%2e", None, true)),
        ("semicolon", "/v/a%3Bb", ("/v/a%3Bb", "/v/a;b", None, true)),
        ("question mark", "/v/a%3Fb", ("/v/a%3Fb", "/v/a?b", None, true)),
        ("hash", "/v/a%23b", ("/v/a%23b", "/v/a#b", None, true)),
        ("space", "/v/a%20b", ("/v/a%20b", "/v/a b", None, true)),
        ("plus is no space", "/v/a+b", ("/v/a+b", "/v/a+b", None, true)),
        ("other reserved characters stay", "/v/%3A%40%2B", ("/v/%3A%40%2B", "/v/:@+", None, true)),
        ("letters of any script", "/v/%C3%A9%E6%97%A5", ("/v/%C3%A9%E6%97%A5", "/v/é日", None, true)),
        ("run id", "/r/m__2026-01-01T00:00:00+00:00", {
            ("/r/m__2026-01-01T00:00:00+00:00", "/r/m__2026-01-01T00:00:00+00:00", None, true)
        }),
        ("dots in names", "/a/.b/c./...", ("/a/.b/c./...", "/a/.b/c./...", None, true)),
        ("dots in names, encoded", "/a/%2eb/%2e%2e%2E", ("/a/.b/...", "/a/.b/...", None, false)),
        ("braces", "/v/{\"a\"}|^", ("/v/{\"a\"}|^", "/v/{\"a\"}|^", None, true)),
    ];
    for (name, raw, accepted) in rows {
        check(name, raw.as_bytes(), None, Ok(*accepted));
    }
}

#[test]
fn refused() {
    use InvalidTarget::*;
    let rows: &[(&str, &[u8], InvalidTarget)] = &[
        ("nothing", b"", NotOriginForm),
        ("asterisk", b"*", NotOriginForm),
        ("no slash", b"api/v2/pools", NotOriginForm),
        ("query alone", b"?limit=1", NotOriginForm),
        ("authority", b"localhost:8080", NotOriginForm),
        ("another scheme", b"ftp://localhost/api/v2/pools", NotOriginForm),
        ("scheme without slashes", b"http:localhost/api/v2/pools", NotOriginForm),
        ("percent at the end", b"/api/v2/pool%", PercentEncoding),
        ("percent and one digit", b"/api/v2/pool%2", PercentEncoding),
        ("percent and no digits", b"/api/v2/pool%zz", PercentEncoding),
        ("percent and a sign", b"/api/v2/pool%+2", PercentEncoding),
        ("percent, percent", b"/api/v2/%%34%31", PercentEncoding),
        ("percent, cut off by a query", b"/api/v2/pool%2?2", PercentEncoding),
        ("//", b"/api/v2//pools", EmptySegment),
        ("// at the end", b"/api/v2/pools//", EmptySegment),
        ("// after slashes at the start", b"//api//v2", EmptySegment),
        ("semicolon", b"/api/v2/pools;a=b", Semicolon),
        ("fragment", b"/api/v2/pools#x", Fragment),
        ("fragment in the query", b"/api/v2/pools?a=b#x", Fragment),
        (".", b"/api/v2/./pools", DotSegment),
        ("..", b"/api/v2/x/../pools", DotSegment),
        (". at the end", b"/api/v2/pools/.", DotSegment),
        (".. at the end", b"/api/v2/..", DotSegment),
        (".. at the start", b"/../api", DotSegment),
        (".. before a query", b"/api/..?x", DotSegment),
        ("%2e%2e", b"/api/v2/x/%2e%2e/pools", DotSegment),
        (".%2E", b"/api/v2/x/.%2E/pools", DotSegment),
        ("%2e", b"/api/v2/x/%2e", DotSegment),
        ("..%2f", b"/api/v2/x/..%2fpools", DotSegment),
        ("%2f..%2f", b"/api/v2/x%2f..%2fpools", DotSegment),
        ("backslash", b"/api/v2\\pools", Backslash),
        ("%5C", b"/api/v2%5Cpools", Backslash),
        ("..%5C", b"/api/v2/..%5c..%5c", Backslash),
        ("NUL", b"/api/v2/pools\0", Control),
        ("%00", b"/api/v2/pools%00", Control),
        ("%0A, which ends a pattern in Python", b"/api/v2/version%0A", Control),
        ("%7F", b"/api/v2/pools%7f", Control),
        ("C1 control", b"/api/v2/pools%C2%85", Control),
        ("tab", b"/api/v2/\tpools", Control),
        ("line break in the query", b"/api/v2/pools?a\r\nb", Control),
        ("space", b"/api/v2/a pool", Unencoded),
        ("space in the query", b"/api/v2/pools?a b", Unencoded),
        ("<", b"/api/v2/<x>", Unencoded),
        ("UTF-8, not encoded", "/api/v2/pools/é".as_bytes(), Unencoded),
        ("UTF-8 in the query", "/api/v2/pools?é".as_bytes(), Unencoded),
        ("Latin-1", b"/api/v2/pools/\xe9", Unencoded),
        ("%FF", b"/api/v2/pools/%FF", NotUtf8),
        ("overlong slash", b"/api/v2/pools/%C0%AF", NotUtf8),
        ("surrogate", b"/api/v2/pools/%ED%A0%80", NotUtf8),
        ("a character cut off", b"/api/v2/pools/%C3", NotUtf8),
    ];
    for (name, raw, reason) in rows {
        check(name, raw, Some("localhost"), Err(*reason));
    }
}

#[test]
fn absolute_form_only_for_the_host() {
    use InvalidTarget::*;
    let pools = Ok(("/api/v2/pools", "/api/v2/pools", None, false));
    let root = Ok(("/", "/", None, false));
    for (name, raw, host, expected) in [
        ("same", "http://gate:8080/api/v2/pools", Some("gate:8080"), pools),
        ("https", "https://gate/api/v2/pools", Some("gate"), pools),
        ("any case", "HTTP://Gate/api/v2/pools", Some("gATE"), pools),
        ("default port of http", "http://gate:80/api/v2/pools", Some("gate"), pools),
        ("default port of https", "https://gate/api/v2/pools", Some("gate:443"), pools),
        ("empty port", "http://gate:/api/v2/pools", Some("gate"), pools),
        ("IPv6", "http://[::1]:8080/api/v2/pools", Some("[::1]:8080"), pools),
        ("IPv6, default port", "http://[::1]/api/v2/pools", Some("[::1]:80"), pools),
        ("slashes at the start", "http://gate//api/v2/pools", Some("gate"), pools),
        ("no path", "http://gate", Some("gate"), root),
        ("no path, a query", "http://gate?a=/b", Some("gate"), Ok(("/", "/", Some("a=/b"), false))),
        ("another host", "http://other.example/api/v2/pools", Some("gate"), Err(OtherAuthority)),
        ("another port", "http://gate:81/api/v2/pools", Some("gate"), Err(OtherAuthority)),
        ("the other default port", "http://gate:443/api/v2/pools", Some("gate"), Err(OtherAuthority)),
        ("IPv6, another port", "http://[::1]:1/api/v2/pools", Some("[::1]:2"), Err(OtherAuthority)),
        ("IPv6, not closed", "http://[::1/api/v2/pools", Some("[::1"), Err(OtherAuthority)),
        ("no Host", "http://gate/api/v2/pools", None, Err(OtherAuthority)),
        ("no authority", "http:///api/v2/pools", Some(""), Err(OtherAuthority)),
        ("user information", "http://u@gate/api/v2/pools", Some("u@gate"), Err(OtherAuthority)),
        ("host behind user information", "http://gate@other/", Some("gate"), Err(OtherAuthority)),
        ("no port number", "http://gate:x/", Some("gate:x"), Err(OtherAuthority)),
        ("backslash", "http://gate\\api/v2/pools", Some("gate"), Err(Backslash)),
        ("fragment", "http://gate#/api/v2/pools", Some("gate"), Err(Fragment)),
        ("its path is checked too", "http://gate/api/../x", Some("gate"), Err(DotSegment)),
    ] {
        check(name, raw.as_bytes(), host, expected);
    }
}

#[test]
fn uri_has_the_forwarded_path_and_the_query_given() {
    let target = Target::parse(b"//api/v2/%70ools/a%2Fb?limit=1000", None).unwrap();
    let uri = |query| target.uri(query).map(|uri| uri.to_string());
    assert_eq!(uri(target.query()).as_deref(), Ok("/api/v2/pools/a%2Fb?limit=1000"));
    assert_eq!(uri(Some("limit=100")).as_deref(), Ok("/api/v2/pools/a%2Fb?limit=100"));
    assert_eq!(uri(Some("")).as_deref(), Ok("/api/v2/pools/a%2Fb?"));
    assert_eq!(uri(None).as_deref(), Ok("/api/v2/pools/a%2Fb"));
    assert_eq!(uri(Some("a#b")), Err(InvalidTarget::Fragment));
    assert_eq!(uri(Some("a\r\nb")), Err(InvalidTarget::Control));
    assert_eq!(uri(Some(&"x".repeat(70_000))), Err(InvalidTarget::TooLong));
}

/// The same numbers on every run (xorshift64), so that a failure can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A target made of what is awkward.
pub(crate) fn awkward(dice: &mut Dice) -> String {
    const PARTS: &[&str] = &[
        "/",
        "/",
        "/",
        "/",
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2E",
        "%2F",
        "%2f",
        "%5c",
        "\\",
        ";",
        "%3b",
        "#",
        "%23",
        "?",
        "%3F",
        "%",
        "%25",
        "%2",
        "%00",
        "%0a",
        "%c2%85",
        "%C3%A9",
        "é",
        "%FF",
        "%20",
        " ",
        "a",
        "%61",
        "x",
        "/api/v2",
        "/api/v2/",
        "api",
        "/v2",
        "%76%32",
        "/api/v1",
        "dags",
        "/list",
        "pools",
        "/auth/token",
        "/cli",
        "token",
        "/auth/fab/v1",
        "/execution",
        "exec%75tion",
        "/openapi.json",
        "/version",
        "/airflow",
        "/api/experimental",
    ];
    let length = 1 + dice.below(9);
    let parts: String = (0..length).map(|_| dice.pick(PARTS)).collect();
    if dice.below(20) == 0 { parts } else { format!("/{parts}") }
}

/// Python's `urllib.parse.unquote`, as uvicorn applies it: what is malformed stays as it is.
pub(crate) fn unquote(path: &str) -> String {
    let (mut bytes, mut decoded) = (path.as_bytes(), Vec::new());
    while let Some((&byte, rest)) = bytes.split_first() {
        let pair = rest.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let pair = pair.filter(|pair| byte == b'%' && pair.bytes().all(|b| b.is_ascii_hexdigit()));
        decoded.push(pair.map_or(byte, |pair| u8::from_str_radix(pair, 16).unwrap()));
        bytes = &rest[if pair.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[test]
fn whatever_is_accepted_is_read_alike_by_the_upstream() {
    let mut dice = Dice::new(1);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let raw = awkward(&mut dice);
        let Ok(target) = Target::parse(raw.as_bytes(), None) else { continue };
        accepted += 1;
        let path = raw.split('?').next().unwrap();
        let upstream = format!("/{}", unquote(path.trim_start_matches('/')));
        assert_eq!(target.decoded(), upstream, "{raw}");
        assert_eq!(unquote(target.path()), upstream, "{raw}");
        assert!(!upstream.split('/').any(|segment| matches!(segment, "." | "..")), "{raw}");
        assert!(!upstream.contains(|c: char| c.is_control() || c == '\\'), "{raw}");
        assert_eq!(
            target.decoded()[..target.plain_length()],
            target.path()[..target.plain_length()],
            "{raw}"
        );

        let forwarded = target.uri(target.query()).unwrap().to_string();
        assert_eq!(target.is_verbatim(), forwarded == raw, "{raw}");
        let again = Target::parse(forwarded.as_bytes(), None).unwrap();
        assert!(again.is_verbatim(), "{raw}");
        assert_eq!(
            (again.path(), again.decoded(), again.query()),
            (target.path(), target.decoded(), target.query()),
            "{raw}"
        );
    }
    assert!(accepted > 2_000, "the generator must make targets that are accepted: {accepted}");
}

#[test]
fn any_bytes_at_all_do_no_harm() {
    let mut dice = Dice::new(2);
    for _ in 0..20_000 {
        let raw: Vec<u8> = (0..dice.below(40)).map(|_| dice.below(256) as u8).collect();
        let _ = Target::parse(&raw, Some(&raw));
        let absolute = [b"http://", &raw[..]].concat();
        let _ = Target::parse(&absolute, Some(&raw));
    }
}
