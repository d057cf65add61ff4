//! Follows the body of a request to its end, where the next head begins (RFC 9112, sections 6
//! and 7).

/// The longest line of a chunked body, in bytes.
const LINE_BYTES_MAX: usize = 4096;
/// The most lines of headers behind a chunked body.
const TRAILERS_MAX: u8 = 96;

/// A body that is no chunked one, though its head says so.
#[derive(Debug)]
pub struct IllFramed;

/// What is still to come of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Done,
    /// That many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Whatever comes.
    Endless,
}

/// What comes next in a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// The line with its size.
    Size,
    /// That many of its bytes.
    Data(u64),
    /// The end of the line behind them.
    End,
    /// Headers, or the empty line that ends the body; with how many headers there were.
    Trailer(u8),
}

impl Body {
    /// A body of that many bytes.
    pub fn of_length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    /// A chunked body.
    pub fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Whether a head comes next.
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// Moves on past `count` bytes if all of them are surely part of the body.
    pub fn skip(&mut self, count: usize) -> bool {
        match self {
            Self::Length(left) if *left >= count as u64 => {
                *self = Self::of_length(*left - count as u64);
                true
            }
            Self::Chunked(Chunk::Data(left)) if *left > count as u64 => {
                *left -= count as u64;
                true
            }
            Self::Endless => true,
            _ => false,
        }
    }

    /// Moves on into `bytes` as far as one step leads; says how many of them it took. It takes
    /// none only if it must see more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, IllFramed> {
        let Self::Chunked(chunk) = self else {
            let length = match self {
                Self::Length(left) => within(*left, bytes),
                _ => bytes.len(),
            };
            self.skip(length);
            return Ok(length);
        };
        if let Chunk::Data(left) = chunk {
            let length = within(*left, bytes);
            *left -= length as u64;
            if *left == 0 {
                *chunk = Chunk::End;
            }
            return Ok(length);
        }
        let Some(line) = first_line(bytes)? else { return Ok(0) };
        *self = match (chunk, line) {
            (Chunk::Size, line) => match size(line).ok_or(IllFramed)? {
                0 => Self::Chunked(Chunk::Trailer(0)),
                size => Self::Chunked(Chunk::Data(size)),
            },
            (Chunk::End, b"") => Self::Chunked(Chunk::Size),
            (Chunk::Trailer(_), b"") => Self::Done,
            (Chunk::Trailer(count), _) if *count < TRAILERS_MAX => {
                Self::Chunked(Chunk::Trailer(*count + 1))
            }
            _ => return Err(IllFramed),
        };
        Ok(line.len() + 2)
    }
}

fn within(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

/// The line at the front of `bytes` without its end, which is CR LF and nothing else.
fn first_line(bytes: &[u8]) -> Result<Option<&[u8]>, IllFramed> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(IllFramed) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(IllFramed)?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(IllFramed);
    }
    Ok(Some(line))
}

/// The size that a line says: hexadecimal, perhaps with extensions behind it.
fn size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line.split(|byte| *byte == b';').next()?).ok()?;
    let digits = text.trim_end_matches([' ', '\t']);
    let is_size = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_size.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of `text` belong to a chunked body, if they come `step` at a time.
    fn end_of(text: &[u8], step: usize) -> Result<Option<usize>, IllFramed> {
        let (mut body, mut at, mut seen) = (Body::chunked(), 0, 0);
        while !body.is_done() {
            let taken = body.take(&text[at..seen])?;
            at += taken;
            if taken == 0 {
                if seen == text.len() {
                    return Ok(None);
                }
                seen = (seen + step).min(text.len());
            }
        }
        Ok(Some(at))
    }

    #[test]
    fn a_chunked_body_ends_where_its_framing_says() {
        let whole: [&[u8]; 5] = [
            b"0\r\n\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"00A \t;name=\"va;ue\"\r\n0123456789\r\n0\r\n\r\n",
            b"1\r\n\n\r\n2\r\n\r\n\r\n0;x\r\na: b\r\nc: d\r\n\r\n",
            b"f\r\n0\r\n\r\nGET / HTTP\r\n0\r\n\r\n",
        ];
        for text in whole {
            for step in [1, 2, 3, 100] {
                let more = [text, b"GET / HTTP/1.1\r\n\r\n"].concat();
                assert_eq!(end_of(&more, step).unwrap(), Some(text.len()), "{text:?} {step}");
                assert_eq!(end_of(&text[..text.len() - 1], step).unwrap(), None);
            }
        }
    }

    #[test]
    fn what_is_framed_wrongly_is_refused_at_any_pace() {
        let long = [b"1;", &[b'x'; LINE_BYTES_MAX][..]].concat();
        let many = [b"0\r\n", &b"a: b\r\n".repeat(97)[..]].concat();
        let bad: [&[u8]; 14] = [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b" 1\r\n",
            b"1 1\r\n",
            b"0x1\r\n",
            b"1\n",
            b"1;a\x01\r\n",
            b"1;a\rb\r\n",
            b"1\r\nab\r\n",
            b"12345678123456781\r\n",
            &long,
            &many,
        ];
        for text in bad {
            for step in [1, 2, 7, 10_000] {
                assert!(end_of(text, step).is_err(), "{text:?} {step}");
            }
        }
    }
}
