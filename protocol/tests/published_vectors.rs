//! Published vectors for every primitive, through the same calls that the crate makes.

use chacha20::{
    ChaChaCore, KeyIvInit as _, R20,
    cipher::{Block, StreamCipherCore as _},
    variants::Ietf,
};
use curve25519_dalek::{MontgomeryPoint, scalar::clamp_integer};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// RFC 7748 section 5.2, scalar, u-coordinate and result.
const X25519: [[&str; 3]; 2] = [
    [
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
];

#[test]
fn x25519_rfc_7748_section_5_2() {
    for [scalar, u, expected] in X25519 {
        let shared = StaticSecret::from(bytes(scalar)).diffie_hellman(&PublicKey::from(bytes(u)));
        assert_eq!(shared.to_bytes(), bytes(expected));
    }
}

/// Recovered keys are multiplied bit by bit, from the most significant.
#[test]
fn x25519_rfc_7748_section_5_2_bit_by_bit() {
    for [scalar, u, expected] in X25519 {
        let k = clamp_integer(bytes(scalar));
        let bits = (0..255).rev().map(|i| (k[i / 8] >> (i % 8)) & 1 == 1);
        assert_eq!(MontgomeryPoint(bytes(u)).mul_bits_be(bits).to_bytes(), bytes(expected));
    }
}

#[test]
fn x25519_rfc_7748_section_5_2_iterated() {
    let (mut k, mut u) = (x25519_dalek::X25519_BASEPOINT_BYTES, x25519_dalek::X25519_BASEPOINT_BYTES);
    for round in 1..=1000 {
        let next = StaticSecret::from(k).diffie_hellman(&PublicKey::from(u)).to_bytes();
        (k, u) = (next, k);
        if round == 1 {
            assert_eq!(k, bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn x25519_rfc_7748_section_6_1() {
    let alice = StaticSecret::from(bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = StaticSecret::from(bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let (alice_public, bob_public) = (PublicKey::from(&alice), PublicKey::from(&bob));
    assert_eq!(
        alice_public.to_bytes(),
        bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    );
    assert_eq!(
        bob_public.to_bytes(),
        bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    );
    let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.diffie_hellman(&bob_public).to_bytes(), shared);
    assert_eq!(bob.diffie_hellman(&alice_public).to_bytes(), shared);
}

/// RFC 8439 section 2.3.2 and appendix A.1: key, nonce, block counter, keystream block.
const CHACHA20: [(&str, &str, u32, &str); 6] = [
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000000090000004a00000000",
        1,
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
         d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        0,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
         da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        1,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
         29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        "000000000000000000000000",
        1,
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
         8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    ),
    (
        "00ff000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        2,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca\
         13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000002",
        0,
        "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7\
         8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
    ),
];

#[test]
fn chacha20_rfc_8439_section_2_3_2_and_appendix_a_1() {
    for (key, nonce, counter, expected) in CHACHA20 {
        let mut core = ChaChaCore::<R20, Ietf>::new(&bytes::<32>(key).into(), &bytes::<12>(nonce).into());
        core.set_block_pos(counter);
        let mut block = Block::<ChaChaCore<R20, Ietf>>::default();
        core.write_keystream_block(&mut block);
        assert_eq!(hex::encode(block), expected.replace(' ', ""));
    }
}

#[test]
fn chacha20_rfc_8439_section_2_4_2() {
    let key: [u8; 32] = core::array::from_fn(|i| i as u8);
    let nonce: [u8; 12] = bytes("000000000000004a00000000");
    let mut core = ChaChaCore::<R20, Ietf>::new(&key.into(), &nonce.into());
    core.set_block_pos(1);
    let mut blocks = [Block::<ChaChaCore<R20, Ietf>>::default(); 2];
    core.write_keystream_blocks(&mut blocks);
    let text =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                 sunscreen would be it.";
    let cipher: Vec<u8> =
        text.iter().zip(blocks.iter().flatten()).map(|(text, keystream)| text ^ keystream).collect();
    let expected = "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b\
                    f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8\
                    07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736\
                    5af90bbf74a35be6b40b8eedf2785e42874d";
    assert_eq!(hex::encode(cipher), expected);
}

fn range(from: u8, to: u8) -> Vec<u8> {
    (from..=to).collect()
}

#[test]
fn hkdf_sha256_rfc_5869_appendix_a() {
    let cases = [
        (
            vec![0x0b; 22],
            range(0x00, 0x0c),
            range(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            range(0x00, 0x4f),
            range(0x60, 0xaf),
            range(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            vec![],
            vec![],
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (key_material, salt, info, expected) in cases {
        let mut output = vec![0; expected.len() / 2];
        let (left, right) = info.split_at(info.len() / 2);
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &key_material);
        hkdf.expand_multi_info(&[left, right], &mut output).unwrap();
        assert_eq!(hex::encode(output), expected);
    }
}

/// RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
const ED25519: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
         18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn ed25519_rfc_8032_section_7_1() {
    for [secret, public, message, signature] in ED25519 {
        let key = SigningKey::from_bytes(&bytes(secret));
        let mut message = hex::decode(message).unwrap();
        assert_eq!(key.verifying_key().to_bytes(), bytes(public));
        assert_eq!(hex::encode(key.sign(&message).to_bytes()), signature);

        let verifying = VerifyingKey::from_bytes(&bytes(public)).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&bytes(signature));
        verifying.verify_strict(&message, &signature).unwrap();
        message.push(0);
        verifying.verify_strict(&message, &signature).unwrap_err();
    }
}
