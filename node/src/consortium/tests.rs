use std::fs;

use consort_protocol::{
    manifest::{MemberEntry, Policy},
    signing::Identity,
};

use super::*;
use crate::identity::{NodeIdentity, peer_id};

const MEMBERS: u8 = 4;

fn identity(number: u8) -> Identity {
    NodeIdentity::from_secret(&[number + 1; 32]).signing()
}

fn body(members: u8) -> ManifestBody {
    let member = |number| MemberEntry {
        id: identity(number).id(),
        name: format!("member-{number}"),
        addresses: vec![format!("/ip4/10.0.0.{number}/tcp/4040")],
        may_aggregate: number != 3,
    };
    ManifestBody {
        name: "wards".into(),
        epoch: 0,
        previous: None,
        members: (0..members).map(member).collect(),
        policy: Policy { corrupt: Some(1), clip: 2.5, ..Policy::default() },
    }
}

fn signed(body: ManifestBody, by: impl IntoIterator<Item = u8>) -> SignedManifest {
    let mut signed = SignedManifest::new(body);
    by.into_iter().for_each(|number| signed.sign(&identity(number)).unwrap());
    signed
}

/// The text of a manifest that all have signed.
fn text() -> String {
    to_toml(&signed(body(MEMBERS), 0..MEMBERS)).unwrap()
}

fn to_toml(signed: &SignedManifest) -> Result<String, String> {
    Draft::first(signed.clone()).to_toml()
}

fn load_bytes(bytes: &[u8]) -> Result<std::sync::Arc<Manifest>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consortium.toml");
    fs::write(&path, bytes).unwrap();
    load(&path).map(|chain| chain.manifest().clone()).map_err(|error| {
        let message = error.to_string();
        let line = message.strip_prefix(&format!("{}: ", path.display())).expect("the file is named first");
        assert!(!line.contains('\n'), "{line}");
        line.to_owned()
    })
}

