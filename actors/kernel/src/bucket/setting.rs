//! Carrying one setting of a bucket to the members.

use core::time::Duration;
use std::collections::BTreeSet;

use super::{
    properties::BucketProperties,
    register::{BucketRegister, RegisterVersion},
    table::{SetRefused, check_fixed},
};
use crate::{id::NodeId, machine::Machine, time::Instant};

/// How long the client waits for the members.
pub const SETTING_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a member that has not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A setting that this node has stored and the others are to store.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingRequest {
    /// The register.
    pub register: BucketRegister,
    /// Every member of the layout, this node included.
    pub members: BTreeSet<NodeId>,
    /// This node.
    pub own: NodeId,
    /// The properties to go back to, should a member refuse a setting that needs them all.
    pub before: BucketProperties,
}

/// What happened to a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingEvent {
    /// A member stored the register.
    Stored(NodeId),
    /// A member holds data under other properties, which fix `n` and `conflict`.
    Refused {
        /// The fixed property.
        field: String,
        /// Its value there.
        fixed: String,
        /// The value asked for.
        value: String,
    },
    /// Another setting of the bucket is in force by now.
    Overtaken(BucketRegister),
}

/// What a setting wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingEffect {
    /// Send the register to a member.
    SendTo(NodeId),
    /// Every member has stored it: establish it, here and everywhere.
    Establish,
    /// A member refused it: put this register in its place, here and everywhere.
    Withdraw(BucketRegister),
    /// Answer the client. Comes at most once.
    Reply(Result<(), SettingFailed>),
    /// Nothing is left to do. Always last.
    Finish,
}

/// Why a setting did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingFailed {
    /// A property is fixed.
    Fixed {
        /// Which.
        field: String,
        /// Its value.
        fixed: String,
        /// The value asked for.
        value: String,
    },
    /// Another setting was stronger; it is in force, and this one is not.
    Overtaken {
        /// This one's number.
        used: u64,
        /// The number of the one in force.
        newest: u64,
    },
    /// Too few members stored it in time. It stays, and spreads: the outcome is unknown.
    Unreached {
        /// Members that had to store it.
        needed: usize,
        /// Members that did.
        got: usize,
    },
}

/// One setting on its way. A register that is established already needs a majority, and the rest
/// learn it when they meet a node that knows it. One that chooses `n` or `conflict` needs every
/// member, and goes on asking after the client was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingRun {
    request: SettingRequest,
    stored: BTreeSet<NodeId>,
    ask_again: Instant,
    client_waits_until: Option<Instant>,
    over: bool,
}

impl SettingRun {
    /// Begins to carry a setting.
    pub fn start(now: Instant, request: SettingRequest, effects: &mut Vec<SettingEffect>) -> Self {
        let stored = BTreeSet::from([request.own]);
        let client_waits_until = Some(now.after(SETTING_TIMEOUT));
        let mut run = Self { request, stored, ask_again: now, client_waits_until, over: false };
        run.ask(now, effects);
        run.judge(effects);
        run
    }

    /// Which setting this is.
    pub fn version(&self) -> RegisterVersion {
        self.request.register.version
    }

    /// The register on its way.
    pub fn register(&self) -> &BucketRegister {
        &self.request.register
    }

    fn needed(&self) -> usize {
        self.request.register.stores_needed(self.request.members.len())
    }

    fn ask(&mut self, now: Instant, effects: &mut Vec<SettingEffect>) {
        let missing = self.request.members.difference(&self.stored);
        effects.extend(missing.copied().map(SettingEffect::SendTo));
        self.ask_again = now.after(ASK_AGAIN);
    }

    fn judge(&mut self, effects: &mut Vec<SettingEffect>) {
        if self.over || self.stored.len() < self.needed() {
            return;
        }
        if !self.request.register.established {
            effects.push(SettingEffect::Establish);
        }
        self.reply(Ok(()), effects);
        self.finish(effects);
    }

    fn reply(&mut self, answer: Result<(), SettingFailed>, effects: &mut Vec<SettingEffect>) {
        if self.client_waits_until.take().is_some() {
            effects.push(SettingEffect::Reply(answer));
        }
    }

    fn finish(&mut self, effects: &mut Vec<SettingEffect>) {
        self.over = true;
        effects.push(SettingEffect::Finish);
    }

    fn overtaken(&self, by: &BucketRegister) -> SettingFailed {
        let register = &self.request.register;
        match check_fixed(&by.properties, &register.properties) {
            Err(SetRefused::PropertyFixed { field, old, new }) => {
                SettingFailed::Fixed { field: field.to_owned(), fixed: old, value: new }
            }
            _ => SettingFailed::Overtaken {
                used: register.version.counter,
                newest: by.version.counter,
            },
        }
    }

