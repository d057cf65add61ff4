//! The few rules of the house that no compiler checks: layers, sizes, what may lie where.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 40;

/// Everything that a visitor sees first. Tool files are dotted; `target` and `data` are made by
/// running the program.
const TOP_LEVEL: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "actors",
    "config",
    "src",
    "tests",
];

/// What the kernel may not name, whatever its dependencies are.
const IMPURE: [&str; 7] =
    ["actix::", "tokio::", "quinn::", "SystemTime::now", "Instant::now", "HashMap", "HashSet"];
const IMPURE_STD: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// Of each adapter the modules of `henge-actors` that it may name. `wire` translates between
/// messages, answers and frames, so it knows their words; nobody knows an actor.
const ADAPTERS: [(&str, &[&str]); 3] = [
    ("storage", &["storage"]),
    ("transport", &["transport"]),
    ("wire", &["wire", "transport", "messages", "api"]),
];

/// What is public below `NodeHandle`, and none of a surface's business.
const BELOW_THE_HANDLE: [&str; 3] = ["environment", "storage", "transport"];

struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
    /// Whether it is compiled for tests only.
    is_test: bool,
}

impl Source {
    /// Lines of code with their numbers: no comments, and nothing of an inner test module.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    fn lies_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The files of the modules that this one declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let declared = self.text.split("#[cfg(test)]\nmod ").skip(1);
        let names = declared.filter_map(|after| after.split_once(';')).map(|(name, _)| name);
        names.map(|name| format!("{folder}/{name}.rs")).collect()
    }

    /// Where `needle` stands in code, as `path:line`.
    fn places_of(&self, needle: &str) -> Vec<String> {
        let hits = self.code().filter(|(_, line)| line.contains(needle));
        hits.map(|(number, _)| format!("{}:{number}: {needle}", self.path)).collect()
    }

    /// The modules that this file names by `root::…` or `root::{…}`.
    fn modules_of(&self, root: &str) -> BTreeSet<String> {
        let code = self.code().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        let mut modules = BTreeSet::new();
        for after in code.split(&format!("{root}::")).skip(1) {
            modules.extend(first_segments(after));
        }
        modules
    }
}

/// The first path segment of each branch of a `use` tree: of `{a::b, c::{d, e}}` it is `a`, `c`.
fn first_segments(tree: &str) -> Vec<String> {
    let ident = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(list) = tree.strip_prefix('{') else { return vec![ident(tree)] };
    let mut segments = vec![ident(list)];
    let mut depth = 0;
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => segments.push(ident(&list[at + 1..])),
            _ => (),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository that ends in one of `endings`.
fn files(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for top in ["src", "actors", "tests", "config", ".ci", "README.md", "CHANGELOG.md"] {
        collect(&root().join(top), &mut found);
    }
    let mut sources: Vec<Source> = found.iter().filter_map(|path| read(path, endings)).collect();
    let test_modules: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_test |= test_modules.contains(&source.path);
    }
    sources
}

fn read(path: &Path, endings: &[&str]) -> Option<Source> {
    let relative = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let wanted = endings.iter().any(|ending| relative.ends_with(ending));
    wanted.then(|| Source {
        text: fs::read_to_string(path).unwrap(),
        is_test: relative.split('/').any(|part| part == "tests"),
        path: relative,
    })
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.extend(path.exists().then(|| path.to_owned()));
        return;
    }
    // A build of one package alone may leave its output beside it.
    if path.ends_with("target") || path.ends_with("proptest-regressions") {
        return;
    }
    let mut entries: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in &entries {
        collect(entry, found);
    }
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn the_top_level_is_what_a_visitor_expects() {
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let visible = |name: &String| !name.starts_with('.') && name != "target" && name != "data";
    let found: BTreeSet<String> = names.filter(visible).collect();
    assert_eq!(found, TOP_LEVEL.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn files_are_short() {
    let rust = files(&[".rs"]);
    assert!(rust.len() > 20, "the sources were not found");
    let lines = |source: &Source| source.text.lines().count();
    let long = rust.iter().filter(|source| lines(source) > LINES_MAX);
    let long = long.map(|source| format!("{}: {} lines", source.path, lines(source)));
    assert_none("at most 500 lines a file", &long.collect::<Vec<_>>());
    let main = rust.iter().find(|source| source.path == "src/main.rs").unwrap();
    assert!(lines(main) <= MAIN_LINES_MAX, "src/main.rs only parses, runs and exits");
}

#[test]
fn nothing_is_left_for_later() {
    // In pieces, or this file would find itself.
    let needles = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("db", "g!("),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
    ];
    let mut broken = Vec::new();
    for source in files(&[".rs", ".toml", ".md", "run"]) {
        for (index, line) in source.text.lines().enumerate() {
            let hit = needles.iter().find(|needle| line.contains(**needle));
            broken.extend(hit.map(|hit| format!("{}:{}: {hit}", source.path, index + 1)));
        }
    }
    assert_none("do it or drop it", &broken);
}

#[test]
fn no_path_of_anybodys_machine_is_written_down() {
    let homes = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let mut broken = Vec::new();
    for source in files(&[".rs", ".toml", ".md", "run"]) {
        for (index, line) in source.text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home)) {
                broken.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    assert_none("paths are relative, or the user's choice", &broken);
}

#[test]
fn the_kernel_is_pure() {
    let sources = files(&[".rs"]);
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| source.lies_in("actors/kernel/src")) {
        if source.is_test {
            continue;
        }
        broken.extend(IMPURE.iter().flat_map(|needle| source.places_of(needle)));
        let std = source.modules_of("std").into_iter();
        let std = std.filter(|module| IMPURE_STD.contains(&module.as_str()));
        broken.extend(std.map(|module| format!("{}: std::{module}", source.path)));
    }
    assert_none("no clock, net, fs, thread, runtime or hash order in the kernel", &broken);
}