/// The error of a text, which must name all of these.
fn refused(text: &str, words: &[&str]) {
    let error = load_bytes(text.as_bytes()).expect_err("it is refused");
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

/// The text with the first occurrence of `from` replaced.
fn edited(from: &str, to: &str) -> String {
    let text = text();
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replacen(from, to, 1)
}

/// 1-based line of the first occurrence.
fn line_of(text: &str, what: &str) -> String {
    let line = text.lines().position(|line| line.contains(what)).unwrap() + 1;
    format!("line {line}")
}

#[test]
fn what_is_written_verifies_and_is_the_same() {
    let signed = signed(body(MEMBERS), 0..MEMBERS);
    let manifest = load_bytes(to_toml(&signed).unwrap().as_bytes()).unwrap();
    assert_eq!(manifest.members(), signed.body.members);
    assert_eq!(manifest.policy(), &signed.body.policy);
    assert_eq!((manifest.name(), manifest.epoch()), ("wards", 0));
    assert_eq!(manifest.digest(), signed.verify().unwrap().digest());
}

#[test]
fn comments_spaces_and_the_order_of_keys_and_members_change_nothing() {
    let text = text();
    let (head, members) = text.split_once("[[member]]").unwrap();
    let (members, signatures) = members.split_once("[signatures]").unwrap();
    let mut members: Vec<&str> = members.split("[[member]]").collect();
    members.reverse();
    let shuffled = format!(
        "# ours\n{head}\n[signatures]{signatures}\n[[member]]{}",
        members.join("\n\n[[member]]  # next\n")
    );
    assert_ne!(shuffled, text);
    assert_eq!(
        load_bytes(shuffled.as_bytes()).unwrap().digest(),
        load_bytes(text.as_bytes()).unwrap().digest()
    );
}

#[test]
fn defaults_of_a_member_need_not_be_written() {
    let text = text().lines().filter(|line| *line != "may_aggregate = true").collect::<Vec<_>>().join("\n");
    assert!(load_bytes(text.as_bytes()).is_ok());
}

#[test]
fn what_was_edited_after_signing_is_refused() {
    for (from, to) in [
        ("\"wards\"", "\"words\""),
        ("10.0.0.2", "10.0.0.9"),
        ("may_aggregate = false", "may_aggregate = true"),
        ("clip = 2.5", "clip = 3.5"),
    ] {
        refused(&edited(from, to), &["edited after signing"]);
    }
    let renamed = edited("\"member-2\"", "\"mallory\"");
    refused(&renamed, &["edited after signing"]);
}

#[test]
fn signatures_must_be_there_and_their_own() {
    let unsigned = to_toml(&signed(body(MEMBERS), [])).unwrap();
    refused(&unsigned, &["not signed by member-"]);
    let half = to_toml(&signed(body(MEMBERS), [0, 1, 3])).unwrap();
    refused(&half, &["not signed by member-2"]);
    let mut swapped = signed(body(MEMBERS), 0..MEMBERS);
    let of_another = swapped.signatures[&identity(0).id()];
    swapped.signatures.insert(identity(1).id(), of_another);
    refused(&to_toml(&swapped).unwrap(), &["member member-1:", "does not verify"]);
}

#[test]
fn a_signature_that_is_none_names_its_member() {
    let by = text().split("[signatures]\n").nth(1).unwrap().to_owned();
    let hex = by.split('"').nth(1).unwrap();
    assert_eq!(hex.len(), 128);
    for replacement in ["zz", "00ff"] {
        refused(&edited(hex, replacement), &["that of member-", "64 bytes in hexadecimal"]);
    }
    let peer = by.split(' ').next().unwrap();
    refused(&edited(&format!("{peer} ="), "somebody ="), &["somebody is not the peer id"]);
    let stranger = peer_id(&identity(9).id()).unwrap().to_string();
    refused(&edited(&format!("{peer} ="), &format!("{stranger} =")), &["does not verify"]);
    refused(&edited(hex, &"00".repeat(64)), &["member member-", "does not verify"]);
}

#[test]
fn a_member_listed_twice_is_refused() {
    let mut twice = body(MEMBERS);
    twice.members.push(MemberEntry { name: "again".into(), ..twice.members[1].clone() });
    refused(&to_toml(&signed(twice, 0..MEMBERS)).unwrap(), &["member ", "listed twice"]);
}

#[test]
fn a_wrong_id_names_its_line_or_member() {
    let id = format!("id = \"{}\"", peer_id(&identity(1).id()).unwrap());
    let broken = edited(&id, "id = \"12D3KooW\"");
    refused(&broken, &[&line_of(&broken, "\"12D3KooW\"")]);
    // a peer id that is the hash of an RSA key
    let rsa = edited(&id, "id = \"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N\"");
    refused(&rsa, &["member member-1", "not an ed25519 key"]);
}

#[test]
fn unknown_and_missing_keys_are_refused_with_their_line() {
    let in_policy = edited("clip = 2.5", "clip = 2.5\nclipp = 3.0");
    refused(&in_policy, &[&line_of(&in_policy, "clipp"), "clipp"]);
    let in_member = edited("may_aggregate = false", "may_aggregate = false\nadmin = true");
    refused(&in_member, &[&line_of(&in_member, "admin"), "admin"]);
    let on_top = format!("colour = \"red\"\n{}", text());
    refused(&on_top, &["line 1", "colour"]);
    refused(&edited("epoch = 0\n", ""), &["epoch"]);
    let address = edited("/ip4/10.0.0.2/tcp/4040", "10.0.0.2:4040");
    refused(&address, &[&line_of(&address, "10.0.0.2:4040")]);
}

#[test]
fn what_is_no_manifest_at_all_is_refused() {
    refused("this is no manifest", &["line 1"]);
    refused("", &["name"]);
    assert!(load_bytes(b"name = \"\xff\xfe\"").unwrap_err().contains("UTF-8"));
    let large = format!("{}{}", text(), "#".repeat(MAX_FILE_BYTES as usize));
    refused(&large, &["16777216 bytes"]);
    let missing = load(Path::new("/nowhere/consortium.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/consortium.toml: ") && !missing.contains('\n'), "{missing}");
    assert!(load(Path::new("/dev/zero")).is_err(), "a file without end");
}

#[test]
fn a_policy_that_is_too_weak_is_refused_although_all_signed_it() {
    type Edit = fn(&mut ManifestBody);
    let edits: [(Edit, &[&str]); 6] = [
        (|body| body.policy.corrupt = Some(2), &["corrupt is 2", "1 to 1"]),
        (|body| body.policy.corrupt = Some(0), &["corrupt is 0"]),
        (|body| body.policy.min_participants = Some(2), &["min_participants is 2", "3 to 4"]),
        (|body| body.policy.min_survivors = Some(2), &["min_survivors is 2"]),
        (|body| body.policy.clip = f64::INFINITY, &["clip is inf"]),
        (|body| body.members.truncate(2), &["2 members"]),
    ];
    for (edit, words) in edits {
        let mut weak = body(MEMBERS);
        edit(&mut weak);
        let members = weak.members.len() as u8;
        refused(&to_toml(&signed(weak, 0..members)).unwrap(), words);
    }
    let mut later = body(MEMBERS);
    later.epoch = 1;
    refused(&to_toml(&signed(later, 0..MEMBERS)).unwrap(), &["epoch 1"]);
}

/// Four members, whom a fifth has joined.
fn two_epochs(by: impl IntoIterator<Item = u8>) -> Draft {
    let first = Chain::verify([signed(body(MEMBERS), 0..MEMBERS)]).unwrap();
    let mut next = body(MEMBERS + 1);
    next.epoch = 1;
    next.previous = Some(*first.manifest().digest());
    Draft::next(first, signed(next, by))
}

#[test]
fn a_file_carries_all_epochs_before() {
    let draft = two_epochs([0, 1, 2]);
    let text = draft.to_toml().unwrap();
    let manifest = load_bytes(text.as_bytes()).unwrap();
    assert_eq!((manifest.epoch(), manifest.members().len()), (1, 5));
    assert_eq!(*manifest.digest(), draft.last.digest().unwrap());
    let again = Draft::from(draft.complete().unwrap());
    assert_eq!(again.to_toml().unwrap(), text);

    let (alone, _) = text.split_once("[[previous]]").unwrap();
    refused(alone, &["epoch 1 cannot be verified alone"]);
    refused(&text.replace("[[previous.member]]", "[[previous.members]]"), &["line ", "members"]);
    let (last, past) = text.split_at(text.find("[[previous]]").unwrap());
    refused(&format!("{last}{}", past.replacen("clip = 2.5", "clip = 3.5", 1)), &["edited after signing"]);
    refused(&format!("{last}{}", past.replacen("epoch = 0", "epoch = 1", 1)), &["epoch 1 cannot be"]);
    let deeper =
        past.replace("[[previous", "[[previous.previous").replace("\n[previous.", "\n[previous.previous.");
    let nested = format!("{text}\n{deeper}");
    refused(&nested, &["[[previous]] inside of [[previous]]"]);
}

#[test]
fn a_later_epoch_says_who_has_not_signed_it() {
    let text = two_epochs([0, 2]).to_toml().unwrap();
    refused(&text, &["2 of the 3 signatures", "member-1", "member-3"]);
    let newcomer = two_epochs([0, 1, 4]).to_toml().unwrap();
    refused(&newcomer, &["was not a member in epoch 0"]);
}
