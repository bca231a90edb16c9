#!/usr/bin/env python3
"""Writes wire.json and election.json: messages and aggregator orders from code that shares nothing with the crate.

The encoding is bincode's standard configuration, written out here from its specification: integers of more
than a byte take one byte up to 250, else a marker (251, 252, 253) and 2, 4 or 8 little-endian bytes; bytes
and signed bytes are themselves; floats are 8 bytes (IEEE 754); sequences, maps and strings have their
length in front; arrays and structures have nothing; an option is 0 or 1; a variant is its number as an
integer of 4 bytes. Signatures (RFC 8032), X25519, HKDF, ChaCha20 and its AEAD are PyCA cryptography.

    python3 -m venv venv && venv/bin/pip install cryptography==48.0.0 && venv/bin/python generate_wire.py
"""

import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).parent

# encoding -------------------------------------------------------------------------------------------------


def integer(n: int) -> bytes:
    if n <= 250:
        return bytes([n])
    for marker, size in ((251, 2), (252, 4), (253, 8)):
        if n < 1 << 8 * size:
            return bytes([marker]) + n.to_bytes(size, "little")
    raise ValueError(n)


def sequence(items) -> bytes:
    items = list(items)
    return integer(len(items)) + b"".join(items)


def text(s: str) -> bytes:
    return integer(len(s.encode())) + s.encode()


def option(encoded) -> bytes:
    return b"\0" if encoded is None else b"\1" + encoded


def double(x: float) -> bytes:
    return struct.pack("<d", x)


def versioned(body: bytes) -> bytes:
    return b"\1" + body


# hashes and signatures ------------------------------------------------------------------------------------


def digest(context: str, *parts: bytes) -> bytes:
    return hashlib.sha256(b"consort/v1/" + context.encode() + b"\0" + b"".join(parts)).digest()


def body_digest(context: str, body: bytes) -> bytes:
    return digest(context, versioned(body))


class Identity:
    def __init__(self, seed: int):
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.id = self.key.public_key().public_bytes_raw()

    def signature(self, context: str, body: bytes) -> bytes:
        return self.key.sign(body_digest(context, body))

    def signed(self, context: str, body: bytes, named: bytes | None = None) -> bytes:
        """What is said, who says it, the signature; of what holds shares, over what names them instead."""
        return body + self.id + self.signature(context, body if named is None else named)


def statement_digest(context: str, body: bytes, by: Identity) -> bytes:
    return digest("signed", body_digest(context, body), by.id)


# election -------------------------------------------------------------------------------------------------


def election(ids, epoch: int, number: int):
    """Fisher-Yates from the last place down, over the ids in ascending order; ChaCha20 keystream of the seed
    (nonce 0, counter from 0) as little-endian 64-bit draws, those beyond the last multiple refused."""
    ids = sorted(ids)
    cycle, turn = divmod(number, len(ids))
    seed = digest("aggregator order", struct.pack("<Q", epoch), struct.pack("<Q", cycle), b"".join(ids))
    stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    for last in range(len(ids) - 1, 0, -1):
        bound, top = last + 1, 2**64 - 1
        while True:
            draw = int.from_bytes(stream.update(bytes(8)), "little")
            if draw < top - top % bound:
                break
        chosen = draw % bound
        ids[last], ids[chosen] = ids[chosen], ids[last]
    return ids[turn:] + ids[:turn]


def elections():
    cases = []
    for members, silent, rounds in (
        (3, [], [0, 1, 2, 3, 1000]),
        (5, [2, 4], [0, 4, 5]),
        (8, [], [0, 7, 8, 65535]),
        (40, [1], [0, 38, 39, 10**12]),
    ):
        people = {n: Identity(n) for n in range(1, members + 1)}
        numbers = {identity.id: n for n, identity in people.items()}
        eligible = [identity.id for n, identity in people.items() if n not in silent]
        for number in rounds:
            order = [numbers[i] for i in election(eligible, 0, number)]
            cases.append({"members": members, "silent": silent, "round": number, "order": order})
    return cases


# one attempt of three members -----------------------------------------------------------------------------

ROUND, ATTEMPT, SLOT = 300, 2, 1


