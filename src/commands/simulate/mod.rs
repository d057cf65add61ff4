//! `henge simulate`: many runs of simulated clusters, and what is told of them.
//!
//! | file | what it does |
//! | --- | --- |
//! | `crew.rs` | runs seeds on all cores, one a thread |
//! | `summary.rs` | the figures, for people and programs |
//! | `red.rs` | a red run: made smaller, written down, shown |
//! | `defects.rs` | how many seeds find mistakes on purpose |

mod crew;
mod defects;
mod red;
mod summary;

use std::{fs, path::Path};

use henge_actors::simulation::{Options, defects::CAN_BE_PLANTED, kept};

use self::summary::Summary;
use super::{
    failure::{Exit, Failure},
    output,
};
use crate::cli::{GlobalArgs, SimulateArgs};

/// Of how many red runs the story is told; of the others the seed is named.
const TOLD_MAX: usize = 3;

pub(super) fn run(args: &SimulateArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    if let Some(names) = &args.defects {
        return defects::run(names, args, global);
    }
    let runs = runs(args)?;
    let threads = args.threads.map_or_else(cores, usize::from).min(runs.len());
    let mut summary = Summary::begin(args, threads);
    crew::work(&runs, threads, |report| {
        if args.verbose {
            let options = serde_json::to_string(&report.options).unwrap_or_default();
            output::message(&format!("{:016x} {options}", report.trace));
        }
        summary.add(&report);
        summary.show_progress(runs.len());
    });
    summary.end_progress();
    let mut stories = Vec::new();
    for options in summary.reds().iter().take(TOLD_MAX) {
        stories.push(red::tell(options, args, global.json)?);
    }
    if global.json {
        output::json(&summary.document(&stories))?;
    } else {
        output::text(&summary.to_string())?;
    }
    Ok(if summary.is_good() { Exit::Ok } else { Exit::Failed })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is to be run.
fn runs(args: &SimulateArgs) -> Result<Vec<Options>, Failure> {
    let mut runs: Vec<Options> = Vec::new();
    if args.kept {
        runs.extend(kept::all().into_iter().map(|kept| kept.options));
    }
    if let Some(file) = &args.options {
        runs.push(read(file)?);
    } else {
        let first = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
        runs.extend((0..args.seeds).map(|more| Options::draw(first.wrapping_add(more))));
    }
    for options in &mut runs {
        options.faults.retain(|fault| !args.without.contains(fault));
        options.settle();
    }
    Ok(runs)
}

fn read(file: &Path) -> Result<Options, Failure> {
    let what = format!("{} was not run", file.display());
    let remedy = "name the .json file that a red seed left; it fits the version that wrote it";
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::usage(what.clone(), error.to_string(), remedy))?;
    let options: Options = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(what.clone(), error.to_string(), remedy))?;
    if options.planted.is_some() && !CAN_BE_PLANTED {
        return Err(defects::not_built(what));
    }
    Ok(options)
}
