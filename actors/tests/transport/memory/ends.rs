//! How links end and come back: cuts in both ways and in one, restarts, silence.

use std::{rc::Rc, time::Duration};

use henge_actors::transport::tls::Directory;
use tokio::time::Instant;

use super::{
    certified, identity,
    network::{Network, Weather},
    pair, pass, run_paused,
    station::{Fate, Station, ip},
    until,
};

/// b dies without a word and comes back, with the same key and another memory.
pub async fn restart(
    cluster: &Directory,
    network: &Network,
    b: Rc<Station>,
    number: u8,
) -> Rc<Station> {
    network.kill((ip(number), 7400).into());
    drop(b);
    pass(100).await;
    Station::bind(network, identity(cluster, "b"), "b", number)
}

#[test]
fn a_cut_ends_a_link_by_silence_after_five_seconds() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let network = Network::new(5, Weather::fair());
        let (a, b) = pair(&cluster, &network).await;
        network.cut(ip(1), ip(2));
        a.ask("b", 1, 100);
        let gone =
            until(Duration::from_secs(10), || !a.is_linked_to("b") && !b.is_linked_to("a")).await;
        assert!((4..=8).contains(&gone.as_secs()), "{gone:?}");
        assert_eq!(*a.ends.borrow(), ["the peer was silent for too long"]);
        assert_eq!(*b.ends.borrow(), ["the peer was silent for too long"]);
        assert!(matches!(&a.fates()[&1], Fate::Lost(reason) if reason.contains("silent")));
        pass(10_000).await;
        assert!(a.failed_dials.borrow().iter().all(|reason| reason == "no link within 1s"));
        assert!(a.failed_dials.borrow().len() > 5);
    });
}

#[test]
fn a_cut_of_a_minute_is_over_within_a_second_of_its_heal() {
    let cluster = certified(&["a", "b"]);
    let mut longest = Duration::ZERO;
    for seed in 0..9 {
        let back = run_paused(async {
            let network = Network::new(seed, Weather::fair());
            let (a, b) = pair(&cluster, &network).await;
            b.keep_linked_to(&a);
            match seed % 3 {
                0 => network.cut(ip(1), ip(2)),
                1 => network.cut_one_way(ip(1), ip(2)),
                _ => network.cut_one_way(ip(2), ip(1)),
            }
            pass(60_000 + 37 * seed).await;
            assert!(!a.is_linked_to("b"), "nobody takes half a link for one");
            network.heal();
            let begun = Instant::now();
            until(Duration::from_secs(5), || a.is_linked_to("b")).await;
            a.ask("b", 1, 100);
            until(Duration::from_secs(1), || a.waiting() == 0).await;
            begun.elapsed()
        });
        longest = longest.max(back);
    }
    assert!(longest <= Duration::from_secs(1), "{longest:?}");
}

#[test]
fn a_short_cut_costs_no_link_and_no_frame() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let network = Network::new(5, Weather::fair());
        let (a, _b) = pair(&cluster, &network).await;
        network.cut(ip(1), ip(2));
        for question in 0..100 {
            a.ask("b", question, 1000);
            pass(10).await;
        }
        network.heal();
        until(Duration::from_secs(4), || a.waiting() == 0).await;
        assert_eq!(a.answer_times().len(), 100);
        assert!(a.ends.borrow().is_empty());
    });
}

#[test]
fn a_peer_that_restarted_says_so_at_the_next_packet() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let network = Network::new(6, Weather::fair());
        let (a, b) = pair(&cluster, &network).await;
        let _b = restart(&cluster, &network, b, 2).await;
        a.ask("b", 1, 100);
        until(Duration::from_millis(500), || !a.ends.borrow().is_empty()).await;
        assert_eq!(*a.ends.borrow(), ["the peer restarted and knows nothing of it"]);
        assert!(matches!(&a.fates()[&1], Fate::Lost(_)));
        until(Duration::from_secs(1), || a.is_linked_to("b")).await;
        a.ask("b", 2, 100);
        until(Duration::from_secs(1), || a.waiting() == 0).await;
    });
}

#[test]
fn an_idle_link_stays() {
    let cluster = certified(&["a", "b"]);
    run_paused(async {
        let network = Network::new(5, Weather { loss_percent: 2, ..Weather::fair() });
        let (a, _b) = pair(&cluster, &network).await;
        pass(600_000).await;
        a.ask("b", 1, 100);
        until(Duration::from_secs(1), || a.waiting() == 0).await;
        assert!(a.ends.borrow().is_empty());
    });
}
