//! Frames: order, limits, and that a seed decides everything.

use henge_actors::transport::{
    Frame, Lane, REQUEST_FRAME_BYTES_MAX, SendError,
    simulated::{NetworkProfile, SimulatedNetwork},
};

use crate::support::{linked, lossless, lossy, name, pass, simulate};

#[test]
fn loss_delays_frames_but_never_reorders_a_lane() {
    simulate(async {
        let network = SimulatedNetwork::new(7, lossy());
        let (a, b) = linked(&network).await;
        let mut sent = Vec::new();
        for round in 0..500 {
            sent.push(round.to_string());
            a.send(Lane::Request, &sent[round]).unwrap();
            a.send(Lane::Control, &sent[round]).unwrap();
            b.send(Lane::Request, &sent[round]).unwrap();
            pass(u64::from(round % 7 == 0)).await;
        }
        pass(1000).await;
        assert_eq!(b.frames(Lane::Request), sent);
        assert_eq!(b.frames(Lane::Control), sent);
        assert_eq!(a.frames(Lane::Request), sent);
        assert_eq!(network.frames_delivered(), 1500);
    });
}

#[test]
fn header_and_tail_arrive_as_one_frame() {
    simulate(async {
        let network = SimulatedNetwork::new(7, lossless());
        let (a, b) = linked(&network).await;
        a.link().send(Lane::Request, Frame::with_tail(b"head ".to_vec(), "tail".into())).unwrap();
        a.send(Lane::Request, "").unwrap();
        pass(10).await;
        assert_eq!(b.frames(Lane::Request), ["head tail", ""]);
    });
}

#[test]
fn frames_come_twice_but_for_those_that_may_not() {
    simulate(async {
        let profile = NetworkProfile { duplicate_percent: 100, ..lossless() };
        let network = SimulatedNetwork::new(7, profile);
        network.repeat_only(|lane, frame| lane == Lane::Request && frame != "once");
        let (a, b) = linked(&network).await;
        for text in ["often", "once", "often"] {
            a.send(Lane::Request, text).unwrap();
            a.send(Lane::Control, text).unwrap();
        }
        pass(10).await;
        assert_eq!(b.frames(Lane::Request), ["often", "often", "once", "often", "often"]);
        assert_eq!(b.frames(Lane::Control), ["often", "once", "often"]);
        assert_eq!(network.mishaps().duplicated, 2);
    });
}

/// Traffic with cuts and loss; what it leaves behind.
fn eventful_run(seed: u64) -> (u64, Vec<String>) {
    simulate(async {
        let network = SimulatedNetwork::new(seed, lossy());
        let (a, b) = linked(&network).await;
        for round in 0..200 {
            match round {
                50 => network.cut(&name("n1"), &name("n2")),
                100 => network.heal_all(),
                _ => {}
            }
            a.send(Lane::Request, "question").unwrap();
            b.send(Lane::Control, "gossip").unwrap();
            pass(round % 30).await;
        }
        a.endpoint.close("done");
        pass(6000).await;
        (network.trace_hash(), network.last_events(10_000))
    })
}

#[test]
fn one_seed_one_run() {
    let (hash, events) = eventful_run(42);
    let (again, same_events) = eventful_run(42);
    assert_eq!(events, same_events);
    assert_eq!(hash, again);
    assert_ne!(hash, eventful_run(43).0);
    assert!(events[0].contains("n1/0 -> n2/0  connected"), "{events:#?}");
    assert!(events.last().unwrap().contains("n1/0 -> n2/0  closed: done"), "{events:#?}");
}

#[test]
fn a_direction_of_a_link_takes_64_mib_and_then_refuses() {
    simulate(async {
        let network = SimulatedNetwork::new(7, lossless());
        let (a, b) = linked(&network).await;
        let big = || Frame::new(vec![0; REQUEST_FRAME_BYTES_MAX]);
        a.link().send(Lane::Request, big()).unwrap();
        a.link().send(Lane::Request, big()).unwrap();
        let max = 64 << 20;
        assert_eq!(a.send(Lane::Control, "x"), Err(SendError::Busy { queued: max, max }));
        assert_eq!(b.send(Lane::Control, "x"), Ok(()), "the other direction is free");
        pass(10).await;
        assert_eq!(a.send(Lane::Control, "x"), Ok(()), "what was delivered waits no more");
        network.kill(&name("n2"));
        pass(10).await;
        a.link().send(Lane::Request, big()).unwrap();
        let refused = a.link().send(Lane::Request, big());
        assert!(matches!(refused, Err(SendError::Busy { .. })), "a dead peer takes nothing");
    });
}

#[test]
fn each_lane_has_its_longest_frame() {
    simulate(async {
        let network = SimulatedNetwork::new(7, lossless());
        let (a, _b) = linked(&network).await;
        for lane in [Lane::Request, Lane::Control] {
            let max = lane.frame_bytes_max();
            a.link().send(lane, Frame::new(vec![0; max])).unwrap();
            let refused = a.link().send(lane, Frame::with_tail(vec![0; max], "x".into()));
            assert_eq!(refused, Err(SendError::TooLarge { size: max + 1, max }));
        }
    });
}
