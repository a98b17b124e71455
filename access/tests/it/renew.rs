//! Refresh tokens are good once, over processes and restarts; who comes with an old one ends the family.

use std::time::Duration;

use access::{Access, Caller, Config, Issued, NotRenewed, Refused};
use schemas::id::SessionId;

use crate::place::{Place, eventually};

fn session() -> SessionId {
    SessionId::from_bits(7)
}

fn renew(place: &Place, access: &Access, token: &str) -> Result<Issued, NotRenewed> {
    place.runtime.block_on(access.renew(token)).map(|(session_id, issued)| {
        assert_eq!(session_id, session());
        issued
    })
}

fn is_refused(outcome: &Result<Issued, NotRenewed>) -> bool {
    matches!(outcome, Err(NotRenewed::Refused(Refused::Bad(_))))
}

fn opens(place: &Place, access: &Access, token: &str) -> bool {
    match place.runtime.block_on(access.identify(token)) {
        Ok(Caller::User(user)) => user.session == session(),
        Ok(other) => panic!("{other:?}"),
        Err(Refused::Bad(_)) => false,
        Err(Refused::Starting) => panic!("it is ready"),
    }
}

#[test]
fn a_renewal_is_known_to_another_process_and_after_a_restart() {
    let place = Place::new();
    let config = Config { refresh_grace: Duration::ZERO, ..place.tokens() };
    let (one, other) = (place.access(&config), place.access(&config));
    let first = one.issue(session()).unwrap();
    assert!(opens(&place, &other, &first.token), "the same secret, the same tokens");
    let second = renew(&place, &one, &first.refresh_token).unwrap();
    // At once at the other process, which may not have heard of it.
    let third = renew(&place, &other, &second.refresh_token).unwrap();
    drop((one, other));
    let later = place.access(&config);
    let fourth = renew(&place, &later, &third.refresh_token).unwrap();
    assert!(opens(&place, &later, &fourth.token));
    assert!(is_refused(&renew(&place, &later, &second.refresh_token)), "used before");
    assert!(is_refused(&renew(&place, &later, &fourth.refresh_token)), "the family has ended");
    assert!(!opens(&place, &later, &fourth.token), "and its access tokens");
}

#[test]
fn an_old_token_ends_its_family_everywhere_and_for_ever() {
    let place = Place::new();
    let config = Config { refresh_grace: Duration::ZERO, ..place.tokens() };
    let (one, other) = (place.access(&config), place.access(&config));
    let (first, bystander) = (one.issue(session()).unwrap(), one.issue(session()).unwrap());
    let second = renew(&place, &one, &first.refresh_token).unwrap();
    eventually("the other knows of the renewal", || is_refused(&renew(&place, &other, &first.refresh_token)));
    eventually("the first knows that the family has ended", || !opens(&place, &one, &second.token));
    assert!(is_refused(&renew(&place, &one, &second.refresh_token)));
    assert!(opens(&place, &one, &bystander.token), "another family of the session goes on");
    drop((one, other));
    assert!(is_refused(&renew(&place, &place.access(&config), &second.refresh_token)));
}

#[test]
fn who_lost_the_answer_gets_it_again_within_the_grace() {
    let place = Place::new();
    let access = place.access(&place.tokens());
    let first = access.issue(session()).unwrap();
    let second = renew(&place, &access, &first.refresh_token).unwrap();
    let again = renew(&place, &access, &first.refresh_token).unwrap();
    assert!(opens(&place, &access, &again.token));
    // Both are of the same generation: one of them renews, the other one again.
    let third = renew(&place, &access, &again.refresh_token).unwrap();
    renew(&place, &access, &second.refresh_token).unwrap();
    assert!(is_refused(&renew(&place, &access, &first.refresh_token)), "two generations ago");
    assert!(is_refused(&renew(&place, &access, &third.refresh_token)));
}

#[test]
fn two_processes_that_renew_at_once_end_in_the_same() {
    let place = Place::new();
    let (one, other) = (place.access(&place.tokens()), place.access(&place.tokens()));
    let first = one.issue(session()).unwrap();
    let (a, b) = place
        .runtime
        .block_on(async { tokio::join!(one.renew(&first.refresh_token), other.renew(&first.refresh_token)) });
    let tokens = [a.unwrap().1, b.unwrap().1];
    for access in [&one, &other] {
        for issued in &tokens {
            eventually("both open", || opens(&place, access, &issued.token));
        }
    }
    renew(&place, &one, &tokens[1].refresh_token).unwrap();
    renew(&place, &other, &tokens[0].refresh_token).unwrap();
}

#[test]
fn an_erased_sessions_tokens_are_dead_at_every_process() {
    let place = Place::new();
    let (one, other) = (place.access(&place.tokens()), place.access(&place.tokens()));
    let issued = one.issue(session()).unwrap();
    std::thread::park_timeout(Duration::from_millis(2));
    place.runtime.block_on(one.revoke_session(session())).unwrap();
    assert!(!opens(&place, &one, &issued.token));
    eventually("the other knows", || !opens(&place, &other, &issued.token));
    assert!(is_refused(&renew(&place, &one, &issued.refresh_token)));
    std::thread::park_timeout(Duration::from_millis(2));
    assert!(opens(&place, &one, &one.issue(session()).unwrap().token), "made again, it has tokens again");
}

#[test]
fn tokens_need_a_secret_of_their_own() {
    let place = Place::new();
    let config = Config { secret_file: std::path::PathBuf::new(), ..place.tokens() };
    let error = place.start(&config).err().unwrap();
    assert!(error.contains("auth.secret_file is missing") && error.contains("roost key secret FILE"), "{error}");
    let open = place.access(&Config::default());
    assert!(matches!(place.runtime.block_on(open.renew("x")), Err(NotRenewed::NotHere)));
}
