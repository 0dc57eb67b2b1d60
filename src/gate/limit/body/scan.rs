//! Finds the members of one name in a JSON object, and where their values stand.
//!
//! Accepts all that CPython's `json` accepts, and some more: numbers of any length, containers of any depth, control
//! characters in strings. What it accepts beyond, Airflow refuses.

use std::ops::Range;

use crate::gate::token::json::number::Number;

/// The members of one name in a document that is an object.
pub(super) struct Found {
    /// Where its first member begins, or would begin.
    pub(super) start: usize,
    /// Whether it has no members at all.
    pub(super) is_empty: bool,
    /// Those of the name, in order.
    pub(super) members: Vec<Member>,
}

/// A member of that name.
pub(super) struct Member {
    /// Where its value stands.
    pub(super) range: Range<usize>,
    /// Its value.
    pub(super) token: Token,
}

/// A value, as far as it may be a page size.
pub(super) enum Token {
    /// A number without fraction and exponent.
    Integer(String),
    /// A number with either.
    Float(String),
    /// A string; a lone surrogate in it is U+FFFD.
    Text(String),
    /// Anything else.
    Other,
}

/// Looks for the members named `name`, which must be ASCII. `None` for what is no object, or no JSON.
pub(super) fn object(text: &[u32], name: &str) -> Option<Found> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_white();
    scanner.expect('{')?;
    let start = scanner.at;
    let mut found = Found { start, is_empty: false, members: Vec::new() };
    scanner.skip_white();
    if scanner.peek() == Some('}') {
        found.is_empty = true;
    } else {
        loop {
            let is_named = scanner.key(name)?;
            let start = scanner.at;
            let token = scanner.value()?;
            if is_named {
                found.members.push(Member { range: start..scanner.at, token });
            }
            scanner.skip_white();
            if scanner.peek() != Some(',') {
                break;
            }
            scanner.at += 1;
            scanner.skip_white();
        }
    }
    scanner.expect('}')?;
    scanner.skip_white();
    scanner.peek_any().is_none().then_some(found)
}

struct Scanner<'a> {
    text: &'a [u32],
    at: usize,
}

impl Scanner<'_> {
    /// A key, its colon, and the white space behind it. Says whether it is the one.
    fn key(&mut self, name: &str) -> Option<bool> {
        let key = self.string()?;
        self.skip_white();
        self.expect(':')?;
        self.skip_white();
        Some(key == name)
    }

    /// A value of any depth, without recursion.
    fn value(&mut self) -> Option<Token> {
        let mut open = Vec::new();
        loop {
            let token = match self.peek()? {
                bracket @ ('{' | '[') => {
                    let close = if bracket == '{' { '}' } else { ']' };
                    self.at += 1;
                    self.skip_white();
                    if self.peek() == Some(close) {
                        self.at += 1;
                        Token::Other
                    } else {
                        if close == '}' {
                            self.key("")?;
                        }
                        open.push(close);
                        continue;
                    }
                }
                '"' => Token::Text(self.string()?),
                _ => self.scalar()?,
            };
            // It may be the last of its container, and that of the next.
            loop {
                let Some(&close) = open.last() else { return Some(token) };
                self.skip_white();
                if self.peek() == Some(',') {
                    self.at += 1;
                    self.skip_white();
                    if close == '}' {
                        self.key("")?;
                    }
                    break;
                }
                self.expect(close)?;
                open.pop();
                if open.is_empty() {
                    return Some(Token::Other);
                }
            }
        }
    }

    fn scalar(&mut self) -> Option<Token> {
        for word in ["null", "true", "false", "NaN", "Infinity", "-Infinity"] {
            if self.text.get(self.at..)?.iter().copied().take(word.len()).eq(word.chars().map(u32::from)) {
                self.at += word.len();
                return Some(Token::Other);
            }
        }
        let Number { text, is_integer } = Number::scan(self.text, &mut self.at)?;
        Some(if is_integer { Token::Integer(text) } else { Token::Float(text) })
    }

    /// A string, from quote to quote.
    fn string(&mut self) -> Option<String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            let code_point = self.peek_any()?;
            self.at += 1;
            match char::from_u32(code_point) {
                Some('"') => return Some(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) => text.push(c),
                None => text.push(char::REPLACEMENT_CHARACTER),
            }
        }
    }

    /// What stands behind a backslash. Of a surrogate pair each half is U+FFFD: no page size has one.
    fn escape(&mut self) -> Option<char> {
        let escaped = self.peek()?;
        self.at += 1;
        Some(match escaped {
            '"' | '\\' | '/' => escaped,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let four = self.at..self.at + 4;
                self.at = four.end;
                let value =
                    four.map(|at| self.char(at)?.to_digit(16)).try_fold(0, |sum, d| Some(sum * 16 + d?))?;
                char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn skip_white(&mut self) {
        while let Some(' ' | '\t' | '\n' | '\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, expected: char) -> Option<()> {
        (self.peek() == Some(expected)).then(|| self.at += 1)
    }

    fn char(&self, at: usize) -> Option<char> {
        self.text.get(at).copied().and_then(char::from_u32)
    }

    fn peek(&self) -> Option<char> {
        self.char(self.at)
    }

    /// Likewise, a lone surrogate included.
    fn peek_any(&self) -> Option<u32> {
        self.text.get(self.at).copied()
    }
}
