//! The help is true.

use std::{fs, process::Command};

use clap::{CommandFactory as _, Parser as _};
use henge::cli::Cli;

use crate::{bare, feed};

/// Every command below this one, groups of commands too, with the words that lead to it.
fn below(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
    let each = command.get_subcommands().flat_map(|one| {
        let words = format!("{words} {}", one.get_name());
        let further = below(one, &words);
        std::iter::once((words, one.clone())).chain(further)
    });
    each.collect()
}

/// Runs `line` in a shell in which `henge` only notes its arguments; gives those of each call.
fn calls(line: &str) -> Vec<Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    for file in ["ada.jpg", "session.json"] {
        fs::write(home.path().join(file), "x").unwrap();
    }
    for directory in [".zfunc", ".config/fish/completions"] {
        fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    let notes = home.path().join("notes");
    let script = format!(
        "henge() {{ (printf '%s\\n' \"$@\"; echo '<end>') >> '{}'; }}\n{line}",
        notes.display()
    );
    let mut shell = Command::new("bash");
    shell.args(["-euc", &script]).current_dir(home.path()).env("HOME", home.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let notes = fs::read_to_string(notes).unwrap();
    let calls = notes.split("<end>\n").filter(|call| !call.is_empty());
    calls.map(|call| call.lines().map(ToOwned::to_owned).collect()).collect()
}

#[test]
fn every_example_parses() {
    let mut examples = 0;
    for (words, command) in below(&Cli::command(), "henge") {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().skip_while(|line| !line.starts_with("Example"));
        let lines = lines.skip(1).take_while(|line| line.starts_with("  "));
        let lines: Vec<&str> = lines.map(str::trim).collect();
        assert!(!lines.is_empty(), "{words} has no example");
        for line in lines {
            assert!(line.contains(&words), "{line:?} is no example of {words}");
            for call in calls(line) {
                let arguments = std::iter::once("henge".to_owned()).chain(call);
                let parsed = Cli::try_parse_from(arguments);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                examples += 1;
            }
        }
    }
    assert!(examples > 30, "{examples} examples");
}

#[test]
fn the_types_of_the_command_line_agree_with_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn completions_load_and_complete_in_bash() {
    let program = env!("CARGO_BIN_EXE_henge");
    let script = format!(
        "set -e; source <('{program}' completions bash); complete -p henge\n\
         COMP_WORDS=(henge sta) COMP_CWORD=1 COMP_LINE='henge sta'; _henge henge sta henge\n\
         echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success() && told.ends_with("status\n"), "{output:?}");
}

#[test]
fn completions_are_made_for_every_shell() {
    for (shell, sign) in
        [("zsh", "#compdef henge"), ("fish", "complete -c henge"), ("elvish", "henge")]
    {
        let mut command = bare();
        command.args(["completions", shell]);
        let run = feed(command, b"").ends(0);
        assert!(run.text().contains(sign) && run.text().contains("members"), "{shell}");
        let mut command = bare();
        command.args(["completions", shell, "--json"]);
        let told = feed(command, b"").ends(0).json();
        assert_eq!(told["shell"], shell);
        assert_eq!(told["script"], run.text());
    }
    let mut command = bare();
    command.args(["completions", "csh"]);
    feed(command, b"").ends(2);
}
