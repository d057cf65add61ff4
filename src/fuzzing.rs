//! Fuzzing of all that reads bytes, or words, from outside: see [`henge_actors::fuzzing`]. Here are
//! the targets of this package: HTTP, the configuration and the command line.

use clap::Parser as _;
use henge_actors::fuzzing::{Allocates, Features, Target};

use crate::{
    cli::Cli,
    commands::effective_text,
    config::{Config, Sources},
    surfaces::http,
};

/// All targets that there are.
pub fn targets() -> Vec<Target> {
    let mut all = henge_actors::fuzzing::targets();
    all.extend(http::fuzzing::targets());
    all.push(Target {
        name: "configuration",
        seeds: config_seeds,
        words: &[
            b"[node]",
            b"[[cluster.nodes]]",
            b"name = ",
            b"\"",
            b"\"\"\"",
            b"'",
            b" = ",
            b".",
            b"\n",
            b"#",
            b"{",
            b"}",
            b"[",
            b"]",
            b"0x",
            b"1979-05-27",
            b"inf",
            b"true",
            b"auto",
            b"\\u0000",
            b"!node.listen=",
            b"$HENGE_NODE_NAME=",
            b"256",
            b"1GiB",
            b"30d",
            b"\xf0\x9f\x97\xbf",
        ],
        mend: None,
        run: run_config,
        // Messages show the text that they are about.
        allocates: Allocates { floor: 1 << 20, each: 4 << 10 },
    });
    all.push(Target {
        name: "command-line",
        seeds: command_seeds,
        words: &[
            b"--",
            b"-",
            b"--json",
            b"--node",
            b"--timeout",
            b"--set",
            b"=",
            b"\n",
            b"put",
            b"get",
            b"serve",
            b"bench",
            b"--help",
            b"0",
            b"-1",
            b"99999999999999999999",
            b"1KiB",
            b"10s",
        ],
        mend: None,
        run: run_command,
        // A parser is made for each line, with all help.
        allocates: Allocates { floor: 4 << 20, each: 4 << 10 },
    });
    all
}

fn config_seeds() -> Vec<Vec<u8>> {
    let reference = include_bytes!("../config/henge.toml");
    let without_comments = reference.split_inclusive(|byte| *byte == b'\n');
    let bare = without_comments.filter(|line| !line.starts_with(b"#")).flatten().copied().collect();
    let sources = b"[node]\nname = \"a\"\n[[cluster.nodes]]\nname = \"a\"\naddress = \"h:1\"\n\
                    !node.listen=127.0.0.1:1\n!defaults.n=1\n$HENGE_NODE_SHARDS=2\n";
    vec![bare, include_bytes!("config/dev.toml").to_vec(), sources.to_vec()]
}

/// A file; its lines that begin with `!` are options of the command line, those with `$` variables.
fn sources(text: &str) -> Sources {
    let mut sources = Sources { file: "fuzz.toml".to_owned(), ..Sources::default() };
    for line in text.split_inclusive('\n') {
        if let Some(option) = line.strip_prefix('!') {
            sources.overrides.push(option.trim_end().to_owned());
        } else if let Some((name, value)) =
            line.strip_prefix('$').and_then(|set| set.split_once('='))
        {
            sources.environment.insert(name.to_owned(), value.trim_end().to_owned());
        } else {
            sources.text.push_str(line);
        }
    }
    sources
}

/// What is wrong can be shown; what is in effect, written down as `check-config` does, is the same
/// configuration.
fn run_config(input: &[u8], features: &mut Features) {
    let Ok(text) = str::from_utf8(input) else { return };
    let sources = sources(text);
    match Config::load(&sources) {
        Ok(loaded) => {
            features.note(&loaded.config);
            let text = effective_text(&sources, &loaded);
            let again = Sources { file: sources.file, text, ..Sources::default() };
            let again = Config::load(&again).map(|again| again.config);
            assert_eq!(again.ok(), Some(loaded.config), "what is in effect means something else");
        }
        Err(invalid) => {
            for finding in &invalid.findings {
                features.note(&finding.violation);
                let _ = finding.violation.remedy();
            }
            assert!(!invalid.findings.is_empty(), "a refusal has a reason");
            assert!(!invalid.render(false).is_empty(), "a refusal is shown");
        }
    }
}

fn command_seeds() -> Vec<Vec<u8>> {
    let lines = [
        "put\ncarts\nada\na book\n--ttl\n30d\n--node\n127.0.0.1:7400",
        "get\ncarts\nada\n--json\n--timeout=500ms",
        "serve\n--config\nhenge.toml\n--set\nnode.name=a",
        "bench\n--value\n1KiB\n--keys\n1000",
        "tls\nissue\n--dir\nca\n--cluster\norders\n--node\na",
        "bucket\nset\nb\nn=3\nttl=none",
    ];
    lines.map(|line| line.as_bytes().to_vec()).into()
}

/// Words, one a line: a command, or a refusal that can be shown.
fn run_command(input: &[u8], features: &mut Features) {
    let Ok(text) = str::from_utf8(input) else { return };
    match Cli::try_parse_from(std::iter::once("henge").chain(text.lines())) {
        Ok(cli) => features.note(&cli.command),
        Err(error) => {
            features.tell(&error.kind());
            assert!(!error.render().to_string().is_empty(), "a refusal is shown");
        }
    }
}
