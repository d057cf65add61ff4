//! `cargo run --profile fuzz --example fuzz -- --seconds 60`: fuzzing for as long as you like.

mod allocator;
mod corpus;

use std::{error::Error, fs, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use henge::fuzzing::targets;
use henge_actors::fuzzing::{
    Bounds, Crash, Report, Target, distil, fuzz, read_corpus, replay, write_input,
};

/// Inputs that a corpus keeps beside those that were written into it by hand.
const KEPT_MAX: usize = 24;
/// The longest of them, in bytes.
const KEPT_BYTES_MAX: usize = 200;

/// Changes inputs in ways that break things, for everything that reads bytes from outside.
#[derive(Parser)]
struct Options {
    /// How long, for all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this target; repeatable
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Decides every change
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At most so many inputs of each target
    #[arg(long, default_value_t = u64::MAX)]
    executions: u64,
    /// Run the inputs in this file instead, as they are
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
    /// Add what shows something new to the corpus
    #[arg(long)]
    keep: bool,
    /// Where inputs that break a target are left
    #[arg(long, value_name = "DIR", default_value = "target/fuzz")]
    crashes: PathBuf,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let mut chosen = targets();
    let known: Vec<&str> = chosen.iter().map(|target| target.name).collect();
    if let Some(unknown) = options.target.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no target {unknown}; there are {}", known.join(", ")).into());
    }
    chosen.retain(|target| {
        options.target.is_empty() || options.target.iter().any(|name| name == target.name)
    });
    let mut broken = 0;
    for target in &chosen {
        let crash = match &options.replay {
            Some(file) => replay_all(target, &fs::read_to_string(file)?)?,
            None => run(target, &options, chosen.len())?,
        };
        broken += usize::from(crash.is_some());
    }
    println!("{} passed, {broken} failed", chosen.len() - broken);
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Here a panic shows where it comes from.
fn replay_all(target: &Target, text: &str) -> Result<Option<Crash>, String> {
    let mut last = None;
    for input in read_corpus(text)? {
        if let Some(crash) = replay(target, &input, Some(allocator::memory())) {
            println!("{}: {}", target.name, crash.reason);
            last = Some(crash);
        }
    }
    Ok(last)
}

fn run(target: &Target, options: &Options, count: usize) -> Result<Option<Crash>, Box<dyn Error>> {
    let bounds = Bounds {
        seed: options.seed,
        executions: options.executions,
        time: Duration::from_secs(options.seconds) / u32::try_from(count.max(1))?,
        memory: Some(allocator::memory()),
    };
    // Panics are what is looked for: they are told once, shrunk.
    std::panic::set_hook(Box::new(|_| ()));
    let corpus = corpus::of(target);
    let report = fuzz(target, &corpus, &bounds);
    drop(std::panic::take_hook());
    let micros = report.took.as_micros().max(1);
    println!(
        "{:18} {:>10} runs {:>8}/s {:>5} features {:>4} new",
        target.name,
        report.executions,
        u128::from(report.executions) * 1_000_000 / micros,
        report.features,
        report.kept.len()
    );
    if options.keep {
        keep(target, &corpus, &report)?;
    }
    if let Some(crash) = &report.crash {
        tell(target, crash, options)?;
    }
    Ok(report.crash)
}

fn tell(target: &Target, crash: &Crash, options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.crashes)?;
    let path = options.crashes.join(format!("{}.txt", target.name));
    fs::write(&path, write_input(&crash.input) + "\n")?;
    println!("  {}", crash.reason);
    println!(
        "  replay: cargo run --profile fuzz --example fuzz -- --target {} --replay {}",
        target.name,
        path.display()
    );
    Ok(())
}

/// Of the new inputs, those that are short and together show what all of them do.
fn keep(target: &Target, corpus: &[Vec<u8>], report: &Report) -> Result<(), Box<dyn Error>> {
    let room = KEPT_MAX.saturating_sub(corpus.len());
    let new = distil(target, corpus, &report.kept);
    let new = new.iter().filter(|input| input.len() <= KEPT_BYTES_MAX).take(room);
    let lines: String = new.map(|input| write_input(input) + "\n").collect();
    let path = corpus::path_of(target);
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(lines.as_bytes())?)
}
