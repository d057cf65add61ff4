//! Questions under everything at once: each is answered once, or fails with a reason.

use std::time::Duration;

use henge_actors::transport::tls::Directory;

use super::{
    certified, ends, identity,
    network::{Network, Weather},
    pair, pass, run_paused,
    station::{Fate, Station, ip},
    until,
};

/// How many questions were answered, and how many failed.
async fn storm(cluster: &Directory, seed: u64) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let weather = Weather {
        loss_percent: random.u8(0..15),
        delay_ms: 1..random.u64(2..60),
        late_percent: random.u8(0..10),
        repeated_percent: random.u8(0..10),
        bytes_per_second: random.bool().then_some(1 << 20),
    };
    let network = Network::new(seed, weather.clone());
    let (a, mut b) = pair(cluster, &network).await;
    b.keep_linked_to(&a);
    let mut questions = 0..;
    for _ in 0..30 {
        match random.u8(0..8) {
            0 => network.cut(ip(1), ip(2)),
            1 => network.cut_one_way(ip(1), ip(2)),
            2 => network.cut_one_way(ip(2), ip(1)),
            3 => {
                b = ends::restart(cluster, &network, b, 2).await;
                b.keep_linked_to(&a);
            }
            4 => a.link("b").into_iter().for_each(|link| link.close("a test")),
            _ => network.heal(),
        }
        for _ in 0..random.usize(0..60) {
            let length = if random.u8(0..20) == 0 { 100_000 } else { random.usize(20..3000) };
            a.ask("b", questions.next().unwrap(), length);
            pass(random.u64(0..80)).await;
        }
        pass(random.u64(0..3_000)).await;
    }
    network.heal();
    network.set_weather(Weather::fair());
    until(Duration::from_secs(20), || a.waiting() == 0).await;
    until(Duration::from_secs(5), || a.is_linked_to("b")).await;
    a.ask("b", questions.next().unwrap(), 100);
    until(Duration::from_secs(1), || a.waiting() == 0).await;
    let asked = a.fates().len();
    for fate in a.fates().values() {
        assert!(!matches!(fate, Fate::Lost(reason) if reason.is_empty()), "a reason is given");
    }
    (a.answer_times().len(), asked - a.answer_times().len())
}

#[test]
fn every_question_is_answered_once_and_in_order_or_fails_with_a_reason() {
    let cluster = certified(&["a", "b"]);
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..6 {
        let (more, less) = run_paused(storm(&cluster, seed));
        answered += more;
        failed += less;
    }
    assert!(answered > 1_000 && failed > 1_000, "{answered} answered, {failed} failed");
}

/// R14: ten minutes of a question each 50 ms. With Cubic alone, which ends at two packets a round
/// trip, half of them are lost with their links and the other half is answered within minutes.
#[test]
fn r14_twenty_percent_of_loss_on_a_long_path_are_survived() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let weather = Weather {
            loss_percent: 20,
            delay_ms: 50..150,
            late_percent: 5,
            repeated_percent: 5,
            bytes_per_second: None,
        };
        let network = Network::new(14, weather);
        let (a, b) = pair(&cluster, &network).await;
        b.keep_linked_to(&a);
        for question in 0..12_000 {
            a.ask("b", question, 500);
            pass(50).await;
        }
        until(Duration::from_secs(20), || a.waiting() == 0).await;
        let mut times = a.answer_times();
        times.sort();
        assert!(times.len() > 11_900, "{} answered: {:?}", times.len(), a.ends.borrow());
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        assert!(median < Duration::from_secs(1), "{median:?}");
        assert!(longest < Duration::from_secs(5), "{longest:?}");
    });
}

#[test]
fn four_mebibytes_survive_five_percent_of_loss() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let network = Network::new(3, Weather { loss_percent: 5, ..Weather::fair() });
        let (a, _b) = pair(&cluster, &network).await;
        a.ask("b", 1, 4 << 20);
        until(Duration::from_mins(1), || a.waiting() == 0).await;
        assert_eq!(a.answer_times().len(), 1);
    });
}

/// How long b's answers took at worst while c was asked for megabytes over a path that carries
/// little, or was not asked at all.
fn beside(cluster: &Directory, is_c_busy: bool) -> (Duration, usize) {
    run_paused(async {
        let network = Network::new(9, Weather::fair());
        network.throttle(ip(1), ip(3), 50_000);
        let stations = ["a", "b", "c"].map(|node| {
            let number = node.as_bytes()[0] - b'a' + 1;
            Station::bind(&network, identity(cluster, node), node, number)
        });
        let [a, b, c] = &stations;
        for peer in [b, c] {
            a.keep_linked_to(peer);
        }
        until(Duration::from_secs(3), || a.is_linked_to("b") && a.is_linked_to("c")).await;
        let mut refused = 0;
        for question in 0..300 {
            a.ask("b", question, 2_000);
            if is_c_busy {
                a.ask("c", 1_000_000 + question, 1 << 20);
            }
            pass(5).await;
        }
        for (question, fate) in &*a.fates() {
            match fate {
                Fate::Answered { .. } => {}
                Fate::Refused(why) if *question >= 1_000_000 => {
                    assert!(why.to_string().contains("the peer is slow"), "{why}");
                    refused += 1;
                }
                fate => assert!(*question >= 1_000_000, "{question}: {fate:?}"),
            }
        }
        (a.answer_times().into_iter().max().unwrap(), refused)
    })
}

#[test]
fn a_slow_reader_is_refused_more_and_holds_nobody_else_up() {
    let cluster = certified(&["a", "b", "c"]);
    let (alone, none) = beside(&cluster, false);
    let (busy, refused) = beside(&cluster, true);
    assert_eq!(none, 0);
    assert!(refused > 200, "64 MiB may wait: {refused} were refused");
    assert!(busy <= alone + Duration::from_millis(20), "{busy:?} against {alone:?}");
}
