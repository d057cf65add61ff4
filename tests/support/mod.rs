//! Nodes as programs run them (QUIC, files, clocks of the machine), in this process, and a client
//! that sends exactly the bytes that it is told to.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod http;
pub mod node;
