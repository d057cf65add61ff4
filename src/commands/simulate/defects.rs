//! `henge simulate --defects`: how many seeds it takes to find each of some mistakes on purpose.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use henge_actors::simulation::defects::{CAN_BE_PLANTED, Defect, Found, find};
use serde_json::json;

use super::super::{
    failure::{Exit, Failure},
    output,
    table::Table,
};
use crate::cli::{GlobalArgs, SimulateArgs};

/// How many seeds may look for one.
const SEEDS_MAX: u64 = 1_000;

pub(super) fn run(
    names: &[String],
    args: &SimulateArgs,
    global: GlobalArgs,
) -> Result<Exit, Failure> {
    if !CAN_BE_PLANTED {
        return Err(not_built("no defects were planted"));
    }
    let wanted = wanted(names)?;
    let seeds = if args.seeds > 1 { args.seeds } else { SEEDS_MAX };
    let first = args.seed.unwrap_or(0);
    let threads = args.threads.map_or_else(super::cores, usize::from).min(wanted.len());
    let found = look_for(&wanted, (first, seeds), threads);
    if global.json {
        let rows =
            wanted.iter().zip(&found).map(|(defect, found)| document(*defect, found.as_ref()));
        output::json(&rows.collect::<Vec<_>>())?;
    } else {
        output::text(&told(&wanted, &found))?;
    }
    Ok(if found.iter().all(Option::is_some) { Exit::Ok } else { Exit::Failed })
}

/// Why nothing can be planted.
pub(super) fn not_built(what: impl Into<String>) -> Failure {
    Failure::usage(
        what.into(),
        "this program was built without planted defects",
        "cargo run --release --features planted-defects -- simulate --defects",
    )
}

fn wanted(names: &[String]) -> Result<Vec<Defect>, Failure> {
    if names.is_empty() {
        return Ok(Defect::ALL.to_vec());
    }
    let named = |name: &String| {
        let found = Defect::ALL.iter().copied().find(|defect| defect.name() == name);
        found.ok_or_else(|| {
            let all: Vec<_> = Defect::ALL.iter().map(|defect| defect.name()).collect();
            let why = format!("{name} is none");
            Failure::usage("no defect was planted", why, format!("one of {}", all.join(", ")))
        })
    };
    names.iter().map(named).collect()
}

/// Each on a thread of its own, so many at a time.
fn look_for(wanted: &[Defect], (first, seeds): (u64, u64), threads: usize) -> Vec<Option<Found>> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(vec![None; wanted.len()]);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(defect) = wanted.get(place) else { return };
                    let found = find(*defect, first, seeds);
                    output::aside(&line(*defect, found.as_ref()));
                    all.lock().unwrap_or_else(PoisonError::into_inner)[place] = found;
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn line(defect: Defect, found: Option<&Found>) -> String {
    row(defect, found).join(" ")
}

fn row(defect: Defect, found: Option<&Found>) -> [String; 4] {
    let name = defect.name().to_owned();
    match found {
        Some(Found { seeds, scenario, seen }) => {
            let place = scenario.unwrap_or("chance").to_owned();
            [name, seeds.to_string(), place, seen.clone()]
        }
        None => [name, "-".to_owned(), "not found".to_owned(), String::new()],
    }
}

fn told(wanted: &[Defect], found: &[Option<Found>]) -> String {
    let mut table = Table::new(&["DEFECT", "SEEDS>", "FOUND BY", "SEEN"]);
    for (defect, found) in wanted.iter().zip(found) {
        table.row(row(*defect, found.as_ref()).map(Into::into));
    }
    let caught = found.iter().filter(|found| found.is_some()).count();
    format!("{table}{caught} of {} found\n", wanted.len())
}

fn document(defect: Defect, found: Option<&Found>) -> serde_json::Value {
    let name = defect.name();
    match found {
        Some(Found { seeds, scenario, seen }) => {
            json!({ "defect": name, "seeds": seeds, "scenario": scenario, "seen": seen })
        }
        None => json!({ "defect": name, "seeds": null }),
    }
}