    /// What stood before, as a later setting that beats the refused one everywhere.
    fn withdrawal(&self) -> BucketRegister {
        let refused = &self.request.register;
        let counter = refused.version.counter.saturating_add(1);
        BucketRegister {
            name: refused.name.clone(),
            version: RegisterVersion { counter, setter: self.request.own },
            properties: self.request.before.clone(),
            established: true,
        }
    }
}

impl Machine for SettingRun {
    type Event = SettingEvent;
    type Effect = SettingEffect;

    fn handle(&mut self, _: Instant, event: SettingEvent, effects: &mut Vec<SettingEffect>) {
        if self.over {
            return;
        }
        match event {
            SettingEvent::Stored(node) => {
                if self.request.members.contains(&node) {
                    self.stored.insert(node);
                    self.judge(effects);
                }
            }
            SettingEvent::Refused { field, fixed, value } => {
                if !self.request.register.established {
                    effects.push(SettingEffect::Withdraw(self.withdrawal()));
                }
                self.reply(Err(SettingFailed::Fixed { field, fixed, value }), effects);
                self.finish(effects);
            }
            SettingEvent::Overtaken(by) => {
                self.reply(Err(self.overtaken(&by)), effects);
                self.finish(effects);
            }
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<SettingEffect>) {
        if self.over {
            return;
        }
        if self.client_waits_until.is_some_and(|until| now >= until) {
            let (needed, got) = (self.needed(), self.stored.len());
            self.reply(Err(SettingFailed::Unreached { needed, got }), effects);
            if self.request.register.established {
                return self.finish(effects);
            }
        }
        if now >= self.ask_again {
            self.ask(now, effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let first =
            self.client_waits_until.map_or(self.ask_again, |until| until.min(self.ask_again));
        (!self.over).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn run(established: bool) -> (SettingRun, Vec<SettingEffect>) {
        let version = RegisterVersion { counter: 1, setter: NODES[0] };
        let properties = BucketProperties { n: 1, r: 1, w: 1, ..BucketProperties::default() };
        let name = bytes::Bytes::from_static(b"b");
        let register = BucketRegister { name, version, properties, established };
        let before = BucketProperties::default();
        let request = SettingRequest { register, members: NODES.into(), own: NODES[0], before };
        let mut effects = Vec::new();
        let run = SettingRun::start(Instant::default(), request, &mut effects);
        (run, effects)
    }

    fn then(run: &mut SettingRun, event: SettingEvent) -> Vec<SettingEffect> {
        let mut effects = Vec::new();
        run.handle(Instant::default(), event, &mut effects);
        effects
    }

    #[test]
    fn an_established_setting_needs_a_majority() {
        let (mut run, asked) = run(true);
        assert_eq!(asked, [SettingEffect::SendTo(NODES[1]), SettingEffect::SendTo(NODES[2])]);
        let done = then(&mut run, SettingEvent::Stored(NODES[2]));
        assert_eq!(done, [SettingEffect::Reply(Ok(())), SettingEffect::Finish]);
        assert_eq!(run.deadline(), None);
    }

    #[test]
    fn a_choice_of_n_needs_every_member_and_goes_on_asking() {
        let (mut run, _) = run(false);
        assert_eq!(then(&mut run, SettingEvent::Stored(NODES[1])), []);
        assert_eq!(then(&mut run, SettingEvent::Stored(NODES[1])), [], "one member counts once");
        let mut effects = Vec::new();
        let late = Instant::default().after(SETTING_TIMEOUT);
        run.expire(late, &mut effects);
        let unreached = SettingFailed::Unreached { needed: 3, got: 2 };
        assert_eq!(
            effects,
            [SettingEffect::Reply(Err(unreached)), SettingEffect::SendTo(NODES[2])]
        );
        let done = then(&mut run, SettingEvent::Stored(NODES[2]));
        assert_eq!(done, [SettingEffect::Establish, SettingEffect::Finish]);
    }

    #[test]
    fn a_refused_choice_of_n_is_withdrawn_by_a_register_that_beats_it() {
        let (mut run, _) = run(false);
        let (field, fixed, value) = ("n".to_owned(), "3".to_owned(), "1".to_owned());
        let refused = SettingEvent::Refused { field, fixed, value };
        let effects = then(&mut run, refused);
        let [SettingEffect::Withdraw(back), SettingEffect::Reply(Err(_)), SettingEffect::Finish] =
            &effects[..]
        else {
            panic!("{effects:?}");
        };
        assert_eq!(back.properties, BucketProperties::default());
        assert!(back.rank(run.register()).is_gt());
    }
}
