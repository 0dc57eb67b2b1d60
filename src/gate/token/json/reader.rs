//! From code points to a value: `Modules/_json.c`, without its recursion.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::number::Number;
use super::{InvalidJson, Text, Value};

/// The most containers that may be open at once. Python's limit depends on how deep its own call
/// stack already is; measured with Airflow 3.3, 956 nested containers are the last to be read.
pub(super) const MAX_DEPTH: usize = 956;

/// The most digits of an integer: Python's `sys.int_info.default_max_str_digits`.
const MAX_DIGITS: usize = 4300;

/// Reads a whole document.
///
/// # Errors
/// All of [`InvalidJson`] but the encoding.
pub(super) fn read(text: &[u32]) -> Result<Value, InvalidJson> {
    Reader { text, at: 0 }.document()
}

/// A container that is not closed yet.
enum Open {
    List(Vec<Value>),
    Dict { members: Vec<(Text, Value)>, key: Text },
}

struct Reader<'a> {
    text: &'a [u32],
    at: usize,
}

impl Reader<'_> {
    /// Keeps the open containers on a stack of its own, so that no body can exhaust the thread's.
    fn document(mut self) -> Result<Value, InvalidJson> {
        let mut open: Vec<Open> = Vec::new();
        self.skip_white();
        loop {
            let mut value = match self.peek() {
                Some('{' | '[') if open.len() == MAX_DEPTH => return Err(InvalidJson::Depth),
                Some('{') => {
                    self.step();
                    if self.take('}') {
                        Value::Dict(Vec::new())
                    } else {
                        let key = self.key()?;
                        open.push(Open::Dict { members: Vec::new(), key });
                        continue;
                    }
                }
                Some('[') => {
                    self.step();
                    if self.take(']') {
                        Value::List(Vec::new())
                    } else {
                        open.push(Open::List(Vec::new()));
                        continue;
                    }
                }
                Some(_) | None => self.scalar()?,
            };
            // The value may be the last one of its container, and that of the next.
            loop {
                self.skip_white();
                match open.pop() {
                    None if self.at == self.text.len() => return Ok(value),
                    None => return Err(self.error("Extra data")),
                    Some(Open::List(mut items)) => {
                        items.push(value);
                        if self.take(',') {
                            open.push(Open::List(items));
                            break;
                        }
                        self.close(']')?;
                        value = Value::List(items);
                    }
                    Some(Open::Dict { mut members, key }) => {
                        members.push((key, value));
                        if self.take(',') {
                            let key = self.key()?;
                            open.push(Open::Dict { members, key });
                            break;
                        }
                        self.close('}')?;
                        value = Value::Dict(last_wins(members));
                    }
                }
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Text, InvalidJson> {
        if self.peek() != Some('"') {
            return Err(self.error("Expecting property name enclosed in double quotes"));
        }
        let key = self.string()?;
        self.skip_white();
        if self.take(':') { Ok(key) } else { Err(self.error("Expecting ':' delimiter")) }
    }

    fn scalar(&mut self) -> Result<Value, InvalidJson> {
        const WORDS: [(&str, Value); 6] = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        if self.peek() == Some('"') {
            return self.string().map(Value::Text);
        }
        for (word, value) in WORDS {
            let letters = word.chars().map(u32::from);
            if self.text[self.at..].iter().copied().take(word.len()).eq(letters) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Value, InvalidJson> {
        let Some(Number { text, is_integer }) = Number::scan(self.text, &mut self.at) else {
            return Err(self.error("Expecting value"));
        };
        if !is_integer {
            // Always a number, by the scan above.
            return Ok(text.parse().map_or(Value::Null, Value::Float));
        }
        if text.trim_start_matches('-').len() > MAX_DIGITS {
            return Err(InvalidJson::Digits);
        }
        Ok(Value::Int(if text == "-0" { "0".into() } else { text.into() }))
    }

    /// A string, from quote to quote.
    fn string(&mut self) -> Result<Text, InvalidJson> {
        let start = self.at;
        let unterminated =
            InvalidJson::Syntax { message: "Unterminated string starting at", position: start };
        self.at += 1;
        let mut text = Zeroizing::new(Vec::with_capacity(self.plain_length()));
        loop {
            let code_point = self.text.get(self.at).copied().ok_or(unterminated)?;
            match char::from_u32(code_point) {
                Some('"') => break,
                Some('\\') => {
                    let escaped = self.char(self.at + 1);
                    if self.at + 1 == self.text.len() {
                        return Err(unterminated);
                    }
                    text.push(self.escape(escaped)?);
                }
                Some('\0'..='\x1f') => return Err(self.error("Invalid control character at")),
                Some(_) | None => {
                    text.push(code_point);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Text(text))
    }

    /// An upper bound of the length of the string that starts here, so that its buffer never grows.
    fn plain_length(&self) -> usize {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        rest.iter()
            .position(|&c| {
                let end = !escaped && c == u32::from('"');
                escaped = !escaped && c == u32::from('\\');
                end
            })
            .unwrap_or(0)
    }

    /// The escape at a backslash.
    fn escape(&mut self, escaped: Option<char>) -> Result<u32, InvalidJson> {
        let plain = match escaped {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode_escape(),
            Some(_) | None => return Err(self.error("Invalid \\escape")),
        };
        self.at += 2;
        Ok(plain.into())
    }

    /// `\uXXXX`, or two of them that make a surrogate pair.
    fn unicode_escape(&mut self) -> Result<u32, InvalidJson> {
        const MESSAGE: &str = "Invalid \\uXXXX escape";
        // Python wants one character more than the escape needs, and says so of the `u`.
        let wrong = |backslash: usize| InvalidJson::Syntax { message: MESSAGE, position: backslash + 1 };
        let first = self.at;
        if first + 6 >= self.text.len() {
            return Err(wrong(first));
        }
        let high = self.hexadecimal(first + 2).ok_or(wrong(first))?;
        let second = first + 6;
        self.at = second;
        let is_pair = (0xd800..0xdc00).contains(&high)
            && second + 6 < self.text.len()
            && self.char(second) == Some('\\')
            && self.char(second + 1) == Some('u');
        if is_pair {
            let low = self.hexadecimal(second + 2).ok_or(wrong(second))?;
            if (0xdc00..0xe000).contains(&low) {
                self.at = second + 6;
                return Ok(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            }
        }
        Ok(high)
    }

    fn hexadecimal(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |sum, at| Some(sum * 16 + self.char(at)?.to_digit(16)?))
    }

    fn char(&self, at: usize) -> Option<char> {
        self.text.get(at).copied().and_then(char::from_u32)
    }

    fn peek(&self) -> Option<char> {
        self.char(self.at)
    }

    fn skip_white(&mut self) {
        while let Some(' ' | '\t' | '\n' | '\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Over one character and the white space behind it.
    fn step(&mut self) {
        self.at += 1;
        self.skip_white();
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.step();
        }
        found
    }

    /// The end of a container. Does not skip the white space behind it: it may be the document's.
    fn close(&mut self, end: char) -> Result<(), InvalidJson> {
        if self.peek() != Some(end) {
            return Err(self.error("Expecting ',' delimiter"));
        }
        self.at += 1;
        Ok(())
    }

    fn error(&self, message: &'static str) -> InvalidJson {
        InvalidJson::Syntax { message, position: self.at }
    }
}

/// Each key once, where it first came, with the value that came last: a Python `dict`.
fn last_wins(members: Vec<(Text, Value)>) -> Vec<(Text, Value)> {
    let mut places: HashMap<Text, usize> = HashMap::with_capacity(members.len());
    let mut unique: Vec<(Text, Value)> = Vec::with_capacity(members.len());
    for (key, value) in members {
        match places.get(&key) {
            Some(&place) => unique[place].1 = value,
            None => {
                places.insert(key.clone(), unique.len());
                unique.push((key, value));
            }
        }
    }
    unique
}
