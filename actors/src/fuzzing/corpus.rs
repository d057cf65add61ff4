//! Inputs as lines of text: what is printable stands for itself, the rest as in a Rust literal. A
//! corpus so can be read, compared and commented: lines that begin with `#` say what follows.

/// The inputs in the text of a corpus; the error names the line that is none.
pub fn read_corpus(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines
        .map(|(index, line)| read_input(line).ok_or_else(|| format!("line {}", index + 1)))
        .collect()
}

/// One input as a line, without its end.
pub fn write_input(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    // A space at an end would be lost in many an editor, a line of `#` is a comment.
    let line = match line.strip_suffix(' ') {
        Some(rest) => format!("{rest}\\x20"),
        None => line,
    };
    match line.strip_prefix('#') {
        Some(rest) => format!("\\x23{rest}"),
        None => line,
    }
}

fn read_input(line: &str) -> Option<Vec<u8>> {
    let mut input = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match first {
            b'\\' => unescape(behind)?,
            byte => (*byte, behind),
        };
        input.push(byte);
        rest = behind;
    }
    Some(input)
}

/// The byte that an escape means, and what follows it.
fn unescape(escape: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, rest) = escape.split_first()?;
    match kind {
        b'x' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, rest))
        }
        b'n' => Some((b'\n', rest)),
        b'r' => Some((b'\r', rest)),
        b't' => Some((b'\t', rest)),
        b'\\' | b'\'' | b'"' => Some((*kind, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn an_input_survives_its_line(input in proptest::collection::vec(0u8.., 0..60)) {
            let text = format!("# a comment\n{}\n", write_input(&input));
            proptest::prop_assert_eq!(read_corpus(&text), Ok(vec![input]));
        }
    }

    #[test]
    fn what_is_no_input_is_named_by_its_line() {
        assert_eq!(read_corpus("fine\n# \\x\n\\xg0\n"), Err("line 3".to_owned()));
        assert_eq!(read_corpus("\\"), Err("line 1".to_owned()));
    }
}
