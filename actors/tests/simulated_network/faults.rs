//! Cuts, stopped nodes, dead nodes, closed links.

use henge_actors::transport::{Lane, SendError, simulated::SimulatedNetwork};

use crate::support::{Probe, Seen, linked, lossless, lossy, name, pass, simulate};

fn assert_timed_out(probe: &Probe, between: std::ops::RangeInclusive<u64>) {
    let closings = probe.closings();
    assert_eq!(closings.len(), 1, "{closings:?}");
    assert_eq!(closings[0].1, "timed out");
    assert!(between.contains(&closings[0].0), "{closings:?}");
}

#[test]
fn a_cut_that_heals_in_time_holds_frames_back_in_order() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        a.send(Lane::Request, "in flight").unwrap();
        network.cut(&name("n1"), &name("n2"));
        a.send(Lane::Request, "held").unwrap();
        pass(4900).await;
        assert!(b.frames(Lane::Request).is_empty());
        a.send(Lane::Request, "just before").unwrap();
        network.heal(&name("n2"), &name("n1"));
        a.send(Lane::Request, "after").unwrap();
        pass(10).await;
        assert!(b.frames(Lane::Request).is_empty(), "nothing overtakes what the cut held");
        pass(4900).await;
        assert_eq!(b.frames(Lane::Request), ["in flight", "held", "just before", "after"]);
        pass(10_000).await;
        assert!(a.closings().is_empty() && b.closings().is_empty());
    });
}

#[test]
fn a_cut_of_more_than_five_seconds_kills_the_link_at_both_ends() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        network.cut(&name("n1"), &name("n2"));
        a.send(Lane::Request, "lost").unwrap();
        pass(5010).await;
        network.heal_all();
        assert_timed_out(&a, 6000..=6004);
        assert_timed_out(&b, 6000..=6004);
        assert_eq!(a.send(Lane::Request, "x"), Err(SendError::Closed));
        pass(10_000).await;
        assert!(b.frames(Lane::Request).is_empty());
        a.endpoint.dial(&b.address);
        pass(20).await;
        a.send(Lane::Request, "anew").unwrap();
        pass(10).await;
        assert_eq!(b.frames(Lane::Request), ["anew"]);
    });
}

#[test]
fn a_one_way_cut_delivers_the_other_way_until_the_link_dies() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        network.cut_one_way(&name("n1"), &name("n2"));
        a.send(Lane::Request, "into the void").unwrap();
        b.send(Lane::Request, "heard").unwrap();
        pass(4000).await;
        assert_eq!(a.frames(Lane::Request), ["heard"]);
        assert!(b.frames(Lane::Request).is_empty());
        a.endpoint.dial(&b.address);
        b.endpoint.dial(&a.address);
        pass(1010).await;
        assert_eq!((a.failures().len(), b.failures().len()), (1, 1));
        assert_timed_out(&a, 6000..=6004);
        assert_timed_out(&b, 6000..=6004);
    });
}

#[test]
fn an_isolated_node_reaches_nobody_and_the_others_each_other() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        let c = Probe::bind(&network, "n3", 7403);
        network.isolate(&name("n1"));
        c.endpoint.dial(&a.address);
        pass(1010).await;
        c.endpoint.dial(&b.address);
        pass(5000).await;
        assert_eq!(c.failures().len(), 1);
        assert_timed_out(&a, 6000..=6004);
        assert_timed_out(&b, 6000..=6004);
        c.send(Lane::Control, "hi").unwrap();
        pass(10).await;
        assert_eq!(b.frames(Lane::Control), ["hi"]);
        network.heal(&name("n1"), &name("n3"));
        c.endpoint.dial(&a.address);
        pass(20).await;
        assert_eq!(c.link().peer(), &name("n1"));
    });
}