def wire():
    members = sorted((Identity(n) for n in (1, 2, 3)), key=lambda member: member.id)
    names = {Identity(n).id: f"node {n}" for n in (1, 2, 3)}
    entries = [m.id + text(names[m.id]) + sequence([text("/ip4/10.0.0.1/tcp/4001")]) + b"\1" for m in members]
    policy = (
        option(integer(1)) + option(None) + option(integer(3)) + option(None) + double(16.0) + struct.pack("b", -16)
        + integer(1 << 20) + option(integer(1 << 40)) + integer(1 << 27) + integer(64 << 20) + integer(5000) + integer(10000)
    )
    manifest = text("wire") + integer(0) + option(None) + sequence(entries) + policy
    signed_manifest = manifest + sequence(m.id + m.signature("manifest", manifest) for m in members)
    later_manifest = text("wire") + integer(1) + option(body_digest("manifest", manifest)) + sequence(entries) + policy
    later_manifest += sequence(m.id + m.signature("manifest", later_manifest) for m in members)

    def leaf(shape, dtype, encoding):
        return sequence(map(integer, shape)) + integer(dtype) + encoding

    fixed = integer(0) + struct.pack("b", -16) + double(16.0) + integer(0)
    spec = sequence([leaf([3, 70000], 0, fixed), leaf([], 7, integer(1) + integer(1000))]) + integer(2) + integer(1 << 20)
    task = option(text("ward")) + bytes([2]) * 32 + spec
    contract = body_digest("manifest", manifest) + integer(ROUND) + integer(ATTEMPT) + integer(SLOT) + task
    contract_digest = body_digest("contract", contract)
    order = election([m.id for m in members], 0, ROUND)
    aggregator = next(m for m in members if m.id == order[SLOT])
    me, other = members[0], members[1]

    def point(n):
        return Identity(n).id

    sealing = [X25519PrivateKey.from_private_bytes(bytes([40 + n]) * 32) for n in range(3)]
    advertisements = [
        contract_digest + point(50 + n) + point(60 + n) + sealing[n].public_key().public_bytes_raw() for n in range(3)
    ]
    signed_advertisements = [m.signed("advertisement", body) for m, body in zip(members, advertisements)]
    roster = contract_digest + sequence(signed_advertisements)
    session = digest("session", contract_digest, struct.pack("<I", ATTEMPT), body_digest("roster", roster))

    points = [[point(70 + n) for n in range(3)], [point(80 + n) for n in range(3)]]
    commitments = sequence(points[0]) + sequence(points[1])
    commitments_digest = digest("commitments", *(digest("commitments", b"".join(vector)) for vector in points))

    def share(n):
        return bytes([n]) + bytes(31)

    def share_digest(n):
        return digest("share", share(n))

    dealt = session + other.id + commitments + share(7) + share(8)
    vectors = b"".join(digest("commitments", b"".join(vector)) for vector in points)
    dealing = session + other.id + vectors + share_digest(7) + share_digest(8)
    plaintext = versioned(me.signed("shares", dealt, dealing))
    shared = sealing[0].exchange(sealing[1].public_key())
    key = HKDF(SHA256(), 32, session, b"consort/v1/seal" + me.id + other.id).derive(shared)
    ciphertext = ChaCha20Poly1305(key).encrypt(bytes(12), plaintext, None)
    sealed = session + me.id + other.id + sequence(bytes([byte]) for byte in ciphertext)

    confirmed = sequence(m.id + bytes([90 + n]) * 32 for n, m in enumerate(members))
    receipt = session + confirmed
    mask_set = session + confirmed
    mask_set_digest = statement_digest("mask set", mask_set, aggregator)
    chunks = [digest("chunk", struct.pack("<I", n), digest("block", bytes([n % 256, 1, 2, 3]))) for n in range(300)]
    root = digest("vector", *chunks)
    inputs = [session + mask_set_digest + (root if m is me else bytes([100 + n]) * 32) for n, m in enumerate(members)]
    survivors = [m.id + body[-32:] for m, body in zip(members, inputs)]
    survivors_digest = digest("survivors", mask_set_digest, *survivors)
    standing = session + integer(SLOT) + survivors_digest
    receipt_of_standby = other.signed("standby receipt", standing)
    statements = sequence(m.signed("masked input", body) for m, body in zip(members, inputs))
    proposal = session + integer(SLOT) + integer(0) + statements + sequence([receipt_of_standby])
    signed_proposal = aggregator.signed("proposal", proposal)
    value, abandon = integer(0) + survivors_digest, integer(1)
    vote = session + integer(SLOT) + value
    votes = sequence(m.id + m.signature("vote", vote) for m in members)
    certificate = session + integer(SLOT) + mask_set_digest + sequence(survivors) + votes
    revealed = sequence([me.id + integer(0) + share(9), other.id + integer(1) + share(10)])
    reveal = session + survivors_digest + revealed
    named = sequence([me.id + integer(0) + share_digest(9), other.id + integer(1) + share_digest(10)])
    reveal_named = session + survivors_digest + named
    total = session + survivors_digest + bytes([110]) * 32
    acknowledgement = session + bytes([110]) * 32
    abort = contract_digest + integer(SLOT) + integer(3) + integer(0) + integer(3) + integer(2) + integer(70000)
    decline = contract_digest + text("another question: äöü")

    signed_roster = aggregator.signed("roster", roster)
    signed_mask_set = aggregator.signed("mask set", mask_set)
    proof = integer(ATTEMPT) + integer(SLOT) + signed_roster
    timeout = session + integer(SLOT) + option(mask_set_digest) + option(integer(SLOT) + value)
    signed_timeout = me.signed("timeout", timeout)
    silent = other.signed("timeout", session + integer(SLOT) + option(None) + option(None))
    passage = option(None) + signed_proposal
    next_one = next(m for m in members if m.id == order[(SLOT + 1) % len(order)])
    new_slot = next_one.signed("new slot", session + integer(SLOT + 1) + sequence([signed_timeout, silent]))
    later = option(new_slot) + next_one.signed("proposal", session + integer(SLOT + 1) + abandon)
    end = session + integer(SLOT + 1) + abandon
    ending = sequence(m.id + m.signature("vote", end) for m in members)
    pair = me.signed("vote", vote) + me.signed("vote", session + integer(SLOT) + abandon)
    evidence = contract + integer(0) + option(body_digest("roster", roster)) + integer(10) + pair

    opening = option(sequence([share(11), share(12)]))

    def message(variant, *parts):
        return versioned(integer(variant) + b"".join(parts)).hex()

    return {
        "manifest": versioned(signed_manifest).hex(),
        "digests": {
            "manifest": body_digest("manifest", manifest).hex(),
            "contract": contract_digest.hex(),
            "session": session.hex(),
            "commitments": commitments_digest.hex(),
            "mask_set": mask_set_digest.hex(),
            "root": root.hex(),
            "survivors": survivors_digest.hex(),
        },
        "seal": {
            "secret": (bytes([40]) * 32).hex(),
            "peer": sealing[1].public_key().public_bytes_raw().hex(),
            "session": session.hex(),
            "dealer": me.id.hex(),
            "receiver": other.id.hex(),
            "plaintext": plaintext.hex(),
            "ciphertext": ciphertext.hex(),
        },
        "messages": {
            "contract": message(0, aggregator.signed("contract", contract)),
            "advertise": message(1, signed_advertisements[0]),
            "decline": message(2, me.signed("decline", decline)),
            "roster": message(3, signed_roster),
            "shares": message(4, sealed),
            "receipt": message(5, me.signed("receipt", receipt), commitments),
            "mask set": message(6, signed_mask_set),
            "masked input": message(7, me.signed("masked input", inputs[0])),
            "proposal": message(8, signed_proposal),
            "vote": message(9, me.signed("vote", vote)),
            "certificate": message(10, certificate),
            "reveal": message(11, me.signed("reveal", reveal, reveal_named)),
            "published": message(12, aggregator.signed("sum", total), certificate, signed_mask_set, opening),
            "acknowledge": message(13, me.signed("acknowledgement", acknowledgement)),
            "abort": message(14, aggregator.signed("abort", abort)),
            "alive": message(15, contract_digest),
            "timeout": message(16, signed_timeout, proof, option(signed_mask_set), sequence([passage])),
            "timed out": message(17, signed_timeout),
            "new slot": message(18, new_slot, option(None), sequence([passage, later]), sequence([other.id])),
            "commitments": message(19, session, sequence([me.id + commitments])),
            "standby": message(20, session, integer(SLOT), mask_set_digest, sequence(survivors)),
            "standby receipt": message(21, receipt_of_standby),
            "abandonment": message(22, proof, integer(SLOT + 1), ending),
            "evidence": message(23, evidence),
            "manifest": message(24, later_manifest),
            "reminder": message(25, contract, signed_advertisements[0]),
        },
    }


for name, vectors in (("wire", wire()), ("election", elections())):
    (HERE / f"{name}.json").write_text(json.dumps(vectors, indent=1) + "\n")
