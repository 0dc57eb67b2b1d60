//! Numbers: what `Modules/_json.c` takes for one.

/// A number, as it was written.
pub(in crate::gate) struct Number {
    /// Its characters.
    pub text: String,
    /// Whether it has neither a fraction nor an exponent.
    pub is_integer: bool,
}

impl Number {
    /// Reads the number that starts at `at`, and goes behind it. `None` where none does.
    pub(in crate::gate) fn scan(text: &[u32], at: &mut usize) -> Option<Self> {
        let char = |at: usize| char::from_u32(*text.get(at)?);
        let digits = |mut at: usize| {
            while let Some('0'..='9') = char(at) {
                at += 1;
            }
            at
        };
        let start = *at;
        let mut end = start + usize::from(char(start) == Some('-'));
        match char(end)? {
            '0' => end += 1,
            '1'..='9' => end = digits(end),
            _ => return None,
        }
        let integer = end;
        if char(end) == Some('.') && digits(end + 1) > end + 1 {
            end = digits(end + 1);
        }
        if let Some('e' | 'E') = char(end) {
            let first = end + 1 + usize::from(matches!(char(end + 1), Some('+' | '-')));
            if digits(first) > first {
                end = digits(first);
            }
        }
        *at = end;
        Some(Self { text: (start..end).filter_map(char).collect(), is_integer: integer == end })
    }
}
