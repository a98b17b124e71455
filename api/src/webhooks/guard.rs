//! Which addresses changes may be sent to. Pure: nothing is resolved here; `deliver.rs` asks at the moment of connecting, of the
//! very address that it connects to, so that a name which later points elsewhere gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemas::access::MAX_URL_BYTES;
use url::{Host, Url};

/// What an installation allows beyond public https addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Addresses without TLS.
    pub http: bool,
    /// Addresses of this machine and of its private networks.
    pub private: bool,
}

/// Ports of services that take commands line by line, or that an HTTP request could confuse: mail, shells, databases, the log.
const REFUSED_PORTS: &[u16] = &[
    0, 7, 19, 21, 22, 23, 25, 53, 110, 111, 119, 135, 139, 143, 389, 445, 465, 513, 514, 587, 636, 993, 995, 1433,
    1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6379, 6443, 8086, 9042, 9092, 9142, 9200,
    9300, 10_250, 10_255, 11_211, 27_017,
];

/// Reads an address to send to: `Err` says what is wrong with it and what is right, without its text.
pub fn read(text: &str, allowed: Allowed) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("it has {} bytes (expected at most {MAX_URL_BYTES})", text.len()));
    }
    let mut url = Url::parse(text).map_err(|error| format!("it is no URL: {error} (expected https://…)"))?;
    match url.scheme() {
        "https" => {}
        "http" if allowed.http => {}
        "http" => return Err("it is not https (api.webhooks.allow_http is off)".to_owned()),
        other => return Err(format!("its scheme is {other} (expected https)")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password (expected none: verify the signature instead)".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it has a fragment (expected none: it would not be sent)".to_owned());
    }
    if let Some(port) = url.port().filter(|port| REFUSED_PORTS.contains(port)) {
        return Err(format!("port {port} is another service's (expected 443 or a port of your own)"));
    }
    // A name with a dot at its end is the same name; certificates are written without.
    let bare = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned);
    if let Some(bare) = bare {
        url.set_host(Some(&bare)).map_err(|error| format!("its host is none: {error}"))?;
    }
    if url.host_str().is_some_and(|host| host.split('.').any(str::is_empty)) {
        return Err("its host has an empty label (expected a name without '..')".to_owned());
    }
    let refused = match url.host() {
        None => return Err("it has no host".to_owned()),
        Some(Host::Ipv4(address)) => why_not_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => why_not_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_internal(name).then_some("a name of private networks"),
    };
    if let Some(what) = refused.filter(|_| !allowed.private) {
        return Err(format!("its host is {what} (api.webhooks.allow_private_addresses is off)"));
    }
    if url.as_str().len() > MAX_URL_BYTES {
        return Err(format!("it has more than {MAX_URL_BYTES} bytes when it is percent-encoded"));
    }
    Ok(url)
}

/// Names that mean something in private networks alone (RFC 6761, RFC 6762, RFC 9476, ICANN's `.internal`).
fn is_internal(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !name.contains('.')
        || ["localhost", "local", "internal", "home", "lan", "corp", "localdomain", "onion"].contains(&last)
        || name.ends_with(".home.arpa")
}

/// What kind of address it is, if it is none of the public internet. After the IANA registries of special-purpose addresses.
pub fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => why_not_public_v4(address),
        IpAddr::V6(address) => why_not_public_v6(address),
    }
}

fn why_not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "unspecified",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (127, ..) => "this machine",
        (100, 64..=127, _) => "a carrier's private address",
        // Where clouds tell their secrets.
        (169, 254, _) => "a link-local address",
        (192, 0, 0) => "a protocol assignment",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "a documentation address",
        (192, 88, 99) => "a 6to4 relay",
        (192, 31, 196) | (192, 52, 193) | (192, 175, 48) => "a special-purpose address",
        (198, 18..=19, _) => "a benchmarking address",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved address",
        _ => return None,
    })
}

