//! The secret of a pair and what is derived from it.

use crate::encode;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gwp_redundancy::member::{Member, NodeId};
use ring::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::fmt;
use std::num::NonZeroU128;
use std::str::FromStr;

const SIZE: usize = 32;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the members of one pair share, and nobody else has: 32 random bytes. Never shown.
#[derive(Clone)]
pub struct Secret([u8; SIZE]);

/// A text is not a secret. The text is not repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "a secret is 64 hexadecimal digits or 44 characters of base64, not {0} characters: \
         make one with `openssl rand -hex 32` and give it to all members of the pair"
    )]
    Length(usize),
    #[error("character {0} of the secret is no hexadecimal digit")]
    Digit(usize),
    #[error("the secret is not base64 of 32 bytes")]
    Base64,
    #[error("a secret of zeros is none: make one with `openssl rand -hex 32`")]
    Zero,
}

impl Secret {
    /// A secret of these bytes; all zeros are refused.
    pub fn new(bytes: [u8; SIZE]) -> Result<Secret, SecretError> {
        if bytes == [0; SIZE] { Err(SecretError::Zero) } else { Ok(Secret(bytes)) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// 64 hexadecimal digits, or base64 with or without its `=`. Blanks round it do not count.
impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Secret, SecretError> {
        let text = text.trim();
        let mut bytes = [0; SIZE];
        match text.chars().count() {
            64 => {
                for (at, digit) in text.chars().enumerate() {
                    let value = digit.to_digit(16).ok_or(SecretError::Digit(at + 1))?;
                    bytes[at / 2] = (bytes[at / 2] << 4) | value as u8;
                }
            }
            43 | 44 => {
                let read = BASE64.decode(text).map_err(|_| SecretError::Base64)?;
                bytes = read.try_into().map_err(|_| SecretError::Base64)?;
            }
            other => return Err(SecretError::Length(other)),
        }
        Secret::new(bytes)
    }
}

/// Bytes of a cluster tag.
pub(super) const CLUSTER: usize = 8;

struct ClusterLength;

impl KeyType for ClusterLength {
    fn len(&self) -> usize {
        CLUSTER
    }
}

/// A key for what one boot of one member sends to one other. Never shown.
pub(super) struct Key(pub LessSafeKey);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Derives keys; the secret itself is not kept.
pub(crate) struct Keys(Prk);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub fn new(secret: &Secret) -> Keys {
        Keys(Salt::new(HKDF_SHA256, b"gwp pair").extract(&secret.0))
    }

    /// The seed of the Ed25519 key with which a node shows on the stream that it is that node.
    pub fn stream_seed(&self, node: NodeId) -> [u8; SIZE] {
        let mut seed = [0; SIZE];
        let number = [encode::number(Member::Node(node))];
        let filled =
            self.0.expand(&[b"gwp stream", &number], HKDF_SHA256).and_then(|okm| okm.fill(&mut seed));
        filled.expect("HKDF gives up to 8,160 bytes");
        seed
    }

    /// A name for all who have this secret, which tells nothing of it.
    pub(super) fn cluster(&self) -> [u8; CLUSTER] {
        let mut tag = [0; CLUSTER];
        let filled = self.0.expand(&[b"gwp cluster"], ClusterLength).and_then(|okm| okm.fill(&mut tag));
        filled.expect("HKDF gives up to 8,160 bytes");
        tag
    }

    /// The key for frames of `boot` of `from` to `to`.
    pub(super) fn key(&self, from: Member, to: Member, boot: NonZeroU128) -> Key {
        let way = [encode::number(from), encode::number(to)];
        let boot = boot.get().to_le_bytes();
        let info: [&[u8]; 3] = [b"gwp liveness", &way, &boot];
        let okm = self.0.expand(&info, &CHACHA20_POLY1305).expect("HKDF gives up to 8,160 bytes");
        Key(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_secret_is_read_from_hex_and_base64() {
        let expected: [u8; SIZE] = std::array::from_fn(|at| at as u8);
        for text in [HEX, BASE, BASE.trim_end_matches('='), &format!(" {HEX}\n")] {
            assert_eq!(text.parse::<Secret>().unwrap().0, expected);
        }
    }

    #[test]
    fn what_is_no_secret_is_told_without_showing_it() {
        let cases = [
            ("", SecretError::Length(0)),
            ("hunter2", SecretError::Length(7)),
            (&HEX[1..], SecretError::Length(63)),
            (&HEX.replace('A', "g"), SecretError::Digit(54)),
            (&HEX.replace('A', "é"), SecretError::Digit(54)),
            (&BASE.replace('A', "!"), SecretError::Base64),
            // 33 bytes.
            (&BASE.replace('=', "A"), SecretError::Base64),
            (&"0".repeat(64), SecretError::Zero),
            (&format!("{}=", "A".repeat(43)), SecretError::Zero),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Secret>().unwrap_err(), expected, "{text}");
        }
        assert!(SecretError::Length(7).to_string().contains("openssl rand -hex 32"));
    }

    #[test]
    fn nothing_shows_it() {
        let secret: Secret = HEX.parse().unwrap();
        let keys = Keys::new(&secret);
        let key = keys.key(Member::Witness, Member::Witness, NonZeroU128::MIN);
        assert_eq!(format!("{secret:?} {keys:?} {key:?}"), "Secret(..) Keys(..) Key(..)");
    }

    /// Computed by another implementation of RFC 5869: members of other versions must agree.
    #[test]
    fn the_derivation_is_fixed() {
        let tag = Keys::new(&HEX.parse().unwrap()).cluster();
        assert_eq!(tag, CLUSTER_OF_HEX);
        let seed = Keys::new(&HEX.parse().unwrap()).stream_seed(NodeId::Backup);
        assert_eq!(seed, SEED_OF_HEX);
    }

    const SEED_OF_HEX: [u8; SIZE] = [
        0x27, 0x4f, 0x5f, 0x19, 0x2b, 0xfe, 0x7d, 0xfc, 0xac, 0xb6, 0xbb, 0x2c, 0x78, 0x91, 0x40, 0xfc, 0xaa,
        0x7e, 0x28, 0x54, 0x20, 0x9f, 0xfb, 0x37, 0x96, 0xcd, 0x8f, 0x6a, 0x6c, 0x6e, 0x84, 0xdb,
    ];
    const CLUSTER_OF_HEX: [u8; CLUSTER] = [0xbc, 0xe0, 0x6c, 0xd9, 0x06, 0x8f, 0xf9, 0x7d];
}
