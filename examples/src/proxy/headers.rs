//! Which headers pass, and which are written anew.
//!
//! What is meant for one connection goes no further (RFC 9110, 7.6.1). A request tells its upstream
//! who sent it: `X-Forwarded-For` grows by the client's address, `X-Forwarded-Host` and
//! `X-Forwarded-Proto` are set unless a proxy before did, and `Via` grows, as a gateway's must
//! (7.6.3). An answer gets nothing new.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Meant for one connection, whether `Connection` names them or not.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request's way to its upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// What the client speaks.
    pub(crate) version: Version,
    /// The authority of the request's target, which goes before its `Host`.
    pub(crate) authority: Option<&'a Authority>,
    /// Whether the request has a body.
    pub(crate) body: bool,
    /// Whether the upstream is spoken to by HTTP/2.
    pub(crate) http2: bool,
}

/// Whether the client wants this connection to become one of web sockets.
pub(crate) fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    lists(headers, &UPGRADE, b"websocket")
}

/// Makes of a client's headers those for its upstream; `Host` is left to the client that sends them.
pub(crate) fn to_upstream(headers: &mut HeaderMap, hop: Hop<'_>) {
    let trailers = lists(headers, &TE, b"trailers");
    remove_hop_by_hop(headers);
    let named = headers.remove(HOST);
    let host = hop.authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok()).or(named);
    if let (Some(host), Entry::Vacant(place)) = (host, headers.entry(FORWARDED_HOST)) {
        place.insert(host);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    join(headers, &FORWARDED_FOR, ", ", Some(&hop.peer.to_canonical().to_string()));
    let via = match hop.version {
        Version::HTTP_10 => "1.0 dynamo-metrics",
        Version::HTTP_2 => "2 dynamo-metrics",
        _ => "1.1 dynamo-metrics",
    };
    join(headers, &VIA, ", ", Some(via));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if hop.http2 {
        return;
    }
    // HTTP/2 may cut cookies apart, HTTP/1.1 must not (RFC 9113, 8.2.3).
    join(headers, &COOKIE, "; ", None);
    if trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    // Else hyper sends the body of a GET only if its length is known.
    if hop.body && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Removes what is meant for one connection, and what `Connection` says is.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<_> = elements(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    elements(headers, name).any(|element| {
        let token = element.split(|&byte| byte == b';').next().unwrap_or_default();
        token.trim_ascii().eq_ignore_ascii_case(wanted)
    })
}

/// Puts all values of `name` into one, and `more` behind them.
fn join(headers: &mut HeaderMap, name: &HeaderName, between: &str, more: Option<&str>) {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let values: Vec<_> = values.chain(more.map(str::as_bytes)).collect();
    if values.len() < 2 && more.is_none() {
        return;
    }
    if let Ok(value) = HeaderValue::from_bytes(&values.join(between.as_bytes())) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn hop() -> Hop<'static> {
        Hop {
            peer: [192, 0, 2, 1].into(),
            version: Version::HTTP_11,
            authority: None,
            body: false,
            http2: false,
        }
    }

    #[test]
    fn what_is_meant_for_one_connection_goes_no_further() {
        let mut sent = headers(&[
            ("connection", b"close, X-Mine"),
            ("connection", b"\xff, keep-alive,"),
            ("keep-alive", b"timeout=5"),
            ("proxy-connection", b"keep-alive"),
            ("transfer-encoding", b"gzip, chunked"),
            ("upgrade", b"h2c"),
            ("x-mine", b"1"),
            ("x-other", b"caf\xe9"),
        ]);
        remove_hop_by_hop(&mut sent);
        assert_eq!(sent, headers(&[("x-other", b"caf\xe9")]));
    }

    #[test]
    fn an_upstream_is_told_who_asks_and_by_whom() {
        let mut sent = headers(&[("host", b"models.example")]);
        to_upstream(&mut sent, hop());
        let told = headers(&[
            ("x-forwarded-host", b"models.example"),
            ("x-forwarded-proto", b"http"),
            ("x-forwarded-for", b"192.0.2.1"),
            ("via", b"1.1 dynamo-metrics"),
        ]);
        assert_eq!(sent, told);

        let authority = Authority::from_static("a.example:81");
        let mut again = headers(&[
            ("x-forwarded-for", b"198.51.100.1"),
            ("x-forwarded-for", b"198.51.100.2"),
            ("x-forwarded-proto", b"https"),
            ("via", b"2 other"),
        ]);
        let hop = Hop { version: Version::HTTP_2, authority: Some(&authority), ..hop() };
        to_upstream(&mut again, hop);
        assert_eq!(again["x-forwarded-host"], "a.example:81");
        assert_eq!(again["x-forwarded-proto"], "https");
        assert_eq!(again["x-forwarded-for"], "198.51.100.1, 198.51.100.2, 192.0.2.1");
        assert_eq!(again["via"], "2 other, 2 dynamo-metrics");
    }

    #[test]
    fn trailers_cookies_and_bodies_are_written_as_the_upstreams_protocol_has_them() {
        let sent =
            headers(&[("te", b"gzip;q=0.5, Trailers"), ("cookie", b"a=1"), ("cookie", b"b")]);
        let mut http1 = sent.clone();
        to_upstream(&mut http1, Hop { body: true, ..hop() });
        assert_eq!(
            (&http1["te"], &http1["connection"]),
            (&"trailers".parse().unwrap(), &"te".parse().unwrap())
        );
        assert_eq!(http1["cookie"], "a=1; b");
        assert_eq!(http1["transfer-encoding"], "chunked");
        let mut http2 = sent;
        to_upstream(&mut http2, Hop { body: true, http2: true, ..hop() });
        assert_eq!(http2["te"], "trailers");
        assert_eq!(http2.get_all("cookie").iter().count(), 2);
        assert!(!http2.contains_key("connection") && !http2.contains_key("transfer-encoding"));
    }

    #[test]
    fn a_web_socket_is_told_from_other_upgrades() {
        assert!(asks_for_web_socket(&headers(&[("upgrade", b"h2c, WebSocket")])));
        assert!(!asks_for_web_socket(&headers(&[("upgrade", b"h2c")])));
    }
}
