//! What the network lets through: where others may reach this node, and which of them answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::Duration,
};

use consort_node::{addresses, config::Config, identity::member_id};
use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, multiaddr::Protocol};

use super::{Finding, files::Found};

/// How long an address has to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Addresses that are tried at the same time.
const AT_ONCE: usize = 64;

/// A port that a transport uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    Tcp(SocketAddr),
    Udp(SocketAddr),
}

pub(super) fn examine_listening(config: &Config, runs: bool, findings: &mut Vec<Finding>) {
    if config.listen.is_empty() {
        let told = "listens nowhere: this node dials the others, and those that cannot be dialled either meet \
                    it through a member that relays";
        findings.push(Finding::note("listen", told));
    }
    let mut open = BTreeSet::new();
    for address in &config.listen {
        match (port(address), runs) {
            (None, _) => findings.push(Finding::wrong(
                "listen",
                format!("{address} is nothing that this program listens on"),
                "write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1 (or ip6)",
            )),
            (Some(port), true) => {
                open.insert(port);
                findings
                    .push(Finding::note("listen", format!("{address} not tried: the running node has it")));
            }
            (Some(port), false) => match bind(port) {
                Ok(()) => {
                    open.insert(port);
                    findings.push(Finding::fine("listen", format!("{address} is free")));
                }
                Err(error) => {
                    let advice = match error.kind() {
                        io::ErrorKind::AddrNotAvailable => {
                            "no interface of this machine has this address: listen on /ip4/0.0.0.0/…, and if it is \
                             the router's, give it as `announce` under [reach]"
                        }
                        _ => "end the program that has the port, or choose another one and tell the members",
                    };
                    findings.push(Finding::wrong("listen", format!("{address}: {error}"), advice));
                }
            },
        }
    }
    for address in &config.reach.announce {
        let told = format!("others are told to dial {address}");
        findings.push(
            Finding::note("listen", told)
                .advice("it has to lead here: doctor can try it on another member's machine only"),
        );
    }
    examine_outside(config, &open, findings);
    if config.reach.relay {
        let told = "passes connections on for members that nobody can dial, as config.toml says";
        findings.push(Finding::note("relay", told));
    }
    if config.reach.mdns {
        findings.push(Finding::note(
            "nearby",
            "looks for members on the local network by multicast DNS (UDP 5353)",
        ));
    }
}

/// Whether others can come in, as far as one can tell from inside.
fn examine_outside(config: &Config, open: &BTreeSet<Port>, findings: &mut Vec<Finding>) {
    let outside: Vec<String> =
        open.iter().filter(|port| !port.socket().ip().is_loopback()).map(Port::name).collect();
    if outside.is_empty() {
        if !open.is_empty() {
            findings.push(Finding::wrong(
                "open",
                "it listens on this machine's loopback only, so no other machine reaches it",
                "listen on /ip4/0.0.0.0/…, or on nothing (`listen = []`) to be reached through a relay",
            ));
        }
        return;
    }
    let ports = outside.join(" and ");
    let private = own_address().filter(|ip| is_private(*ip));
    let finding = match private {
        Some(ip) => Finding::note("open", format!("this machine's address {ip} is one of a private network")).advice(
            format!(
                "for members outside of it: forward {ports} from the router to {ip}, and give the router's \
                 address as `announce` under [reach]; where that is not possible, set `through_relay = true` there"
            ),
        ),
        None => Finding::note("open", format!("others dial {ports} of this machine"))
            .advice(format!("let {ports} in, in the machine's firewall and that of its network")),
    };
    if !config.reach.through_relay && config.reach.announce.is_empty() {
        findings.push(finding);
    }
}

/// Gives all addresses that are known.
pub(super) fn examine_members(
    home: &Path,
    found: &Found,
    peers: &[Multiaddr],
    findings: &mut Vec<Finding>,
) -> BTreeSet<Multiaddr> {
    let Some(manifest) = &found.manifest else { return peers.iter().cloned().collect() };
    let remembered = addresses::load(&home.join("addresses.json"), manifest);
    let others = manifest.members().iter().filter(|member| Some(member.id) != found.local);
    let mut places: BTreeMap<String, BTreeSet<Multiaddr>> = BTreeMap::new();
    for member in others {
        let listed = member.addresses.iter().filter_map(|text| text.parse().ok());
        let known = listed.chain(remembered.get(&member.id).into_iter().flatten().cloned());
        let given = peers.iter().filter(|address| owner(address) == Some(member.id)).cloned();
        places.entry(member.name.clone()).or_default().extend(known.chain(given));
    }
    let nameless: BTreeSet<Multiaddr> =
        peers.iter().filter(|address| owner(address).is_none()).cloned().collect();
    if !nameless.is_empty() {
        places.entry("whoever is at --peer".to_owned()).or_default().extend(nameless);
    }
    let sockets = places.values().flatten().filter_map(tcp).collect();
    let answers = dial_all(sockets);
    for (name, addresses) in &places {
        findings.push(examine_member(name, addresses, &answers));
    }
    if !answers.is_empty() && answers.values().all(Result::is_err) {
        let ports: BTreeSet<String> = answers.keys().map(|socket| socket.port().to_string()).collect();
        let ports: Vec<String> = ports.into_iter().collect();
        findings.push(Finding::wrong(
            "members",
            "no member answers at any address that is known",
            format!(
                "is this machine's network up, and may it dial out to TCP port {}? If so, ask the others whether \
                 their nodes run and where",
                ports.join(", ")
            ),
        ));
    } else if answers.is_empty() && found.config.as_ref().is_some_and(|config| config.listen.is_empty()) {
        findings.push(Finding::wrong(
            "members",
            "this node listens nowhere and knows no address that it could dial",
            "give one with --peer to `consort run`, or in the manifest",
        ));
    }
    places.into_values().flatten().collect()
}

