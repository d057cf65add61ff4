//! The configuration as users meet it: files, environment, options, `check-config`, `tls`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeMap, path::Path};

use assert_cmd::Command;
use henge::config::{Config, Invalid, Loaded, Origin, Sources};

const MINIMAL: &str = "[node]\nname = \"a\"\n\n[[cluster.nodes]]\nname = \"a\"\naddress = \
                       \"127.0.0.1:7400\"\n";

fn sources(text: &str) -> Sources {
    Sources { file: "test.toml".into(), text: text.into(), ..Sources::default() }
}

fn load(text: &str) -> Result<Loaded, Invalid> {
    Config::load(&sources(text))
}

/// `line: message`, in order.
fn violations(text: &str) -> Vec<String> {
    let invalid = load(text).expect_err("violations");
    let show = |finding| {
        let line = invalid.position(finding).map_or(0, |(line, _)| line);
        format!("{line}: {}", finding.violation)
    };
    invalid.findings.iter().map(show).collect()
}

fn values(loaded: &Loaded) -> BTreeMap<&str, (&str, &Origin)> {
    let pairs = loaded.effective.iter();
    pairs.map(|e| (e.key.as_str(), (e.value.as_str(), &e.origin))).collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_reference_shows_every_key_and_exactly_the_defaults() {
    let text = std::fs::read_to_string(repository().join("config/henge.toml")).unwrap();
    let (reference, minimal) = (load(&text).unwrap(), load(MINIMAL).unwrap());
    assert_eq!(reference.config, minimal.config);
    for effective in &reference.effective {
        let shown = matches!(effective.origin, Origin::File { .. });
        assert!(shown, "{} is not in config/henge.toml", effective.key);
    }
    let order =
        |loaded: &Loaded| loaded.effective.iter().map(|e| e.key.clone()).collect::<Vec<_>>();
    assert_eq!(order(&reference), order(&minimal));
    let lines = reference.effective.iter().map(|e| match e.origin {
        Origin::File { line } => line,
        _ => 0,
    });
    assert!(lines.is_sorted(), "the reference has the order of check-config");
}

#[test]
fn the_samples_make_one_cluster_that_starts_as_it_is() {
    let samples = ["a", "b", "c"].map(|name| {
        let path = repository().join(format!("config/cluster/{name}.toml"));
        load(&std::fs::read_to_string(path).unwrap()).unwrap()
    });
    for (position, (loaded, name)) in samples.iter().zip(["a", "b", "c"]).enumerate() {
        let port = 7400 + 100 * u16::try_from(position).unwrap();
        let Config { settings, http, .. } = &loaded.config;
        assert_eq!(settings.node.name.as_str(), name);
        assert_eq!(settings.node.listen.to_string(), format!("127.0.0.1:{port}"));
        assert_eq!(http.listen.to_string(), format!("127.0.0.1:{}", port + 80));
        assert_eq!(settings.node.data_dir, Path::new("./data").join(name));
        assert_eq!(settings.cluster, samples[0].config.settings.cluster);
        assert!(settings.tls.generate);
        let values = values(loaded);
        for key in ["node.name", "node.listen", "node.data_dir", "http.listen"] {
            assert!(matches!(values[key].1, Origin::File { .. }), "{key} is explicit");
        }
    }
}

#[test]
fn dev_is_a_valid_configuration_of_one_node() {
    let loaded = Config::load(&Sources::dev(&[])).unwrap();
    let defaults = &loaded.config.settings.defaults;
    assert_eq!([defaults.n, defaults.r, defaults.w], [1, 1, 1]);
    assert!(loaded.config.settings.node.listen.ip().is_loopback());
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let invalid = load(&format!("{MINIMAL}[membership]\nsuspicions = \"1s\"\n")).unwrap_err();
    assert_eq!(invalid.findings.len(), 1);
    assert_eq!(invalid.findings[0].violation.to_string(), "unknown key membership.suspicions");
    assert_eq!(invalid.findings[0].violation.remedy(), "did you mean membership.suspicion?");
    assert_eq!(invalid.position(&invalid.findings[0]), Some((8, 1)));
}

#[test]
fn an_unknown_section_is_named_once() {
    let found = violations(&format!("{MINIMAL}[compaction]\nwindow = \"3h\"\nrate = 1\n"));
    assert_eq!(found, ["7: unknown key compaction"]);
}

#[test]
fn wrong_units_and_kinds_are_refused() {
    for (line, message) in [
        ("membership.suspicion = \"5 parsecs\"", "membership.suspicion is \"5 parsecs\""),
        ("membership.suspicion = 1000", "membership.suspicion is 1000"),
        ("membership.suspicion = \"0s\"", "membership.suspicion is \"0s\""),
        ("membership.suspicion = \"61s\"", "membership.suspicion is 61s"),
        ("storage.segment_bytes = \"64MB\"", "storage.segment_bytes is \"64MB\""),
        ("anti_entropy.interval = \"2h\"", "anti_entropy.interval is 2h"),
        ("storage.reserve_bytes = \"0B\"", "storage.reserve_bytes is \"0B\""),
        ("storage.segment_bytes = \"1MiB\"", "storage.segment_bytes is 1MiB"),
        ("handoff.hint_bytes_max = \"1KiB\"", "handoff.hint_bytes_max is 1KiB"),
        ("limits.connections_max = \"many\"", "limits.connections_max is \"many\""),
        ("limits.connections_max = 1.5", "limits.connections_max is a fraction"),
        ("limits.connections_max = -1", "limits.connections_max is -1"),
        ("limits.connections_max = 99999999999999999999", "limits.connections_max is a number"),
        ("tls.generate = \"yes\"", "tls.generate is \"yes\""),
        ("ring.partitions = 100", "ring.partitions is 100"),
        ("defaults.conflict = \"newest\"", "defaults.conflict is \"newest\""),
        ("defaults.durability = \"group\"", "defaults.durability is \"group\""),
        ("defaults.n = 300", "defaults.n is 300"),
        ("defaults.n = [1]", "defaults.n is a list of values"),
        ("http = 5", "http is 5"),
    ] {
        let found = violations(&format!("{line}\n{MINIMAL}"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(&format!("1: {message}")), "{line}: {found:?}");
    }
}

#[test]
fn quorums_beyond_n_are_refused_where_they_stand() {
    let found = violations(&format!("{MINIMAL}[defaults]\nn = 3\nw = 4\nr = 0\n"));
    assert_eq!(found, ["9: defaults.w is 4", "10: defaults.r is 0"]);
    // The defaults r = w = 2 do not fit: what the file says is pointed at.
    let found = violations(&format!("{MINIMAL}[defaults]\nn = 1\n"));
    assert_eq!(found, ["8: defaults.r is 2", "8: defaults.w is 2"]);
}

#[test]
fn everything_wrong_is_reported_at_once_in_the_order_of_the_file() {
    let found = violations(
        "[node]\nname = \"A\"\nlisten = \"localhost\"\n[[cluster.nodes]]\nname = \"a\"\n\
         [telemetry]\nformat = \"xml\"\nintervall = \"1s\"\n[defaults]\nw = 9\n",
    );
    assert_eq!(
        found,
        [
            "2: node.name is \"A\"",
            "3: node.listen is \"localhost\"",
            "4: cluster.nodes[0].address is not set, and has no default",
            "7: telemetry.format is \"xml\"",
            "8: unknown key telemetry.intervall",
            "10: defaults.w is 9",
        ]
    );
}

#[test]
fn rules_between_keys_point_at_what_the_file_says() {
    let found = violations(&format!("{MINIMAL}[http]\nlisten = \"0.0.0.0:80\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("8: http.listen 0.0.0.0:80 is not on loopback"));

    let open = "[http]\nlisten = \"0.0.0.0:80\"\nallow_remote_without_auth = true\n";
    assert!(load(&format!("{MINIMAL}{open}")).is_ok());
    let found = violations(&format!("{MINIMAL}{open}[tls]\ngenerate = true\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("11: tls.generate is true"));

    let found = violations(&MINIMAL.replace("name = \"a\"\n\n", "name = \"b\"\n\n"));
    assert_eq!(found, ["2: node.name is b, but cluster.nodes has only a"]);
    let found = violations(&MINIMAL.replace("7400", "7401"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("6: node.listen has port 7400, but cluster.nodes gives a"));
    let found = violations(&format!("{MINIMAL}{}", &MINIMAL[MINIMAL.find("[[").unwrap()..]));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn options_win_over_the_environment_over_the_file_over_the_default() {
    let mut sources = sources(&format!("{MINIMAL}[limits]\nconnections_max = 100\n"));
    let connections = |sources: &Sources| {
        let loaded = Config::load(sources).unwrap();
        let (value, origin) = values(&loaded)["limits.connections_max"];
        (value.to_owned(), origin.clone())
    };
    assert_eq!(connections(&sources), ("100".into(), Origin::File { line: 8 }));
    let variable = "HENGE_LIMITS_CONNECTIONS_MAX".to_owned();
    sources.environment.insert(variable.clone(), "200".into());
    assert_eq!(connections(&sources), ("200".into(), Origin::Environment(variable)));
    sources.overrides.push("limits.connections_max=300".into());
    sources.overrides.push("limits.connections_max=400".into());
    assert_eq!(connections(&sources), ("400".into(), Origin::CommandLine));
    sources.text = MINIMAL.into();
    sources.environment.clear();
    sources.overrides.clear();
    assert_eq!(connections(&sources), ("1024".into(), Origin::Default));
}

#[test]
fn a_variable_that_is_nearly_a_key_is_refused_and_a_foreign_one_is_not() {
    let mut sources = sources(MINIMAL);
    sources.environment.insert("HENGE_SERVICE_HOST".into(), "10.0.0.1".into());
    assert!(Config::load(&sources).is_ok());
    sources.environment.insert("HENGE_NODE_LISTN".into(), "127.0.0.1:1".into());
    let invalid = Config::load(&sources).unwrap_err();
    assert_eq!(invalid.findings[0].violation.remedy(), "did you mean HENGE_NODE_LISTEN?");
}

/// `henge` without the environment of whoever runs the tests.
fn henge(args: &[&str]) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("henge");
    let foreign = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("HENGE_"));
    for name in foreign {
        command.env_remove(name);
    }
    command.current_dir(repository()).args(args);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_check_config_prints_is_a_file_that_means_the_same() {
    let sample = "config/cluster/b.toml";
    let output = henge(&["check-config", sample, "--set", "node.shards=2"])
        .env("HENGE_TELEMETRY_FORMAT", "json")
        .assert()
        .success()
        .get_output()
        .clone();
    let stdout = text(&output.stdout);
    for (start, origin) in [
        ("shards = 2 ", "# --set"),
        ("format = \"json\" ", "# HENGE_TELEMETRY_FORMAT"),
        ("name = \"b\" ", "# config/cluster/b.toml:6"),
        ("partitions = 256 ", "# default"),
    ] {
        let line = stdout.lines().find(|line| line.starts_with(start)).expect(start);
        assert!(line.ends_with(origin), "{line}");
    }
    let mut expected = sources(&std::fs::read_to_string(repository().join(sample)).unwrap());
    expected.overrides = vec!["node.shards=2".into(), "telemetry.format=json".into()];
    let expected = Config::load(&expected).unwrap();
    assert_eq!(load(&stdout).unwrap().config, expected.config);
}

#[test]
fn check_config_draws_each_violation_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, format!("{MINIMAL}[defaults]\nw = 4\nq = 1\n")).unwrap();
    let path = path.to_str().unwrap();
    let output = henge(&["check-config", path]).assert().code(2).get_output().clone();
    let stderr = text(&output.stderr);
    for part in
        ["bad.toml:8:5]", "w = 4", "defaults.w is 4", "1 to 3 (n)", "unknown key defaults.q"]
    {
        assert!(stderr.contains(part), "{part} is not in:\n{stderr}");
    }
    assert!(stderr.ends_with("bad.toml: 2 violations\n"), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "no colours outside a terminal");

    let output = henge(&["check-config", path, "--json"]).assert().code(2).get_output().clone();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["violations"][0]["line"], 8);
}

#[test]
fn a_file_that_is_not_there_is_told_in_three_lines() {
    let output = henge(&["check-config", "no/such.toml"]).assert().code(2).get_output().clone();
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert!(stderr.starts_with("error: cannot read the configuration no/such.toml\n"), "{stderr}");
}

#[test]
fn tls_makes_one_ca_and_what_it_signs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca");
    let path = path.to_str().unwrap();
    let issue = ["tls", "issue", "--dir", path, "--node", "a", "--san", "a.example.org"];
    let output = henge(&issue).assert().code(1).get_output().clone();
    assert!(text(&output.stderr).contains("henge tls init"), "{}", text(&output.stderr));

    henge(&["tls", "init", "--dir", path]).assert().success();
    henge(&issue).assert().success();
    henge(&["tls", "client", "--dir", path]).assert().success();
    for file in ["ca.pem", "ca.key", "a.pem", "a.key", "client.pem", "client.key"] {
        assert!(Path::new(path).join(file).exists(), "{file}");
    }
    henge(&["tls", "init", "--dir", path]).assert().code(1);
    henge(&["tls", "issue", "--dir", path, "--node", "Not A Name"]).assert().code(2);
    henge(&["tls", "issue", "--dir", path, "--node", "b", "--cluster", "other"]).assert().code(1);
}
