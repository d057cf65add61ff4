//! What nobody asked for: unknown keys and variables, and what was probably meant.

use std::collections::BTreeSet;

use super::{
    error::{Finding, Place, Violation},
    file::Entry,
    reader::variable_of,
};

pub(super) fn not_a_section(key: &str, entry: &Entry) -> Finding {
    let violation = Violation::Unfit {
        key: key.to_owned(),
        value: entry.value.show(),
        expected: format!("a section: write [{key}]"),
    };
    Finding::new(violation, Place::File(entry.value_at.clone()))
}

pub(super) fn unknown_key(key: &str, known: &[String], place: Place) -> Finding {
    let hint = match nearest(key, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => known_in_section(key, known),
    };
    Finding::new(Violation::UnknownKey { key: key.to_owned(), hint }, place)
}

fn known_in_section(key: &str, known: &[String]) -> String {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    let keys = known.iter().filter_map(|known| match known.rsplit_once('.') {
        Some((of, key)) if of == section => Some(key),
        _ => None,
    });
    let keys: BTreeSet<&str> = keys.collect();
    if !keys.is_empty() {
        let keys: Vec<&str> = keys.into_iter().collect();
        return format!("[{section}] takes {}", keys.join(", "));
    }
    let sections = known.iter().filter_map(|key| key.split_once('.')).map(|(section, _)| section);
    let sections: BTreeSet<&str> = sections.collect();
    format!("the sections are {}", sections.into_iter().collect::<Vec<_>>().join(", "))
}

/// A foreign variable may well begin with `HENGE_`; only one that is nearly a key is a mistake.
pub(super) fn unknown_variable(variable: &str, value: &str, known: &[String]) -> Option<Finding> {
    let variables: Vec<String> = known.iter().map(|key| variable_of(key)).collect();
    if variables.iter().any(|known| known == variable) {
        return None;
    }
    let nearest = nearest(variable, variables.iter().map(String::as_str))?.to_owned();
    let text = format!("{variable}={value}");
    let place = Place::Line { name: "environment", text, at: 0..variable.len() };
    Some(Finding::new(Violation::UnknownVariable { variable: variable.to_owned(), nearest }, place))
}

/// The known word with the fewest edits from `word`, at most two.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (edits(word, known), known)).filter(|(edits, _)| *edits <= 2);
    near.min().map(|(_, known)| known)
}

/// Levenshtein distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn the_distance_counts_insertions_deletions_and_replacements() {
        for (from, to, distance) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("listen", "listn", 1), ("abc", "acb", 2)]
        {
            assert_eq!(edits(from, to), distance, "{from} {to}");
        }
    }
}
