//! Henge: the binary, the configuration and the surfaces. The node itself is `henge_actors`.
//!
//! | module | what |
//! | --- | --- |
//! | [`cli`] | the whole command line, as types |
//! | [`commands`] | one file a command |
//! | [`config`] | where values come from, what each key means, what is wrong with it |
//! | [`host`] | one node with its certificates, its environment and HTTP |
//! | [`telemetry`] | log lines |
//! | [`shutdown`] | SIGTERM or SIGINT becomes one broadcast |

pub mod cli;
pub mod commands;
pub mod config;
pub mod host;
pub mod shutdown;
pub mod surfaces;
pub mod telemetry;
