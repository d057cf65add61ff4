//! Histories by hand, in few words.

use henge_actors::simulation::{
    checkers::{Verdict, ViolationKind, judge},
    history::{
        Answered, Dump, Event, History, Invoke, Kind, Mark, MarkName, Meta, Moment, NodeState,
        Unanswered,
    },
};

/// A history in the making: one event a millisecond.
pub struct Story {
    pub meta: Meta,
    events: Vec<Event>,
    now: u64,
}

/// How a request ends.
#[derive(Clone, Copy)]
pub enum End<'a> {
    Ok,
    Info(&'a str),
    Fail(&'a str),
}

impl Story {
    pub fn new() -> Self {
        Self { meta: Meta::new("test"), events: Vec::new(), now: 0 }
    }

    pub fn tick(&mut self) -> Moment {
        self.now += 1;
        Moment::from_millis(self.now)
    }

    pub fn wait(&mut self, ms: u64) {
        self.now += ms;
    }

    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn invoke(&mut self, id: &str, op: Kind, ctx: &[&str], change: impl FnOnce(&mut Invoke)) {
        let mut invoke = Invoke::new(self.tick(), id, op, "k");
        (invoke.c, invoke.node) = ("c".to_owned(), "a".to_owned());
        invoke.ctx = ctx.iter().map(|id| (*id).to_owned()).collect();
        invoke.val = (op == Kind::Put).then(|| id.to_owned());
        change(&mut invoke);
        self.push(Event::Invoke(invoke));
    }

    pub fn end(&mut self, id: &str, end: End<'_>) {
        let (t, id) = (self.tick(), id.to_owned());
        let error =
            |code: &str| Unanswered { t, id: id.clone(), code: Some(code.to_owned()), err: None };
        self.push(match end {
            End::Ok => Event::Ok(Answered { t, id, ..Answered::default() }),
            End::Info(code) => Event::Info(error(code)),
            End::Fail(code) => Event::Fail(error(code)),
        });
    }

    pub fn answer(&mut self, id: &str, vals: &[&str], change: impl FnOnce(&mut Answered)) {
        let vals = vals.iter().map(|val| (*val).to_owned()).collect();
        let mut answer =
            Answered { t: self.tick(), id: id.to_owned(), vals, ..Answered::default() };
        change(&mut answer);
        self.push(Event::Ok(answer));
    }

    /// A put of the value that is named as the operation, acknowledged.
    pub fn put(&mut self, id: &str, ctx: &[&str]) {
        self.invoke(id, Kind::Put, ctx, |_| ());
        self.end(id, End::Ok);
    }

    pub fn delete(&mut self, id: &str, ctx: &[&str]) {
        self.invoke(id, Kind::Delete, ctx, |_| ());
        self.end(id, End::Ok);
    }

    pub fn get(&mut self, id: &str, vals: &[&str]) {
        self.invoke(id, Kind::Get, &[], |_| ());
        self.answer(id, vals, |_| ());
    }

    /// The read that closes the run.
    pub fn last(&mut self, vals: &[&str]) {
        let id = format!("last-{}", self.now);
        self.invoke(&id, Kind::Get, &[], |invoke| invoke.is_final = true);
        self.answer(&id, vals, |_| ());
    }

    pub fn mark(&mut self, name: MarkName, change: impl FnOnce(&mut Mark)) {
        let mut mark = Mark::new(self.tick(), name);
        change(&mut mark);
        self.push(Event::Mark(mark));
    }

    /// What each of the homes a, b and c, and d which is none, holds: digests, which are values.
    pub fn dumps(&mut self, round: u32, held: &[(&str, &[&str])]) {
        for (node, vals) in held {
            let vals: Vec<String> = vals.iter().map(|val| (*val).to_owned()).collect();
            let digest = (!vals.is_empty()).then(|| vals.join("+"));
            let homes = ["a", "b", "c"].map(ToOwned::to_owned).to_vec();
            let (t, node, key) = (self.tick(), (*node).to_owned(), "k".to_owned());
            let dump = Dump { t, round, node, key, vals, homes, digest, ..Dump::default() };
            self.push(Event::Replica(dump));
        }
    }

    pub fn hints(&mut self, node: &str, hints: u64) {
        let t = self.tick();
        self.push(Event::Node(NodeState { t, node: node.to_owned(), hints }));
    }

    pub fn events(self) -> Vec<Event> {
        std::iter::once(Event::Meta(self.meta)).chain(self.events).collect()
    }

    pub fn judge(self) -> Verdict {
        judge(&History::of(self.events()).unwrap())
    }

    #[track_caller]
    pub fn keeps_all(self) {
        let verdict = self.judge();
        assert!(verdict.violations.is_empty() && verdict.unknown.is_empty(), "{verdict:#?}");
    }

    #[track_caller]
    pub fn breaks(self, kinds: &[ViolationKind]) {
        let verdict = self.judge();
        let found: Vec<ViolationKind> = verdict.kinds().into_keys().collect();
        assert_eq!(found, kinds, "{verdict:#?}");
    }

    #[track_caller]
    pub fn proves_too_little(self, why: &str) {
        let verdict = self.judge();
        assert!(verdict.violations.is_empty(), "{verdict:#?}");
        assert!(verdict.unknown.iter().any(|reason| reason.contains(why)), "{verdict:#?}");
    }
}
