//! Checks over all objects together: what only shows when two of them are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::address::Cidr;
use crate::claim::{Claim, Claimed, EngineNameSort};
use crate::diagnostic::{Diagnostic, Span};
use crate::kinds::{Kind, KindSpec};
use crate::object::{AnyObject, ObjectKey};
use crate::primitive::{HostPort, Protocol};
use crate::suggestion::nearest;

/// The code of a reference to an object that no manifest defines.
pub const UNDEFINED_REFERENCE: &str = "E0217";
/// How many names of what is defined a hint lists.
const MAX_LISTED: usize = 10;
/// For how many undefined references a suggestion is looked for: that compares with every name there is.
const MAX_SUGGESTIONS: usize = 100;

/// Every fault that concerns more than one object. Each diagnostic names one object, so that the caller can refuse just that
/// one: two objects that clash get one each. Its place is the file and the first line of the object.
///
/// An undefined reference (`E0217`) is a warning, because the object may come with another file and until then the other
/// object waits; a command that sees every file makes it an error with [`Diagnostic::into_error`].
///
/// The cost is that of sorting: it does not grow with the square of the number of objects.
pub fn crosscheck(objects: &[&AnyObject]) -> Vec<Diagnostic> {
    let claims: Vec<(&AnyObject, Vec<Claim>)> =
        objects.iter().map(|object| (*object, object.spec.claims(&object.metadata))).collect();
    let mut faults = Vec::new();
    check_duplicates(objects, &mut faults);
    check_engine_names(&claims, &mut faults);
    check_host_ports(&claims, &mut faults);
    check_references(objects, &claims, &mut faults);
    check_published_inside(objects, &claims, &mut faults);
    check_cycles(&claims, &mut faults);
    check_subnets(&claims, &mut faults);
    check_addresses(&claims, &mut faults);
    faults.sort_by(|a, b| a.spans.cmp(&b.spans).then_with(|| a.field.cmp(&b.field)).then_with(|| a.code.cmp(&b.code)));
    faults
}

/// A fault of one object, with the other object as a related place.
fn between(object: &AnyObject, other: &AnyObject, label: &str, fault: Diagnostic) -> Diagnostic {
    fault.of(&object.key()).span(span_of(object, "")).span(span_of(other, label))
}

fn span_of(object: &AnyObject, label: &str) -> Span {
    Span {
        file: object.source.file.clone(),
        line: object.source.line,
        column: 1,
        length: 0,
        snippet: String::new(),
        label: label.to_owned(),
    }
}

fn place_of(object: &AnyObject) -> String {
    format!("{}:{}", object.source.file, object.source.line)
}

fn check_duplicates(objects: &[&AnyObject], faults: &mut Vec<Diagnostic>) {
    let mut by_key: BTreeMap<ObjectKey, Vec<&AnyObject>> = BTreeMap::new();
    for object in objects {
        by_key.entry(object.key()).or_default().push(object);
    }
    for (key, same) in by_key.iter().filter(|(_, same)| same.len() > 1) {
        for (index, object) in same.iter().enumerate() {
            let other = same[usize::from(index == 0)];
            let message = format!("{key} is defined twice, also in {}", place_of(other));
            let fault = Diagnostic::error("E0202", message).hint("remove one, or give it another name or namespace");
            faults.push(between(object, other, "also defined here", fault.at("metadata.name")));
        }
    }
}

fn check_engine_names(claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let mut by_name: BTreeMap<(EngineNameSort, &str), Vec<(&AnyObject, &str)>> = BTreeMap::new();
    for (object, claim) in each(claims) {
        if let Claimed::EngineName(sort, name) = &claim.what {
            by_name.entry((*sort, name)).or_default().push((object, &claim.field));
        }
    }
    for ((sort, name), owners) in by_name {
        for (index, (object, field)) in owners.iter().enumerate() {
            let Some((other, _)) = owners.get(usize::from(index == 0)) else { continue };
            // The same object twice is a fault of its own.
            if object.key() == other.key() {
                continue;
            }
            let message = format!("the {} `{name}` of the Engine is also that of {}", sort.as_str(), other.key());
            let fault = Diagnostic::error("E0202", message).hint("give one of them another name").at(*field);
            faults.push(between(object, other, "also claimed here", fault));
        }
    }
}

