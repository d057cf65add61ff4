//! What the screens share: one look, or one after the other.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::{
    failure::{Asked, Exit, Failure},
    output,
    session::Session,
};
use crate::{
    ClientError,
    cli::{Cli, ScreenArgs},
};

/// Clears a terminal.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// A look at the cluster.
pub trait Screen: Serialize {
    /// It, for people.
    fn paint(&self) -> String;
}

/// Looks once, or with `--watch` again and again: in the same place on a terminal, one below the
/// other elsewhere. What fails between two looks is told, and looked at again.
pub fn run<S: Screen>(
    cli: &Cli,
    args: &ScreenArgs,
    look: &impl AsyncFn(&Session) -> Result<S, Failure>,
) -> Result<Exit, Failure> {
    Session::run(cli, &args.connect, async |session| {
        let mut reader = show(&look(session).await?, cli.global.json, false)?;
        while let Some(interval) = args.watch.filter(|_| reader) {
            sleep(interval).await;
            match look(session).await {
                Ok(screen) => reader = show(&screen, cli.global.json, true)?,
                Err(failure) => failure.report(cli.global.json),
            }
        }
        Ok(Exit::Ok)
    })
}

/// Says whether somebody still reads.
fn show<S: Screen>(screen: &S, as_json: bool, again: bool) -> Result<bool, Failure> {
    if as_json {
        return output::json(screen);
    }
    if again && output::is_terminal() {
        output::raw(CLEAR)?;
    }
    let gap = if again && !output::is_terminal() { "\n" } else { "" };
    output::text(&format!("{gap}{}", screen.paint()))
}

/// Why a report did not come.
pub fn unread(what: &str, error: &ClientError) -> Failure {
    Asked { object: what, done: "read", ..Asked::default() }.failed(error)
}

/// A time for people, in its two greatest units.
pub fn span_text(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A size for people: two or three digits that count, in units of 1,000.
pub fn size_text(bytes: u64) -> String {
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].iter();
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, "B");
    while tenths >= 9_995
        && let Some(next) = units.next()
    {
        (tenths, unit) = ((tenths + 500) / 1_000, next);
    }
    match tenths {
        _ if unit == "B" => format!("{bytes} B"),
        ..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", (tenths + 5) / 10),
    }
}

/// A number for people, in groups of three digits.
pub fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_the_digits_that_count() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_960, "10 kB"),
            (66_961, "67 kB"),
            (999_600, "1.0 MB"),
            (1_200_000_000, "1.2 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size_text(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn counts_are_in_groups_of_three() {
        let texts = [0, 999, 1_000, 81_204, 1_000_000].map(count_text);
        assert_eq!(texts, ["0", "999", "1,000", "81,204", "1,000,000"]);
    }

    #[test]
    fn times_have_two_units() {
        let texts = [999, 61_000, 7_260_000, 273_600_000].map(span_text);
        assert_eq!(texts, ["0s", "1m 1s", "2h 1m", "3d 4h"]);
    }
}
