//! Addresses by interface, asked from the kernel over netlink: the files under `/proc` do not
//! say which interface an IPv4 address belongs to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

// From linux/netlink.h and linux/rtnetlink.h.
const DONE: u16 = 3;
const ERROR: u16 = 2;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESSES: u16 = 22;
const REQUEST_DUMP: u16 = 0x301;
const MESSAGE_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ATTRIBUTE_HEADER: usize = 4;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// IPv4 and IPv6 addresses of every interface, loopback included.
pub(super) fn by_interface() -> io::Result<BTreeMap<String, Vec<String>>> {
    let names = interface_names()?;
    let mut addresses = BTreeMap::<String, Vec<String>>::new();
    for (index, address) in all()? {
        if let Some(name) = names.get(&index) {
            addresses
                .entry(name.clone())
                .or_default()
                .push(address.to_string());
        }
    }
    Ok(addresses)
}

fn interface_names() -> io::Result<BTreeMap<u32, String>> {
    let mut names = BTreeMap::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        let index = fs::read_to_string(entry.path().join("ifindex")).unwrap_or_default();
        if let (Ok(index), Ok(name)) = (index.trim().parse(), entry.file_name().into_string()) {
            names.insert(index, name);
        }
    }
    Ok(names)
}

fn all() -> io::Result<Vec<(u32, IpAddr)>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if parse(&buffer[..length], &mut found) == Dump::Over {
            return Ok(found);
        }
    }
}

/// Whether more datagrams of the kernel's answer follow.
#[derive(Debug, PartialEq, Eq)]
enum Dump {
    GoesOn,
    Over,
}

fn request() -> Vec<u8> {
    let length = u32::try_from(MESSAGE_HEADER + ADDRESS_HEADER).expect("24 fits");
    let mut request = Vec::new();
    request.extend(length.to_ne_bytes());
    request.extend(GET_ADDRESSES.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    // Sequence number, port, and the address header: zero means any family and interface.
    request.resize(MESSAGE_HEADER + ADDRESS_HEADER, 0);
    request
}

/// Reads one datagram: messages one after another, each padded to four bytes.
fn parse(mut datagram: &[u8], found: &mut Vec<(u32, IpAddr)>) -> Dump {
    if datagram.is_empty() {
        return Dump::Over;
    }
    while let (Some(length), Some(kind)) = (u32_at(datagram, 0), u16_at(datagram, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = datagram.get(MESSAGE_HEADER..length) else {
            return Dump::Over;
        };
        match kind {
            DONE | ERROR => return Dump::Over,
            NEW_ADDRESS => found.extend(address(message)),
            _ => {}
        }
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Dump::GoesOn
}

/// The interface and address of one message. On a point-to-point link `ADDRESS` is the other
/// end's and `LOCAL` our own, so the latter is preferred.
fn address(message: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32_at(message, 4)?;
    let mut attributes = message.get(ADDRESS_HEADER..)?;
    let mut found = None;
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        let address = <[u8; 4]>::try_from(value)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from));
        match (kind, address) {
            (LOCAL, Ok(address)) => return Some((index, address)),
            (ADDRESS, Ok(address)) => found = Some((index, address)),
            _ => {}
        }
        attributes = attributes
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    found
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_loopback_address() {
        let addresses = by_interface().unwrap();
        assert!(
            addresses["lo"].contains(&"127.0.0.1".to_owned()),
            "{addresses:?}"
        );
    }

    proptest! {
        #[test]
        fn no_datagram_panics_or_hangs(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            lengths in proptest::collection::vec(0_u8..60, 0..4),
        ) {
            // Plausible lengths reach further than random ones.
            for (at, length) in lengths.into_iter().enumerate() {
                if let Some(header) = bytes.get_mut(at * 16..at * 16 + 6) {
                    header.copy_from_slice(&[length, 0, 0, 0, 20, 0]);
                }
            }
            parse(&bytes, &mut Vec::new());
            address(&bytes);
        }
    }
}
