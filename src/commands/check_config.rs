//! `henge check-config`: what is in effect and why, or all that is wrong.

use serde_json::json;

use super::{Exit, Failure, output, stderr_takes_colours};
use crate::{
    cli::{CheckConfigArgs, GlobalArgs},
    config::{Config, Effective, Finding, Invalid, Loaded, Origin, Sources},
};

/// Where origins begin, unless the value is longer.
const COLUMN: usize = 44;

pub(super) fn run(args: &CheckConfigArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    let sources = Sources::read(&args.file, &args.overrides.set)?;
    match Config::load(&sources) {
        Ok(loaded) if global.json => print_json(&effective_json(&sources, &loaded))?,
        Ok(loaded) => {
            output::text(&effective_text(&sources, &loaded))?;
        }
        Err(invalid) => {
            if global.json {
                print_json(&invalid_json(&invalid))?;
            } else {
                output::message(invalid.render(stderr_takes_colours()).trim_end());
            }
            return Ok(Exit::Usage);
        }
    }
    Ok(Exit::Ok)
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    output::text(&format!("{value:#}\n")).map(drop)
}

/// A TOML file that says the same as all sources together.
pub(crate) fn effective_text(sources: &Sources, loaded: &Loaded) -> String {
    let mut lines = vec![format!("# {} is valid. In effect is:", sources.file)];
    let mut section = "";
    for effective in &loaded.effective {
        let (of, key) = effective.key.rsplit_once('.').unwrap_or(("", &effective.key));
        if of != section {
            section = of;
            lines.extend([String::new(), header(of)]);
        }
        let assignment = format!("{key} = {}", effective.value);
        let origin = origin_text(sources, effective);
        lines.push(format!("{assignment:COLUMN$}  # {origin}"));
    }
    lines.join("\n") + "\n"
}

fn header(section: &str) -> String {
    match section.split_once('[') {
        Some((list, _)) => format!("[[{list}]]"),
        None => format!("[{section}]"),
    }
}

fn origin_text(sources: &Sources, effective: &Effective) -> String {
    match &effective.origin {
        Origin::CommandLine => "--set".to_owned(),
        Origin::Environment(variable) => variable.clone(),
        Origin::File { line } => format!("{}:{line}", sources.file),
        Origin::Default => "default".to_owned(),
    }
}

fn effective_json(sources: &Sources, loaded: &Loaded) -> serde_json::Value {
    let values = loaded.effective.iter().map(|effective| {
        json!({
            "key": effective.key,
            "value": effective.value,
            "origin": origin_text(sources, effective),
        })
    });
    json!({ "file": sources.file, "valid": true, "values": values.collect::<Vec<_>>() })
}

/// All that is wrong, for programs.
pub(super) fn invalid_json(invalid: &Invalid) -> serde_json::Value {
    let violation = |finding: &Finding| {
        let (line, column) = invalid.position(finding).unzip();
        json!({
            "message": finding.violation.to_string(),
            "remedy": finding.violation.remedy(),
            "line": line,
            "column": column,
        })
    };
    let violations = invalid.findings.iter().map(violation).collect::<Vec<_>>();
    json!({ "file": invalid.file, "valid": false, "violations": violations })
}
