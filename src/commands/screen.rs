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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let texts = [999, 61_000, 7_260_000, 273_600_000].map(span_text);
        assert_eq!(texts, ["0s", "1m 1s", "2h 1m", "3d 4h"]);
    }
}