#[test]
fn adapters_know_neither_each_other_nor_an_actor() {
    let sources = files(&[".rs"]);
    let mut broken = Vec::new();
    for (adapter, allowed) in ADAPTERS {
        let folder = format!("actors/src/{adapter}");
        for source in sources.iter().filter(|source| source.lies_in(&folder)) {
            let foreign = source.modules_of("crate");
            let foreign = foreign.iter().filter(|module| !allowed.contains(&module.as_str()));
            broken.extend(foreign.map(|module| format!("{}: {module}", source.path)));
            broken.extend(source.places_of("actix::"));
        }
    }
    assert_none("an adapter stands alone", &broken);
}

#[test]
fn surfaces_see_the_handle_only() {
    let sources = files(&[".rs"]);
    let actors = actors(&sources);
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| source.lies_in("src/surfaces")) {
        for module in source.modules_of("henge_actors") {
            if BELOW_THE_HANDLE.contains(&module.as_str()) || actors.contains(&module) {
                broken.push(format!("{}: henge_actors::{module}", source.path));
            }
        }
    }
    assert_none("surfaces go through NodeHandle", &broken);
}

#[test]
fn one_file_names_bincode() {
    let sources = files(&[".rs"]);
    let others = sources.iter().filter(|source| source.path != "actors/src/wire/codec.rs");
    let needle = concat!("bin", "code::");
    let broken = others.flat_map(|source| source.places_of(needle)).collect::<Vec<_>>();
    assert_none("only codec.rs, so that it can be replaced", &broken);
}

/// Clippy bans the clocks of the operating system, and what panics in a simulation, by name: what
/// is left to check is that nobody excuses himself.
#[test]
fn clocks_are_read_in_one_file() {
    let sources = files(&[".rs"]);
    // A bench measures; everything else is told the time.
    let production = |source: &&Source| {
        let measures = source.lies_in("actors/benches") || source.is_test;
        !measures && source.path != "actors/src/environment.rs"
    };
    let needle = concat!("clippy::disallowed_", "methods");
    let broken = sources.iter().filter(production).flat_map(|source| source.places_of(needle));
    assert_none("the Environment tells the time", &broken.collect::<Vec<_>>());
}

#[test]
fn every_actor_has_its_messages_file() {
    let sources = files(&[".rs"]);
    let exists = |path: &str| sources.iter().any(|source| source.path == path);
    let lonely = actors(&sources).into_iter();
    let lonely = lonely.filter(|actor| !exists(&format!("actors/src/messages/{actor}.rs")));
    assert_none("what an actor understands is in one place", &lonely.collect::<Vec<_>>());
}

/// The names of the files that implement an actor, without suffix.
fn actors(sources: &[Source]) -> BTreeSet<String> {
    let in_actors = sources.iter().filter(|source| source.lies_in("actors/src") && !source.is_test);
    let actors = in_actors.filter(|source| !source.places_of("impl Actor for ").is_empty());
    let stem = |source: &Source| {
        // An actor in a folder is named as the folder.
        let path = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    actors.map(stem).collect()
}

#[test]
fn use_trees_are_understood() {
    let source = Source {
        path: "x.rs".into(),
        is_test: false,
        text: "use crate::{a::b, c::{d, e}, f};\nuse crate::g::h;\n// crate::no\n".into(),
    };
    assert_eq!(source.modules_of("crate"), ["a", "c", "f", "g"].map(str::to_owned).into());
}