/// The address that a port is published at, by which object, in which claim.
type Publisher<'a> = (IpAddr, &'a AnyObject, &'a Claim);

fn check_host_ports(claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let mut by_port: BTreeMap<(u16, Protocol, bool), Vec<Publisher<'_>>> = BTreeMap::new();
    for (object, claim) in each(claims) {
        if let Claimed::HostPort(HostPort { ip, port }, protocol) = claim.what {
            by_port.entry((port, protocol, ip.is_ipv4())).or_default().push((ip, object, claim));
        }
    }
    for ((port, protocol, _), owners) in by_port {
        if owners.len() < 2 {
            continue;
        }
        let mut by_address: BTreeMap<IpAddr, Vec<&AnyObject>> = BTreeMap::new();
        for (ip, object, _) in &owners {
            by_address.entry(*ip).or_default().push(object);
        }
        for (ip, object, claim) in &owners {
            let key = object.key();
            let is_other = |other: &&&AnyObject| other.key() != key;
            let same = by_address.get(ip).into_iter().flatten().find(is_other);
            let wildcard =
                || by_address.iter().filter(|(ip, _)| ip.is_unspecified()).flat_map(|(_, all)| all).find(is_other);
            let any = || by_address.values().flatten().find(is_other);
            let Some(other) = same.or_else(wildcard).or_else(|| if ip.is_unspecified() { any() } else { None }) else {
                continue;
            };
            let protocol = protocol.as_str();
            let message = format!(
                "port {port}/{protocol} of the host is also published by {} at {}",
                other.key(),
                place_of(other)
            );
            let fault = Diagnostic::error("E0212", message).hint("publish one of them at another port or address");
            faults.push(between(object, other, "also published here", fault.at(claim.field.clone())));
        }
    }
}

fn check_references(objects: &[&AnyObject], claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let defined: BTreeSet<ObjectKey> = objects.iter().map(|object| object.key()).collect();
    let mut undefined_count = 0;
    for (object, claim) in each(claims) {
        let (Claimed::Reference(key) | Claimed::Dependency(key)) = &claim.what else { continue };
        if defined.contains(key) {
            continue;
        }
        undefined_count += 1;
        if undefined_count > MAX_SUGGESTIONS {
            let fault =
                Diagnostic::warning(UNDEFINED_REFERENCE, format!("{key} is not defined")).at(claim.field.clone());
            faults.push(fault.of(&object.key()).span(span_of(object, "")));
            continue;
        }
        let same_kind: Vec<&ObjectKey> = defined.iter().filter(|known| known.kind == key.kind).collect();
        let neighbours: Vec<&str> = same_kind
            .iter()
            .filter(|known| known.namespace == key.namespace)
            .map(|known| known.name.as_str())
            .collect();
        let elsewhere = same_kind.iter().find(|known| known.name == key.name);
        let mut fault =
            Diagnostic::warning(UNDEFINED_REFERENCE, format!("{key} is not defined")).at(claim.field.clone());
        if let Some(name) = nearest(key.name.as_str(), neighbours.iter().copied()) {
            fault = fault.hint(format!("did you mean `{name}`?"));
        } else if let Some(known) = elsewhere {
            fault = fault.hint(format!("it is defined in the namespace `{}`", known.namespace));
        }
        let listed: Vec<String> = neighbours.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
        fault = if listed.is_empty() {
            fault.hint(format!("no {} is defined in the namespace `{}`", key.kind, key.namespace))
        } else {
            fault.hint(format!("defined: {}", listed.join(", ")))
        };
        faults.push(fault.of(&object.key()).span(span_of(object, "")));
    }
}

