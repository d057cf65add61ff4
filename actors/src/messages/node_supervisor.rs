//! To [`NodeSupervisor`](crate::supervision::NodeSupervisor).

pub use crate::supervision::ChildDown;
