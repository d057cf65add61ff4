//! Tables for people: columns as wide as they must be, no lines.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

const GAP: &str = "  ";
const RESET: &str = "\x1b[0m";

/// How a cell looks on a terminal with colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As everything.
    #[default]
    Plain,
    /// As it should be: green.
    Good,
    /// Worth a look: yellow.
    Doubtful,
    /// Something must be done: red.
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Doubtful => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Rows under a head. A column whose name ends in `>` is aligned to the right.
#[derive(Debug)]
pub struct Table {
    names: Vec<&'static str>,
    to_the_right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            names: columns.iter().map(|name| name.trim_end_matches('>')).collect(),
            to_the_right: columns.iter().map(|name| name.ends_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as there are columns.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [Cell; COLUMNS]) {
        debug_assert_eq!(COLUMNS, self.names.len());
        self.rows.push(cells.into());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.text.width());
        widths.chain(self.names.get(column).map(|name| name.width())).max().unwrap_or(0)
    }

    fn line(&self, cells: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), to_the_right) in cells.iter().zip(widths).zip(&self.to_the_right) {
            let padding = " ".repeat(width - cell.text.width().min(*width));
            let code = cell.tone.code();
            let reset = if code.is_empty() { "" } else { RESET };
            let text = format!("{code}{}{reset}", cell.text);
            let (before, after) =
                if *to_the_right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([GAP, before, &text, after]);
        }
        line.trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.names.len()).map(|column| self.width(column)).collect();
        let head: Vec<Cell> = self.names.iter().map(|name| Cell::from(*name)).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            writeln!(f, "{}", self.line(row, &widths))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NODE", "OWNS>", "ZONE"]);
        table.row(["a".into(), Cell::new("20.3 %", Tone::Good), "".into()]);
        table.row(["東京".into(), "9 %".into(), "x".into()]);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  NODE    OWNS  ZONE");
        assert_eq!(lines[1], "  a     \x1b[32m20.3 %\x1b[0m");
        assert_eq!(lines[2], "  東京     9 %  x");
    }
}
