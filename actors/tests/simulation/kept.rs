//! What found something once finds nothing any more.

use henge_actors::simulation::{kept, run};

#[test]
fn no_kept_run_is_red() {
    for kept in kept::all() {
        let report = run(&kept.options);
        let broken: Vec<_> = report.verdict.violations.iter().map(ToString::to_string).collect();
        assert!(!report.is_red(), "{}: {:?} {broken:#?}", kept.found, report.problems);
    }
}