fn why_not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let low = |at: usize| {
        let [a, b] = segments[at].to_be_bytes();
        let [c, d] = segments[at + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        // IPv4 in IPv6: what is in there counts. Mapped ones never cross a network, so even public ones are someone's trick.
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(why_not_public_v4(low(6)).unwrap_or("an IPv4-mapped address")),
        [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => Some("an IPv4-compatible address"),
        // NAT64 (RFC 6052): a network without IPv4 reaches the IPv4 internet so.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => why_not_public_v4(low(6)),
        [0x64, 0xff9b, ..] => Some("a local translation address"),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(why_not_public_v4(low(1)).unwrap_or("a 6to4 address")),
        // Teredo, ORCHID, benchmarking and other protocol assignments.
        [0x2001, 0..=0x1ff, ..] => Some("a protocol assignment"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("a documentation address"),
        [0x100, 0, 0, ..] => Some("a discard-only address"),
        [0x5f00, ..] => Some("a segment-routing address"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // All that is given out for the public internet so far.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Allowed = Allowed { http: false, private: false };

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.1",
            "198.51.101.1",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2a00:1450:4001::1",
            "64:ff9b::8.8.8.8",
            "3ffe::1",
        ];
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
            "8000::1",
            "e000::1",
        ];
        for text in public {
            assert_eq!(why_not_public(text.parse().unwrap()), None, "{text}");
        }
        for text in private {
            assert!(why_not_public(text.parse().unwrap()).is_some(), "{text}");
        }
        assert!(public.len() + private.len() >= 60);
    }

    #[test]
    fn a_url_is_read_as_it_will_be_asked() {
        for (text, read_as) in [
            ("https://example.com/hook?x=1", "https://example.com/hook?x=1"),
            ("HTTPS://Example.COM", "https://example.com/"),
            ("https://example.com./a", "https://example.com/a"),
            ("https://example.com:8443/a", "https://example.com:8443/a"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ] {
            assert_eq!(read(text, PUBLIC).as_ref().map(Url::as_str), Ok(read_as), "{text}");
        }
    }

    #[test]
    fn an_address_in_disguise_is_refused() {
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
        for text in [
            "",
            "x",
            "example.com",
            "//example.com",
            "http://example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://user@example.com",
            "https://user:pass@example.com",
            "https://@127.0.0.1",
            "https://example.com/#x",
            "https://example.com:22/",
            "https://example.com:0/",
            "https://127.0.0.1",
            "https://127.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://017700000001",
            "https://0177.0.0.1",
            "https://127.0.0.1.",
            "https://0/",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:7f00:1]",
            "https://[fe80::1]",
            "https://localhost",
            "https://LOCALHOST.",
            "https://a.localhost",
            "https://printer.local",
            "https://db.internal",
            "https://intranet",
            "https://169.254.169.254/latest/meta-data",
            "https://１２７.0.0.1",
            "https://127。0。0。1",
            "https://router.home.arpa",
            &long,
        ] {
            assert!(read(text, PUBLIC).is_err(), "{text}: {:?}", read(text, PUBLIC));
        }
    }

    #[test]
    fn an_installation_may_allow_what_is_its_own() {
        let all = Allowed { http: true, private: true };
        for text in ["http://127.0.0.1:9999/a", "http://localhost:81/", "https://[::1]/", "https://intranet/x"] {
            assert!(read(text, all).is_ok(), "{text}");
            assert!(read(text, PUBLIC).is_err(), "{text}");
        }
        assert!(read("http://user@localhost/", all).is_err());
        assert!(read("http://10.0.0.1/", Allowed { http: true, private: false }).unwrap_err().contains("private"));
    }

    #[test]
    fn what_is_refused_never_repeats_a_password() {
        let said = read("https://user:hunter2@example.com", PUBLIC).unwrap_err();
        assert!(!said.contains("hunter2"), "{said}");
    }
}
