//! What clients did and what they were told: all that the checkers know.
//!
//! A history is a file of JSON objects, one a line, the same whether a simulation wrote it or a
//! harness around real processes. Times are milliseconds of one clock that never jumps.
//!
//! ```text
//! {"ev":"meta","fmt":1,"source":"simulation","seed":7,"n":3,"r":2,"w":2,"converge_ms":10000}
//! {"ev":"mark","t":0,"name":"bucket","bucket":"l","lww":true}
//! {"ev":"invoke","t":1.5,"id":"c1-8","c":"c1","op":"put","key":"k","node":"b","val":"c1-8","ctx":["c1-7"]}
//! {"ev":"ok","t":2.5,"id":"c1-8","dot":"9f.1.4"}
//! {"ev":"invoke","t":3,"id":"c1-9","c":"c1","op":"get","key":"k","node":"b","quorum":"strict"}
//! {"ev":"ok","t":4,"id":"c1-9","vals":["c1-8","c2-3"],"dots":["9f.1.4","07.2.1"]}
//! {"ev":"info","t":9,"id":"c2-4","code":"timed_out"}
//! {"ev":"fail","t":9,"id":"c2-5","code":"bad_context"}
//! {"ev":"mark","t":5,"name":"fault","kind":"partition","down":["c"],"expect":"available"}
//! {"ev":"mark","t":9,"name":"heal"}
//! {"ev":"mark","t":9,"name":"service","reach":{"a":3,"b":3,"c":3},"expect":"available"}
//! {"ev":"replica","t":12,"round":4,"node":"a","key":"k","vals":["c1-8"],"homes":["a","b","c"],"digest":"9f"}
//! {"ev":"node","t":13,"node":"a","hints":0}
//! {"ev":"invoke","t":14,"id":"f-1","c":"fin","op":"get","key":"k","node":"a","final":true}
//! ```
//!
//! Rules for whoever writes one:
//!
//! - The invocation is written before the request leaves. What has no completion is unknown.
//! - `val` is unique in the run. Only a retry of a put repeats it, as a new operation with the same
//!   `wid` and the same `ctx`. A retry that carries no write id is another write: it needs a value
//!   of its own.
//! - `ctx` names the *operations* whose returned contexts were sent, so that nobody needs to know
//!   what is in a context.
//! - `fail` says that surely nothing was applied. A timeout is `info`.
//! - `dots` are the names under which the store shows values: opaque, and only compared. A put that
//!   was forwarded may be made twice, under two dots; without dots the checkers cannot know.

mod collected;
mod event;
mod moment;
mod reader;
mod recorder;

pub use collected::{BucketRules, History, Operation, Outcome};
pub use event::{
    Answered, Dump, Event, Expectation, Invoke, Kind, Mark, MarkName, Meta, NodeState, Quorum,
    Unanswered,
};
pub use moment::Moment;
pub use reader::{Malformed, read, read_history, read_line};
pub use recorder::Recorder;

/// The version of the format.
pub const FORMAT: u32 = 1;
