//! Tables. Each cell knows the name of its column, so that a narrow screen can show a row as a list of names and
//! values, and nothing has to be left out there.

use std::fmt::{Display, Write};

use super::text::Text;

/// A column: its name, and how its cells are set.
pub struct Column(pub &'static str, pub Set);

/// How the cells of a column are set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// As text, which may be broken into lines.
    Text,
    /// As text on one line.
    Line,
    /// As numbers, to be compared with those above and below.
    Number,
}

impl Set {
    fn class(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Line => "when",
            Self::Number => "number",
        }
    }
}

/// What is in a table at one place.
pub struct Cell {
    html: String,
    class: &'static str,
}

impl Cell {
    /// Nothing.
    pub fn none() -> Self {
        Self::shown("")
    }

    /// A number, or another text of our own.
    pub fn shown(text: impl Display) -> Self {
        Self { html: Text(&text.to_string()).to_string(), class: "" }
    }

    /// A name or a value, letter by letter.
    pub fn code(text: impl Display) -> Self {
        Self { html: format!("<code>{}</code>", Text(&text.to_string())), class: "" }
    }

    /// With a class of the style sheet: `good`, `fair`, `bad` or `soft`.
    pub fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    /// With another one behind it, on a line of its own.
    pub fn over(self, below: &Self) -> Self {
        let tag = match below.class {
            "" => "<div>".to_owned(),
            class => format!("<div class={class}>"),
        };
        Self { html: format!("{}{tag}{}</div>", self.html, below.html), ..self }
    }

    /// With a word in front.
    pub fn after(self, word: &str) -> Self {
        Self { html: format!("{} {}", Text(word), self.html), ..self }
    }
}

/// A table of these columns.
pub fn table<const N: usize>(
    out: &mut String,
    columns: &[Column; N],
    rows: impl IntoIterator<Item = [Cell; N]>,
) {
    out.push_str("<div class=wide><table><thead><tr>");
    for Column(name, set) in columns {
        let _ = match set {
            Set::Text | Set::Line => write!(out, "<th>{name}"),
            Set::Number => write!(out, "<th class=number>{name}"),
        };
    }
    out.push_str("<tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (Column(name, set), Cell { html, class }) in columns.iter().zip(row) {
            let _ = match [set.class(), class].join(" ").trim() {
                "" => write!(out, "<td data-of=\"{name}\">{html}"),
                class => write!(out, "<td data-of=\"{name}\" class=\"{class}\">{html}"),
            };
        }
    }
    out.push_str("</table></div>");
}
