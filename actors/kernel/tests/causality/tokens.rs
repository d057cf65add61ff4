//! Context tokens: carried by clients, bound to one key.

use henge_kernel::{
    causality::{BadContext, Conflict, Context, ContextKey, TOKEN_CHARACTERS_MAX},
    id::ClusterId,
    key::Key,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{laws::CASES, model::World, support::Shard};

fn key(bucket: &'static str, key: &'static str) -> Key {
    Key::new(bucket, key).unwrap()
}

fn ours() -> ContextKey {
    ContextKey::of(ClusterId::of("henge"))
}

fn token() -> String {
    Shard::with_one(1).context().to_token(&ours(), &key("bucket", "key"))
}

/// `context` as a store gives it.
fn sealed(context: Context) -> Context {
    context.sealed(ours().seal(&key("bucket", "key")))
}

fn read(token: &str) -> Result<Context, BadContext> {
    Context::from_token(&ours(), &key("bucket", "key"), token)
}

#[test]
fn a_token_of_another_key_bucket_or_cluster_is_refused() {
    let token = token();
    assert_eq!(read(&token), Ok(sealed(Shard::with_one(1).context())));
    for other in [key("bucket", "yek"), key("tekcub", "key"), key("bucketk", "ey")] {
        let refused = Context::from_token(&ours(), &other, &token);
        assert_eq!(refused, Err(BadContext::Foreign));
    }
    let other_cluster = ContextKey::of(ClusterId::of("carnac"));
    let refused = Context::from_token(&other_cluster, &key("bucket", "key"), &token);
    assert_eq!(refused, Err(BadContext::Foreign));
}

#[test]
fn a_context_is_of_the_key_that_it_was_sealed_for() {
    let here = ours().seal(&key("bucket", "key"));
    let context = Shard::with_one(1).context();
    assert_eq!(context.check(here), Err(BadContext::Foreign), "nobody has given it");
    let context = sealed(context);
    assert_eq!(context.check(here), Ok(()));
    for other in [key("bucket", "yek"), key("tekcub", "key"), key("bucketk", "ey")] {
        assert_eq!(context.check(ours().seal(&other)), Err(BadContext::Foreign));
    }
    let other_cluster = ContextKey::of(ClusterId::of("carnac")).seal(&key("bucket", "key"));
    assert_eq!(context.check(other_cluster), Err(BadContext::Foreign));
    assert_eq!(Context::default().check(other_cluster), Ok(()), "nothing is of every key");
}

#[test]
fn a_truncated_token_is_refused() {
    let token = token();
    assert!((0..token.len()).all(|length| read(&token[..length]).is_err()));
    assert!(read(&format!("{token}A")).is_err());
    assert!(read(&format!("{token}=")).is_err());
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    let token = token();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(read(&String::from_utf8(bytes).unwrap()).is_err());
        }
    }
}

#[test]
fn a_refused_token_says_why() {
    assert_eq!(read(""), Err(BadContext::NotAToken));
    assert_eq!(read("a+b/"), Err(BadContext::NotBase64));
    assert_eq!(read("grüße"), Err(BadContext::NotBase64));
    assert_eq!(read(&"A".repeat(64)), Err(BadContext::NotAToken));
    // "h" and format 2.
    let newer = format!("aAI{}", "A".repeat(41));
    assert_eq!(read(&newer), Err(BadContext::UnknownFormat { found: 2 }));
    let characters = TOKEN_CHARACTERS_MAX + 1;
    assert_eq!(read(&"A".repeat(characters)), Err(BadContext::TooLong { characters }));
}

#[test]
fn the_empty_context_has_a_token() {
    let token = Context::default().to_token(&ours(), &key("bucket", "key"));
    assert_eq!(read(&token), Ok(sealed(Context::default())));
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn every_context_survives_its_token_and_no_other_key(
        steps in vec(any::<u32>(), 0..20),
        flip in any::<(usize, u8)>(),
    ) {
        let context = World::after(Conflict::Siblings, &steps).shards[0].context();
        let token = context.to_token(&ours(), &key("bucket", "key"));
        let url_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        prop_assert!(token.chars().all(url_safe));
        prop_assert_eq!(read(&token), Ok(sealed(context)));
        prop_assert!(Context::from_token(&ours(), &key("bucket", "other"), &token).is_err());

        let mut damaged = token.clone().into_bytes();
        let at = flip.0 % damaged.len();
        damaged[at] = flip.1 % 128;
        let damaged = String::from_utf8(damaged).unwrap();
        prop_assert!(damaged == token || read(&damaged).is_err());
    }
}
