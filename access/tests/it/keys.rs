//! API keys, in every mode.

use access::{Access, Caller, Config, Refused, key, now};
use schemas::access::{AccessRecord, ApiKey, KeyRole};
use schemas::units::Instant;

use crate::place::{Place, eventually};

fn at(from_now_s: i64) -> Instant {
    Instant::from_ms(now().ms() + from_now_s * 1_000).unwrap()
}

fn put(place: &Place, access: &Access, key: ApiKey) {
    place.runtime.block_on(access.append(AccessRecord::Key(key))).unwrap();
}

#[test]
fn a_key_is_known_by_its_text_until_it_ends() {
    let place = Place::new();
    for config in [Config::default(), place.tokens()] {
        let (one, other) = (place.access(&config), place.access(&config));
        let identify = |access: &Access, text: &str| place.runtime.block_on(access.identify(text));
        let feeds = vec!["nwmls".parse().unwrap()];
        let (service, service_text) = key::create("feed".to_owned(), KeyRole::Service, feeds, now(), None);
        let (admin, admin_text) = key::create("ops".to_owned(), KeyRole::Admin, Vec::new(), now(), Some(at(60)));
        let (expired, expired_text) = key::create("old".to_owned(), KeyRole::Admin, Vec::new(), at(-60), Some(at(-1)));
        for key in [&service, &admin, &expired] {
            put(&place, &one, key.clone());
        }
        let Ok(Caller::Service(holder)) = identify(&one, &service_text) else { panic!() };
        assert!(holder.may_push_to(&"nwmls".parse().unwrap()) && !holder.may_push_to(&"other".parse().unwrap()));
        let is_admin =
            || matches!(identify(&other, &admin_text), Ok(Caller::Admin(holder)) if holder.id == admin.key_id);
        eventually("the other knows the key", is_admin);
        let swapped = service_text.replace(service.key_id.as_str(), admin.key_id.as_str());
        for wrong in [&expired_text, &swapped, &service_text.replace(service.key_id.as_str(), "000000000000")] {
            assert_eq!(identify(&one, wrong), Err(Refused::Bad("the API key is unknown, expired or revoked")));
        }
        put(&place, &other, ApiKey { revoked_at: Some(now()), ..admin.clone() });
        eventually("the key is revoked", || identify(&one, &admin_text).is_err());
    }
}
