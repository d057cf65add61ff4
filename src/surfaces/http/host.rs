//! A loopback listener is for programs of this machine. A web page elsewhere can make a browser
//! send requests to it under a name of its own (DNS rebinding), so a foreign `Host` is refused.

use std::net::IpAddr;

use actix_web::{
    HttpRequest,
    http::{header::HOST, uri::Authority},
};

use super::problem::Problem;

/// Refuses a request for another host to a `loopback` listener. One without host can only be
/// HTTP/1.0, which no browser speaks.
pub fn check(request: &HttpRequest, loopback: bool) -> Result<(), Problem> {
    if !loopback {
        return Ok(());
    }
    let host = request.headers().get(HOST);
    let host = host.map(|host| String::from_utf8_lossy(host.as_bytes()));
    let named = request.uri().authority().map(Authority::as_str);
    for host in host.as_deref().into_iter().chain(named) {
        if !is_local(host) {
            return Err(Problem::misdirected(host));
        }
    }
    Ok(())
}

/// Whether `host`, with or without a port, is `localhost` or an address of the loopback.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, "0"),
        Some((name, rest)) => (name, rest.strip_prefix(':').unwrap_or("none")),
        None => host.split_once(':').unwrap_or((host, "0")),
    };
    let is_loopback = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    port.parse::<u16>().is_ok() && (is_loopback || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_hosts_are_names_of_the_loopback() {
        for local in
            ["localhost", "LocalHost:7480", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:80"]
        {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1:80",
            "[::2]",
            "[::1]x",
            "localhost:x",
            "user@localhost",
            "0.0.0.0",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
