//! Whose request it is, by address: of the connection, or of `X-Forwarded-For` where proxies are trusted. Pure.
//!
//! `Forwarded` (RFC 7239) is not read: usual proxies write `X-Forwarded-For`, and of two lists that may disagree one is a way around
//! the other.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Of an IPv6 address the part that a network is given: whoever has one address has all of its /64.
const NETWORK_OF_V6: u128 = !0 << 64;

/// An address, and whether a proxy said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Which.
    pub address: IpAddr,
    /// Whether it is of `X-Forwarded-For`, not of the connection.
    pub is_told: bool,
}

impl Client {
    /// The `trusted_hops`-th address from the right of `X-Forwarded-For`, all its lines joined: the one that the outermost proxy of
    /// ours saw. Where the list is shorter, or an entry is no address, the last one before that is the client's; with none it is
    /// the peer's own.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted_hops: u8) -> Self {
        let mut client = Self { address: peer.to_canonical(), is_told: false };
        if trusted_hops == 0 {
            return client;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        for entry in entries.take(usize::from(trusted_hops)) {
            let Some(address) = read(entry) else { break };
            client = Self { address, is_told: true };
        }
        client
    }

    /// What is counted as one: an IPv4 address, or a network of 2^64 IPv6 addresses.
    pub fn counted(&self) -> u128 {
        match self.address {
            // Mapped, so that no IPv6 network is the same.
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() & NETWORK_OF_V6,
        }
    }
}

/// An address, with or without a port.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn client(lines: &[&str], trusted_hops: u8) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        Client::of(PEER.parse().unwrap(), &headers, trusted_hops).address.to_string()
    }

    #[test]
    fn without_trusted_proxies_what_a_client_claims_is_not_read() {
        assert_eq!(client(&["1.2.3.4"], 0), PEER);
    }

    #[test]
    fn the_address_is_the_one_that_the_outermost_trusted_proxy_saw() {
        for (lines, hops, expected) in [
            (&["1.1.1.1"][..], 1, "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1"], 1, "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
            (&["6.6.6.6", "1.1.1.1", "2.2.2.2"], 2, "1.1.1.1"),
            (&["6.6.6.6, 1.1.1.1:4711"], 1, "1.1.1.1"),
            (&["[2001:db8::1]:4711"], 1, "2001:db8::1"),
            (&["[2001:db8::1]"], 1, "2001:db8::1"),
            (&["::ffff:1.1.1.1"], 1, "1.1.1.1"),
            (&[], 1, PEER),
            (&["1.1.1.1"], 2, "1.1.1.1"),
            (&["unknown"], 1, PEER),
            (&["unknown, 2.2.2.2"], 2, "2.2.2.2"),
            (&["1.1.1.1, "], 1, PEER),
            (&[""], 1, PEER),
        ] {
            assert_eq!(client(lines, hops), expected, "{lines:?} {hops}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_counted_as_one_and_ipv4_addresses_are_not() {
        let counted = |text: &str| Client { address: text.parse().unwrap(), is_told: false }.counted();
        assert_eq!(counted("2001:db8:1:2::1"), counted("2001:db8:1:2:ffff::9"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_ne!(counted("1.2.3.4"), counted("1.2.3.5"));
    }

    proptest! {
        #[test]
        fn what_stands_left_of_the_trusted_entries_never_matters(left in "[ -~]{0,60}", hops in 1_u8..4) {
            let trusted = ["1.1.1.1", "2.2.2.2", "3.3.3.3"];
            let right = trusted[3 - usize::from(hops)..].join(", ");
            let line = format!("{left}, {right}");
            prop_assert_eq!(client(&[&line], hops), trusted[3 - usize::from(hops)]);
        }
    }
}