fn examine_member(
    name: &str,
    addresses: &BTreeSet<Multiaddr>,
    answers: &BTreeMap<SocketAddr, io::Result<()>>,
) -> Finding {
    let tried: Vec<_> =
        addresses.iter().filter_map(|address| Some((address, answers.get(&tcp(address)?)?))).collect();
    if let Some((address, _)) = tried.iter().find(|(_, answer)| answer.is_ok()) {
        return Finding::fine("members", format!("{name} answers at {address}"));
    }
    if let Some((address, Err(error))) = tried.first() {
        return Finding::note("members", format!("{name} does not answer at {address}: {error}")).advice(
            "it may be off, behind a firewall, or somewhere else by now; one member that answers is enough to \
             begin with",
        );
    }
    let is = |test: fn(&Protocol<'_>) -> bool| {
        addresses.iter().any(|address| address.iter().any(|part| test(&part)))
    };
    if is(|part| {
        matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    }) {
        return Finding::wrong(
            "members",
            format!("{name} is given by a host name, and this version looks none up"),
            "have its IP address in the manifest, or give it with --peer",
        );
    }
    if is(|part| matches!(part, Protocol::P2pCircuit)) {
        return Finding::note("members", format!("{name} is reached through a relay"));
    }
    if addresses.is_empty() {
        return Finding::note(
            "members",
            format!("{name} has no address: it dials this node, or others tell where it is"),
        );
    }
    Finding::note("members", format!("{name} is known by QUIC addresses only, which are not tried here"))
}

/// Tries all of them, some at a time.
fn dial_all(sockets: BTreeSet<SocketAddr>) -> BTreeMap<SocketAddr, io::Result<()>> {
    let sockets: Vec<_> = sockets.into_iter().collect();
    let dial = |socket: SocketAddr| TcpStream::connect_timeout(&socket, PATIENCE).map(drop);
    let mut answers = BTreeMap::new();
    for some in sockets.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let dials: Vec<_> =
                some.iter().map(|socket| (*socket, scope.spawn(move || dial(*socket)))).collect();
            for (socket, dialled) in dials {
                let answer = dialled.join().unwrap_or_else(|_| Err(io::Error::other("the attempt failed")));
                answers.insert(socket, answer);
            }
        });
    }
    answers
}

fn owner(address: &Multiaddr) -> Option<MemberId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => member_id(&peer).ok(),
        _ => None,
    }
}

impl Port {
    fn socket(&self) -> SocketAddr {
        match self {
            Self::Tcp(socket) | Self::Udp(socket) => *socket,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Tcp(socket) => format!("TCP port {}", socket.port()),
            Self::Udp(socket) => format!("UDP port {}", socket.port()),
        }
    }
}

fn port(address: &Multiaddr) -> Option<Port> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None | Some(Protocol::P2p(_))) => Some(Port::Tcp((ip, port).into())),
        (Protocol::Udp(port), Some(Protocol::QuicV1)) => Some(Port::Udp((ip, port).into())),
        _ => None,
    }
}

/// Where to dial by TCP, without a relay.
fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match port(address)? {
        Port::Tcp(socket) => Some(socket),
        Port::Udp(_) => None,
    }
}

fn bind(port: Port) -> io::Result<()> {
    match port {
        Port::Tcp(socket) => TcpListener::bind(socket).map(drop),
        Port::Udp(socket) => UdpSocket::bind(socket).map(drop),
    }
}

/// The address from which this machine would send to the outside; nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 of RFC 5737: nobody is there
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// RFC 1918, and RFC 6598 for the providers' own translation.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_link_local() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_known() {
        for private in ["10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "100.127.255.255", "fd00::1"] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["100.63.0.1", "100.128.0.1", "203.0.113.7", "2001:db8::1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn addresses_that_can_be_tried_are_told_from_the_rest() {
        let socket = |text: &str| tcp(&text.parse().unwrap());
        assert_eq!(socket("/ip4/192.0.2.7/tcp/4040"), Some("192.0.2.7:4040".parse().unwrap()));
        for other in [
            "/ip4/192.0.2.7/udp/4040/quic-v1",
            "/dns4/a.example/tcp/4040",
            "/ip4/192.0.2.7/tcp/4040/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq/p2p-circuit",
            "/ip4/192.0.2.7/tcp/4040/ws",
        ] {
            assert_eq!(socket(other), None, "{other}");
        }
    }
}
