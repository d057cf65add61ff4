//! What is told of a red run.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use henge_actors::simulation::{self, Options, Report, shrink, timeline};
use serde::Serialize;

use super::super::{
    failure::{Exit, Failure},
    output,
};
use crate::cli::SimulateArgs;

/// How many lines of what happened are shown.
const LINES_MAX: usize = 60;

/// How much of what was broken is told.
const BROKEN_MAX: usize = 5;

/// A red run, as programs get it.
#[derive(Debug, Serialize)]
pub struct Story {
    seed: u64,
    /// What was broken, in words.
    broken: Vec<String>,
    /// The command that repeats it.
    replay: String,
    /// Where the history is.
    history: PathBuf,
}

/// Runs it again, makes it smaller, writes it down and, for people, shows it.
pub fn tell(options: &Options, args: &SimulateArgs, as_json: bool) -> Result<Story, Failure> {
    let mut report = simulation::run(options);
    if !args.no_shrink {
        let mut tried = 0;
        report = shrink(report, &mut |_| {
            tried += 1;
            output::aside(&format!("seed {}: smaller, try {tried}", options.seed));
        });
    }
    let seed = options.seed;
    let (history, smallest) = write_down(&report, &args.dir, seed).map_err(|error| {
        Failure::new(
            format!("the history of seed {seed} was not written"),
            error.to_string(),
            "choose a directory that can be written to by --dir",
            Exit::Failed,
        )
    })?;
    let violations = report.verdict.violations.iter().map(ToString::to_string);
    let broken = report.problems.iter().cloned().chain(violations).collect();
    let replay = format!("henge simulate --options {}", smallest.display());
    let story = Story { seed, broken, replay, history };
    if !as_json {
        output::text(&story.told(&report))?;
    }
    Ok(story)
}

fn write_down(report: &Report, dir: &Path, seed: u64) -> io::Result<(PathBuf, PathBuf)> {
    fs::create_dir_all(dir)?;
    let history = dir.join(format!("seed-{seed}.jsonl"));
    let mut file = BufWriter::new(File::create(&history)?);
    for event in &report.events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    let options = dir.join(format!("seed-{seed}.json"));
    fs::write(&options, serde_json::to_string_pretty(&report.options)? + "\n")?;
    Ok((history, options))
}

impl Story {
    fn told(&self, report: &Report) -> String {
        let Self { seed, broken, replay, history } = self;
        let mut text = format!("\nseed {seed} is red\n");
        for one in broken.iter().take(BROKEN_MAX) {
            text.extend(["  ", one, "\n"]);
        }
        if broken.len() > BROKEN_MAX {
            text.extend(["  and ", &(broken.len() - BROKEN_MAX).to_string(), " more\n"]);
        }
        let options = serde_json::to_string(&report.options).unwrap_or_default();
        text.extend(["\n  as small as it gets: ", &options, "\n\n"]);
        for line in timeline(&report.events, report.verdict.violations.first(), LINES_MAX) {
            text.extend([&line, "\n"]);
        }
        let history = history.display().to_string();
        text.extend(["\n  history   ", &history, "\n  replay    ", replay, "\n"]);
        text
    }
}
