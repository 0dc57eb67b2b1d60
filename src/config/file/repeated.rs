//! A key or a section that a file has twice. The parser says where the second is, and no more.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is there twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated {
    /// As messages call it: `[server] listen`, or `[server]`.
    pub name: String,
    /// At which byte it is for the first time, where that can be told.
    pub first: Option<usize>,
}

impl Repeated {
    /// What the parser met for the second time there.
    pub fn find(text: &str, second: Range<usize>) -> Self {
        let key = text.get(second.clone()).unwrap_or_default();
        let before = text.get(..second.start).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let lead = before.get(line..).unwrap_or_default().trim_start();
        let above = text.get(..line).unwrap_or_default();
        let (document, _) = DeTable::parse_recoverable(above);
        let root = document.get_ref();
        if lead.starts_with('[') {
            let brackets = if lead.starts_with("[[") { "]]" } else { "]" };
            let path = path(&format!("{lead}{key}{brackets}"));
            return Self { name: format!("[{}]", path.join(".")), first: find(root, &path) };
        }
        if lead.contains('{') {
            let (whole, _) = DeTable::parse_recoverable(text);
            let table = innermost(whole.get_ref(), second.start);
            let first = table.and_then(|table| find(table, &path(&format!("{key} = 0"))));
            let first = first.filter(|first| *first < second.start);
            return Self { name: format!("{key} in one table"), first };
        }
        let section = last_section(root, above);
        let within = path(&format!("{lead}{key} = 0"));
        let first = find(section.as_ref().map_or(root, |section| section.table), &within);
        let name = match section {
            Some(section) => format!("[{}] {}", section.path.join("."), within.join(".")),
            None => within.join("."),
        };
        Self { name, first }
    }
}

/// The path of the only key of a text.
fn path(text: &str) -> Vec<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut names = Vec::new();
    let mut table = Some(document.get_ref());
    while let Some((key, value)) = table.and_then(|table| table.iter().next()) {
        names.push(key.get_ref().to_string());
        table = latest(value).map(|(table, _)| table);
    }
    names
}

/// Where a path is in a table: the byte at which its last key begins.
fn find(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (mut table, mut at) = (Some(table), None);
    for name in path {
        let (key, value) = table?.iter().find(|(key, _)| key.get_ref() == name)?;
        at = Some(key.span().start);
        table = latest(value).map(|(table, _)| table);
    }
    at
}

/// A table, or the last one of an array of them, to which a path leads on, and where it begins.
fn latest<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Option<(&'a DeTable<'i>, usize)> {
    match value.get_ref() {
        DeValue::Table(table) => Some((table, value.span().start)),
        DeValue::Array(items) => items.iter().last().and_then(latest),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

/// The smallest table whose text has this byte.
fn innermost<'a, 'i>(root: &'a DeTable<'i>, byte: usize) -> Option<&'a DeTable<'i>> {
    let mut smallest: Option<(usize, &'a DeTable<'i>)> = None;
    let mut open: Vec<&Spanned<DeValue<'i>>> = root.iter().map(|(_, value)| value).collect();
    while let Some(value) = open.pop() {
        match value.get_ref() {
            DeValue::Table(table) => {
                let span = value.span();
                if span.contains(&byte) && smallest.is_none_or(|(length, _)| span.len() < length) {
                    smallest = Some((span.len(), table));
                }
                open.extend(table.iter().map(|(_, value)| value));
            }
            DeValue::Array(items) => open.extend(items.iter()),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
    smallest.map(|(_, table)| table)
}

/// A table with a header.
struct Section<'a, 'i> {
    path: Vec<String>,
    table: &'a DeTable<'i>,
    at: usize,
}

/// The one whose header comes last, which is the one that what follows is in.
fn last_section<'a, 'i>(root: &'a DeTable<'i>, text: &str) -> Option<Section<'a, 'i>> {
    let mut last: Option<Section<'a, 'i>> = None;
    let mut open = vec![(Vec::new(), root)];
    while let Some((path, table)) = open.pop() {
        for (key, value) in table {
            let Some((inner, at)) = latest(value) else { continue };
            let path: Vec<String> = path.iter().cloned().chain([key.get_ref().to_string()]).collect();
            let has_header = text.as_bytes().get(at) == Some(&b'[');
            if has_header && last.as_ref().is_none_or(|last| last.at < at) {
                last = Some(Section { path: path.clone(), table: inner, at });
            }
            open.push((path, inner));
        }
    }
    last
}