/// A port that is published where no network leads out is reached by nobody: the Engine takes it, and forwards nothing. A warning, because
/// the network may be joined to another one day, and the container serves its neighbours meanwhile.
fn check_published_inside(objects: &[&AnyObject], claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let is_internal = |object: &&&AnyObject| matches!(&object.spec, KindSpec::Network(network) if network.internal);
    let internal: BTreeSet<ObjectKey> = objects.iter().filter(is_internal).map(|object| object.key()).collect();
    for (object, claims) in claims {
        let mut networks = claims.iter().filter_map(|claim| {
            let Claimed::Reference(key) = &claim.what else { return None };
            (key.kind == Kind::Network).then_some(key)
        });
        let published = claims.iter().find(|claim| matches!(claim.what, Claimed::HostPort(..)));
        let Some(published) = published else { continue };
        let (first, is_inside) = (networks.next(), |key: &ObjectKey| internal.contains(key));
        let Some(first) = first.filter(|key| is_inside(key) && networks.all(is_inside)) else { continue };
        let message = format!(
            "a port is published, and {first}, as every network that it joins, is internal: nobody outside reaches it"
        );
        let fault = Diagnostic::warning("E0214", message)
            .hint("join a Network that is not internal as well, or remove `publish`");
        faults.push(fault.at(published.field.clone()).of(&object.key()).span(span_of(object, "")));
    }
}

/// Finds the cycles: what is left after taking away, again and again, every object that nothing left depends on or that
/// depends on nothing left.
fn check_cycles(claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let mut edges: BTreeMap<ObjectKey, Vec<(ObjectKey, &str, &AnyObject)>> = BTreeMap::new();
    for (object, claim) in each(claims) {
        if let Claimed::Dependency(key) = &claim.what
            && *key != object.key()
        {
            edges.entry(object.key()).or_default().push((key.clone(), &claim.field, object));
        }
    }
    let mut finished: BTreeSet<ObjectKey> = BTreeSet::new();
    let mut reported: BTreeSet<ObjectKey> = BTreeSet::new();
    for start in edges.keys() {
        // Depth first, with the path in hand and an index into each one's edges.
        let mut path: Vec<(&ObjectKey, usize)> = vec![(start, 0)];
        let mut on_path: BTreeMap<&ObjectKey, usize> = BTreeMap::from([(start, 0)]);
        if finished.contains(start) {
            continue;
        }
        while let Some((key, index)) = path.last().copied() {
            let Some((next, ..)) = edges.get(key).and_then(|edges| edges.get(index)) else {
                finished.insert(key.clone());
                on_path.remove(key);
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            if let Some(from) = on_path.get(next) {
                let members: Vec<&ObjectKey> = path[*from..].iter().map(|(key, _)| *key).collect();
                report_cycle(&members, &edges, &mut reported, faults);
            } else if !finished.contains(next) {
                on_path.insert(next, path.len());
                path.push((next, 0));
            }
        }
    }
}

type Edges<'a> = BTreeMap<ObjectKey, Vec<(ObjectKey, &'a str, &'a AnyObject)>>;

/// One diagnostic for each member that has none yet, with the cycle as seen from it.
fn report_cycle(
    members: &[&ObjectKey],
    edges: &Edges<'_>,
    reported: &mut BTreeSet<ObjectKey>,
    faults: &mut Vec<Diagnostic>,
) {
    for (index, key) in members.iter().enumerate() {
        let next = members[(index + 1) % members.len()];
        let edge = edges.get(*key).and_then(|edges| edges.iter().find(|(to, ..)| to == next));
        let Some((_, field, object)) = edge else { continue };
        if !reported.insert((*key).clone()) {
            continue;
        }
        let mut names: Vec<String> = (0..members.len().min(MAX_LISTED))
            .map(|step| members[(index + step) % members.len()].to_string())
            .collect();
        if members.len() > MAX_LISTED {
            names.push("…".to_owned());
        }
        names.push(key.to_string());
        let fault = Diagnostic::error("E0218", format!("dependencies form a cycle: {}", names.join(" -> ")));
        let fault = fault.hint("remove one of these dependencies").at(*field);
        faults.push(fault.of(key).span(span_of(object, "")));
    }
}

/// A subnet and who claims it.
#[derive(Clone, Copy)]
struct ClaimedSubnet<'a> {
    range: Cidr,
    object: &'a AnyObject,
    field: &'a str,
}

