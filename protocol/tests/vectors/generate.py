#!/usr/bin/env python3
"""Writes masks.json and sharing.json: vectors from an implementation that shares no code with the crate.

HKDF, ChaCha20 and X25519 come from PyCA cryptography (OpenSSL); Shamir and Lagrange over the group order
and the arithmetic of edwards25519 are plain big integers, after RFC 8032 section 5.1.

    python3 -m venv venv && venv/bin/pip install cryptography==50.0.2 && venv/bin/python generate.py
"""

import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).parent


def fixed(label: str, size: int = 32) -> bytes:
    """Fixed bytes that look random."""
    return hashlib.shake_256(b"consort test vector " + label.encode()).digest(size)


# edwards25519 ---------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
I = pow(2, (P - 1) // 4, P)
O = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P,
    )


def mul(n: int, point):
    result = O
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def x_of(y: int, sign: int):
    """RFC 8032 section 5.1.3, or None where y belongs to no point."""
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * I % P
    if (x * x - xx) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def compress(point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


B_Y = 4 * pow(5, -1, P) % P
B = (x_of(B_Y, 0), B_Y)
assert mul(L, B) == O


def montgomery(point) -> bytes:
    return ((1 + point[1]) * pow(1 - point[1], -1, P) % P).to_bytes(32, "little")


def torsion_of_order_8():
    y = 2
    while True:
        x = x_of(y, 0)
        if x is not None:
            candidate = mul(L, (x, y))
            if mul(4, candidate) != O:
                return candidate
        y += 1


T8 = torsion_of_order_8()
assert mul(8, T8) == O


# sharing --------------------------------------------------------------------------------------------------


def clamp(key: bytes) -> int:
    k = bytearray(key)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    return int.from_bytes(k, "little")


def scalar(n: int) -> str:
    return n.to_bytes(32, "little").hex()


def evaluate(coefficients, x: int) -> int:
    return sum(c * x**j for j, c in enumerate(coefficients)) % L


def lagrange_at_zero(points):
    total = 0
    for x, y in points:
        term = y
        for other, _ in points:
            if other != x:
                term = term * other * pow(other - x, -1, L) % L
        total += term
    return total % L


def sharing_case(name: str, secret: int, threshold: int, members: int, subsets):
    coefficients = [secret] + [int.from_bytes(fixed(f"{name} {j}", 64), "little") % L for j in range(1, threshold)]
    shares = [evaluate(coefficients, i) for i in range(1, members + 1)]
    for subset in subsets:
        assert lagrange_at_zero([(i, shares[i - 1]) for i in subset]) == secret
    few = list(range(1, threshold))
    return {
        "name": name,
        "threshold": threshold,
        "members": members,
        "secret": scalar(secret),
        "commitments": [compress(mul(c, B)).hex() for c in coefficients],
        "shares": [scalar(s) for s in shares],
        "subsets": subsets,
        "too_few": {"indices": few, "wrong": scalar(lagrange_at_zero([(i, shares[i - 1]) for i in few]))},
    }


def sharing():
    keys = []
    for n in range(4):
        key = fixed(f"mask key {n}")
        k = clamp(key)
        point = mul(k % L, B)
        public = X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
        assert montgomery(point) == public
        peers = []
        for m in range(3):
            peer = add(mul(clamp(fixed(f"peer {n} {m}")), B), mul(m, T8))
            shared = X25519PrivateKey.from_private_bytes(key).exchange(
                X25519PublicKey.from_public_bytes(montgomery(peer))
            )
            peers.append({"key": compress(peer).hex(), "small_order_part": m, "shared": shared.hex()})
        keys.append(
            {
                "key": key.hex(),
                "secret": scalar(k % L),
                "point": compress(point).hex(),
                "x25519": public.hex(),
                "peers": peers,
            }
        )
    order_8 = [mul(i, T8) for i in range(8)]
    return {
        "keys": keys,
        "good": [
            sharing_case("t2n3", int.from_bytes(fixed("b", 64), "little") % L, 2, 3, [[1, 2], [3, 1], [2, 3], [1, 2, 3]]),
            sharing_case("t5n8", clamp(fixed("mask key 0")) % L, 5, 8, [[1, 2, 3, 4, 5], [8, 3, 5, 1, 7], [2, 4, 6, 8, 1, 3]]),
            sharing_case("t10n15", L - 1, 10, 15, [list(range(6, 16)), [15, 1, 14, 2, 13, 3, 12, 4, 11, 5]]),
            sharing_case("t3n300", 1, 3, 300, [[300, 299, 1], [256, 255, 257]]),
        ],
        "bad_scalars": {
            "order": scalar(L),
            "order_plus_one": scalar(L + 1),
            "high_bit": scalar(1 | 1 << 255),
            "all_ones": "ff" * 32,
        },
        "bad_points": {
            "y_is_p": P.to_bytes(32, "little").hex(),
            "y_is_p_plus_3": (P + 3).to_bytes(32, "little").hex(),
            "y_is_p_plus_18_signed": (P + 18 | 1 << 255).to_bytes(32, "little").hex(),
            "minus_zero_at_1": (1 | 1 << 255).to_bytes(32, "little").hex(),
            "minus_zero_at_minus_1": (P - 1 | 1 << 255).to_bytes(32, "little").hex(),
            "not_on_the_curve": next(y for y in range(2, 100) if x_of(y, 0) is None).to_bytes(32, "little").hex(),
        },
        "bad_small_order": {f"multiple_{i}": compress(point).hex() for i, point in enumerate(order_8)},
        "torsion": compress(T8).hex(),
    }


# masks ----------------------------------------------------------------------------------------------------


def hkdf(key_material: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key_material)


def keystream(seed: bytes, segment: int, block: int, size: int) -> bytes:
    """OpenSSL takes the counter as 32 little-endian bits in front of the 96-bit nonce of RFC 8439."""
    nonce = block.to_bytes(4, "little") + segment.to_bytes(4, "little") + bytes(8)
    return Cipher(algorithms.ChaCha20(seed, nonce), mode=None).encryptor().update(bytes(size))


def expand(seed: bytes, segment: int, bits: int, start: int, length: int):
    word = 4 if bits <= 32 else 8
    block, skip = divmod(start * word, 64)
    stream = keystream(seed, segment, block, skip + length * word)[skip:]
    return [int.from_bytes(stream[i * word : (i + 1) * word], "little") for i in range(length)]


def masks():
    seeds = {"self": [], "pair": [], "expansion": []}
    for n in range(3):
        b = int.from_bytes(fixed(f"self mask {n}", 64), "little") % L
        session = fixed(f"session {n}")
        seeds["self"].append(
            {
                "secret": scalar(b),
                "session": session.hex(),
                "seed": hkdf(scalar_bytes(b), session, b"consort/v1/self").hex(),
            }
        )
    for n in range(4):
        session = fixed(f"session {n}")
        members = []
        for side in ("one", "other"):
            key = fixed(f"pair {n} {side}")
            members.append(
                {"id": fixed(f"id {n} {side}").hex(), "key": key.hex(), "public": compress(mul(clamp(key) % L, B)).hex()}
            )
        shared = X25519PrivateKey.from_private_bytes(bytes.fromhex(members[0]["key"])).exchange(
            X25519PrivateKey.from_private_bytes(bytes.fromhex(members[1]["key"])).public_key()
        )
        low, high = sorted(members, key=lambda member: bytes.fromhex(member["id"]))
        info = b"consort/v1/pair" + b"".join(
            bytes.fromhex(part) for part in (low["id"], high["id"], low["public"], high["public"])
        )
        seeds["pair"].append(
            {
                "session": session.hex(),
                "one": members[0],
                "other": members[1],
                "shared": shared.hex(),
                "seed": hkdf(shared, session, info).hex(),
            }
        )
    cases = [
        # segment, bits, start, length
        (0, 32, 0, 40),
        (0, 32, 7, 200),
        (1, 32, 16, 16),
        (1, 17, 15, 2),
        (2, 1, 5, 3),
        (3, 24, 1_000_003, 150),
        (65535, 20, 0, 5),
        (0, 33, 0, 20),
        (0, 64, 5, 130),
        (258, 48, 8, 8),
        (7, 64, 10_000_001, 70),
        (9, 32, 2**33 + 5, 100),
        (9, 64, 2**33 + 5, 100),
        (4, 32, 2**36 - 70, 70),
        (4, 64, 2**35 - 41, 41),
    ]
    for n, (segment, bits, start, length) in enumerate(cases):
        seed = fixed(f"mask seed {n % 3}")
        seeds["expansion"].append(
            {
                "seed": seed.hex(),
                "segment": segment,
                "bits": bits,
                "start": start,
                "words": [format(word, "x") for word in expand(seed, segment, bits, start, length)],
            }
        )
    seeds["bad_ranges"] = [
        {"bits": 32, "start": 2**36, "length": 1},
        {"bits": 32, "start": 2**36 - 3, "length": 4},
        {"bits": 64, "start": 2**35 - 3, "length": 4},
        {"bits": 33, "start": 2**36 - 4, "length": 4},
        {"bits": 32, "start": 2**64 - 1, "length": 2},
        {"bits": 0, "start": 0, "length": 1},
        {"bits": 65, "start": 0, "length": 1},
    ]
    return seeds


def scalar_bytes(n: int) -> bytes:
    return n.to_bytes(32, "little")


for name, vectors in (("sharing", sharing()), ("masks", masks())):
    (HERE / f"{name}.json").write_text(json.dumps(vectors, indent=1) + "\n")