#[test]
fn a_killed_node_is_silent_and_found_out_after_five_seconds() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        b.send(Lane::Request, "last words").unwrap();
        network.kill(&name("n2"));
        assert_eq!(b.send(Lane::Request, "x"), Err(SendError::Closed));
        b.endpoint.dial(&a.address);
        a.send(Lane::Request, "anyone?").unwrap();
        let reborn = Probe::bind(&network, "n2", 7402);
        pass(5010).await;
        assert!(a.frames(Lane::Request).is_empty());
        assert_timed_out(&a, 6000..=6004);
        assert_eq!(b.seen().len(), 1, "nothing is reported to a dead process");
        a.endpoint.dial(&reborn.address);
        pass(20).await;
        a.send(Lane::Request, "welcome").unwrap();
        pass(10).await;
        assert_eq!(reborn.frames(Lane::Request), ["welcome"]);
    });
}

#[test]
fn a_short_stop_only_delays() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        network.pause(&name("n2"));
        a.send(Lane::Request, "to").unwrap();
        b.send(Lane::Request, "from").unwrap();
        pass(3000).await;
        assert!(a.frames(Lane::Request).is_empty() && b.frames(Lane::Request).is_empty());
        network.resume(&name("n2"));
        pass(3010).await;
        assert_eq!(a.frames(Lane::Request), ["from"]);
        assert_eq!(b.frames(Lane::Request), ["to"]);
    });
}

#[test]
fn a_node_stopped_for_long_learns_it_when_it_goes_on() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        network.pause(&name("n2"));
        b.endpoint.dial(&a.address);
        pass(9000).await;
        assert_timed_out(&a, 6000..=6004);
        assert_eq!(b.seen().len(), 1);
        network.resume(&name("n2"));
        pass(1).await;
        assert_timed_out(&b, 10_000..=10_001);
        assert_eq!(b.failures().len(), 1);
    });
}

#[test]
fn the_reason_of_a_close_arrives_after_what_was_sent_long_before() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        a.send(Lane::Request, "first").unwrap();
        pass(5).await;
        a.endpoint.close("going down for repairs");
        pass(5).await;
        let seen: Vec<Seen> = b.seen().into_iter().map(|(_, seen)| seen).skip(1).collect();
        let reason = "going down for repairs".to_owned();
        assert_eq!(
            seen,
            [Seen::Frame(Lane::Request, b"first".to_vec()), Seen::Closed(reason.clone())]
        );
        assert_eq!(a.closings()[0].1, reason);
        assert_eq!(b.send(Lane::Request, "x"), Err(SendError::Closed));
        pass(10_000).await;
        assert_eq!((a.closings().len(), b.closings().len()), (1, 1));
    });
}

#[test]
fn nothing_comes_after_closed() {
    for seed in 0..100 {
        simulate(async {
            let network = SimulatedNetwork::new(seed, lossy());
            let (a, b) = linked(&network).await;
            for lane in [Lane::Request, Lane::Control] {
                a.send(lane, "racing").unwrap();
                b.send(lane, "racing").unwrap();
            }
            a.link().close("first come");
            pass(10_000).await;
            for probe in [a, b] {
                let seen = probe.seen();
                assert_eq!(probe.closings().len(), 1);
                assert!(matches!(seen.last(), Some((_, Seen::Closed(_)))), "{seen:?}");
            }
        });
    }
}

#[test]
fn two_ends_that_close_at_once_each_hear_of_it_once() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        a.link().close("mine");
        b.link().close("yours");
        a.link().close("again");
        pass(10_000).await;
        assert_eq!(a.closings().len(), 1);
        assert_eq!(a.closings()[0].1, "mine");
        assert_eq!(b.closings()[0].1, "yours");
    });
}

#[test]
fn a_close_that_a_cut_swallows_is_found_out_by_silence() {
    simulate(async {
        let network = SimulatedNetwork::new(3, lossless());
        let (a, b) = linked(&network).await;
        network.cut_one_way(&name("n1"), &name("n2"));
        a.link().close("unheard");
        pass(100).await;
        network.heal_all();
        pass(5000).await;
        assert_timed_out(&b, 6000..=6004);
    });
}
