//! What stands where in a datagram.
//!
//! ```text
//! version u8 | cluster 8 | from u8 | to u8 | from_boot u128 | to_boot u128
//! from_era u64 | to_era u64 | counter u64 | ciphertext of the body | tag 16
//! ```
//!
//! Little-endian. All before the ciphertext is in clear and authenticated with it. Version and
//! cluster stand at the same places in every version.

use super::Why;
use super::secret::{CLUSTER, Key};
use crate::encode::{self, Reader, Writer};
use gwp_redundancy::member::Member;
use ring::aead::{Aad, CHACHA20_POLY1305, Nonce};
use std::num::NonZeroU128;

const VERSION: u8 = 1;
pub(super) const HEADER: usize = 1 + CLUSTER + 1 + 1 + 16 + 16 + 8 + 8 + 8;
/// Bytes of the tag behind the ciphertext.
const TAG: usize = 16;

/// Longest datagram, in bytes: no link fragments it.
pub const FRAME_MAX: usize = 512;
/// Longest body of a datagram, in bytes.
pub const BODY_MAX: usize = FRAME_MAX - HEADER - TAG;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub from: Member,
    pub to: Member,
    pub from_boot: NonZeroU128,
    /// `None` = the sender has not met the receiver.
    pub to_boot: Option<NonZeroU128>,
    /// How many boots of the receiver this boot of the sender has met.
    pub from_era: u64,
    /// The newest `from_era` that the sender knows of `to_boot`.
    pub to_era: u64,
    /// From 1, rising with each frame of `from_boot` to the receiver: the nonce.
    pub counter: u64,
}

impl Header {
    fn nonce(&self) -> Nonce {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&self.counter.to_le_bytes());
        Nonce::assume_unique_for_key(bytes)
    }

    /// Replaces `out` by the frame of `body`, which is at most [`BODY_MAX`] long.
    pub fn seal(&self, cluster: &[u8; CLUSTER], key: &Key, body: &[u8], out: &mut Vec<u8>) {
        let Header { from, to, from_boot, to_boot, from_era, to_era, counter } = *self;
        out.clear();
        let mut writer = Writer(out);
        writer.u8(VERSION);
        writer.bytes(cluster);
        writer.u8(encode::number(from));
        writer.u8(encode::number(to));
        writer.bytes(&from_boot.get().to_le_bytes());
        writer.bytes(&to_boot.map_or(0, NonZeroU128::get).to_le_bytes());
        writer.u64(from_era);
        writer.u64(to_era);
        writer.u64(counter);
        writer.bytes(body);
        let (clear, text) = out.split_at_mut(HEADER);
        let sealed = key.0.seal_in_place_separate_tag(self.nonce(), Aad::from(&*clear), text);
        let tag = sealed.expect("ChaCha20-Poly1305 takes more than a datagram holds");
        out.extend_from_slice(tag.as_ref());
        debug_assert_eq!(CHACHA20_POLY1305.tag_len(), TAG);
    }

    /// Reads the header of a datagram. What it says is believed only after [`Header::open`].
    pub fn read(cluster: &[u8; CLUSTER], datagram: &[u8]) -> Result<Header, Why> {
        if datagram.len() < HEADER + TAG || datagram.len() > FRAME_MAX {
            return Err(Why::Malformed);
        }
        if datagram[1..=CLUSTER] != *cluster {
            return Err(Why::Foreign);
        }
        if datagram[0] != VERSION {
            return Err(Why::Version);
        }
        Header::fields(&datagram[1 + CLUSTER..]).ok_or(Why::Malformed)
    }

    fn fields(bytes: &[u8]) -> Option<Header> {
        let mut reader = Reader::new(bytes);
        let header = Header {
            from: encode::member(reader.u8().ok()?)?,
            to: encode::member(reader.u8().ok()?)?,
            from_boot: NonZeroU128::new(u128::from_le_bytes(reader.array().ok()?))?,
            to_boot: NonZeroU128::new(u128::from_le_bytes(reader.array().ok()?)),
            from_era: reader.u64().ok()?,
            to_era: reader.u64().ok()?,
            counter: reader.u64().ok()?,
        };
        (header.counter != 0).then_some(header)
    }

    /// The body, deciphered in place, if all of the datagram is what a member sealed with `key`.
    pub fn open<'d>(&self, key: &Key, datagram: &'d mut [u8]) -> Result<&'d [u8], Why> {
        let (clear, sealed) = datagram.split_at_mut(HEADER);
        let body = key.0.open_in_place(self.nonce(), Aad::from(&*clear), sealed);
        body.map(|body| &*body).map_err(|_| Why::Forged)
    }
}