/// Sorts the ranges by their beginning, wider ones first. Two ranges either are apart or one encloses the other, so each needs to
/// be compared with the widest one so far only.
fn check_subnets(claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let mut subnets: Vec<ClaimedSubnet<'_>> = Vec::new();
    for (object, claim) in each(claims) {
        if let Claimed::Subnet(range) = claim.what {
            subnets.push(ClaimedSubnet { range, object, field: &claim.field });
        }
    }
    let (first, last) =
        (|subnet: &ClaimedSubnet<'_>| subnet.range.bits().0, |subnet: &ClaimedSubnet<'_>| subnet.range.bits().1);
    subnets.sort_by_key(|subnet| (subnet.range.is_ipv4(), first(subnet), std::cmp::Reverse(last(subnet))));
    let mut widest: Option<usize> = None;
    let mut reported: BTreeSet<usize> = BTreeSet::new();
    for (index, subnet) in subnets.iter().enumerate() {
        let Some(other) = widest.filter(|other| subnets[*other].range.encloses(&subnet.range)) else {
            widest = Some(index);
            continue;
        };
        let enclosing = &subnets[other];
        if enclosing.object.key() == subnet.object.key() {
            continue;
        }
        faults.push(overlap(subnet, enclosing));
        if reported.insert(other) {
            faults.push(overlap(enclosing, subnet));
        }
    }
}

fn overlap(mine: &ClaimedSubnet<'_>, theirs: &ClaimedSubnet<'_>) -> Diagnostic {
    let owner = theirs.object;
    let message =
        format!("the subnet `{}` overlaps `{}` of {} at {}", mine.range, theirs.range, owner.key(), place_of(owner));
    let fault = Diagnostic::error("E0220", message).hint("choose ranges that are apart").at(mine.field);
    between(mine.object, owner, "overlaps this one", fault)
}

fn check_addresses(claims: &[(&AnyObject, Vec<Claim>)], faults: &mut Vec<Diagnostic>) {
    let mut subnets: BTreeMap<ObjectKey, Vec<Cidr>> = BTreeMap::new();
    for (object, claim) in each(claims) {
        let ranges = subnets.entry(object.key()).or_default();
        if let Claimed::Subnet(range) = claim.what {
            ranges.push(range);
        }
    }
    let mut holders: BTreeMap<(&ObjectKey, IpAddr), &AnyObject> = BTreeMap::new();
    for (object, claim) in each(claims) {
        let Claimed::Address(network, address) = &claim.what else { continue };
        if let Some(ranges) = subnets.get(network) {
            let problem = if ranges.is_empty() {
                Some(format!("a fixed address needs a subnet, and {network} has none"))
            } else {
                let is_usable =
                    |range: &&Cidr| range.contains(*address) && *address != range.first() && *address != range.last();
                let outside = || format!("the address `{address}` is not one of a container in {network}");
                if ranges.iter().any(|range| is_usable(&range)) { None } else { Some(outside()) }
            };
            if let Some(problem) = problem {
                let ranges: Vec<String> = ranges.iter().map(|range| format!("`{range}`")).collect();
                let hint = if ranges.is_empty() {
                    "add `ipam.subnets` to the network".to_owned()
                } else {
                    format!("its subnets: {}", ranges.join(", "))
                };
                let fault = Diagnostic::error("E0221", problem).hint(hint).at(claim.field.clone());
                faults.push(fault.of(&object.key()).span(span_of(object, "")));
                continue;
            }
        }
        if let Some(other) = holders.insert((network, *address), object)
            && other.key() != object.key()
        {
            for (one, two) in [(object, other), (other, object)] {
                let message = format!("the address `{address}` is also that of {} at {}", two.key(), place_of(two));
                let fault = Diagnostic::error("E0221", message).hint("choose another address").at(claim.field.clone());
                faults.push(between(one, two, "also used here", fault));
            }
        }
    }
}

fn each<'c, 'o>(claims: &'c [(&'o AnyObject, Vec<Claim>)]) -> impl Iterator<Item = (&'o AnyObject, &'c Claim)> {
    claims.iter().flat_map(|(object, claims)| claims.iter().map(|claim| (*object, claim)))
}
