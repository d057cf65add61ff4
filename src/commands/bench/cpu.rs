//! What processes of this machine have worked, from `/proc`.

use std::{fs, time::Duration};

/// The unit of times in `/proc/PID/stat`: Linux shows them in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Some processes.
pub struct Processes(Vec<u32>);

impl Processes {
    /// Those given, or every other process here that runs nodes of Henge.
    pub fn of_nodes(given: &[u32]) -> Self {
        if !given.is_empty() {
            return Self(given.to_vec());
        }
        let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(pids.filter(|pid| runs_nodes(*pid)).collect())
    }

    /// This one.
    pub fn own() -> Self {
        Self(vec![std::process::id()])
    }

    /// Which they are.
    pub fn pids(&self) -> &[u32] {
        &self.0
    }

    /// CPU time of all of them since they started, in user and kernel; `None` if one is gone, or
    /// there is none.
    pub fn worked(&self) -> Option<Duration> {
        let each =
            self.0.iter().map(|pid| worked(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
        each.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()).map(|all| all.iter().sum())
    }
}

/// How much more was worked `after` than `before`.
pub fn difference(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    after?.checked_sub(before?)
}

fn runs_nodes(pid: u32) -> bool {
    if pid == std::process::id() {
        return false;
    }
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    let is_henge = program.rsplit(|byte| *byte == b'/').next() == Some(b"henge");
    is_henge && words.any(|word| word == b"serve" || word == b"demo")
}

/// `utime` and `stime` of a line of `/proc/PID/stat`, behind the name, which may hold anything.
fn worked(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    Some(TICK * (times.next()?? + times.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 99 1 1";
        assert_eq!(worked(stat), Some(Duration::from_secs(3)));
        assert_eq!(worked("7 (short) S 1"), None);
    }

    #[test]
    fn this_process_has_worked_and_is_no_node() {
        assert!(Processes::own().worked().is_some());
        assert!(!Processes::of_nodes(&[]).pids().contains(&std::process::id()));
        assert_eq!(Processes(vec![0]).worked(), None, "there is no process 0");
        assert_eq!(Processes(Vec::new()).worked(), None);
    }
}
