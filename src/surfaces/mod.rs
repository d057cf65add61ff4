//! The doors of a node for programs of other kinds. They see [`NodeHandle`] only.
//!
//! | surface | what it speaks |
//! | --- | --- |
//! | [`http`] | HTTP/1.1: values as bodies, JSON about the cluster, RFC 9457 problems |
//!
//! [`NodeHandle`]: henge_actors::NodeHandle

pub mod http;
