//! How the pair's values stand in bytes: by hand, as `gwp-redundancy` depends on nothing but
//! the core. Shared by the file of votes, the datagrams and the stream, so a value has one form.
//!
//! Little-endian, fixed order, no padding. What is encoded is taken apart field by field: a new
//! field does not compile until it has its place here (and its format another version).

use gwp_core::Position;
use gwp_redundancy::member::{Member, NodeId};
use gwp_redundancy::mirror::{Place, RunningHash};
use gwp_redundancy::vote::{Mark, Promise, Superblock};

/// Longest body of a superblock: two promises, two epochs, a mark.
pub(crate) const SUPERBLOCK_MAX: usize = 5 + 5 + 4 + 4 + MARK_MAX;

/// Longest form of a mark that may be missing.
pub(crate) const MARK_MAX: usize = 1 + 10;

/// Bytes are not what they should be: too few, too many, or a value that does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable;

/// Numbers of members on wire and disk. 0 = nobody.
pub(crate) const fn number(member: Member) -> u8 {
    match member {
        Member::Node(NodeId::Primary) => 1,
        Member::Node(NodeId::Backup) => 2,
        Member::Witness => 3,
    }
}

/// The member that [`number`] belongs to.
pub(crate) const fn member(number: u8) -> Option<Member> {
    match number {
        1 => Some(Member::Node(NodeId::Primary)),
        2 => Some(Member::Node(NodeId::Backup)),
        3 => Some(Member::Witness),
        _ => None,
    }
}

/// Appends values to a buffer.
pub(crate) struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn position(&mut self, position: Position) {
        let Position { epoch, seq } = position;
        self.u32(epoch);
        self.u64(seq);
    }

    pub fn place(&mut self, place: Place) {
        let Place { position, after } = place;
        self.position(position);
        self.u32(after);
    }

    pub fn hash(&mut self, hash: RunningHash) {
        self.u64(hash.0);
    }

    fn node(&mut self, node: NodeId) {
        self.u8(number(Member::Node(node)));
    }

    pub fn promise(&mut self, promise: Promise) {
        let Promise { epoch, holder } = promise;
        self.u32(epoch);
        match holder {
            Some(node) => self.node(node),
            None => self.u8(0),
        }
    }

    pub fn mark(&mut self, mark: Mark) {
        let Mark { holder, epoch, turn, solo } = mark;
        self.node(holder);
        self.u32(epoch);
        self.u32(turn);
        self.u8(solo as u8);
    }

    pub fn mark_or_none(&mut self, mark: Option<Mark>) {
        self.u8(mark.is_some() as u8);
        if let Some(mark) = mark {
            self.mark(mark);
        }
    }

    pub fn superblock(&mut self, block: &Superblock) {
        let Superblock { promise, before, led, whole, mark } = *block;
        self.promise(promise);
        self.promise(before);
        self.u32(led);
        self.u32(whole);
        self.mark_or_none(mark);
    }
}

/// Takes values from the front of a slice. After an error nothing further is read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, Unreadable> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, Unreadable> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, Unreadable> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Unreadable> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// 0 or 1; other bytes would be a second form of the same value.
    pub fn bool(&mut self) -> Result<bool, Unreadable> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable),
        }
    }

    pub fn position(&mut self) -> Result<Position, Unreadable> {
        Ok(Position { epoch: self.u32()?, seq: self.u64()? })
    }

    pub fn place(&mut self) -> Result<Place, Unreadable> {
        Ok(Place { position: self.position()?, after: self.u32()? })
    }

    pub fn hash(&mut self) -> Result<RunningHash, Unreadable> {
        Ok(RunningHash(self.u64()?))
    }

    fn node_or_none(&mut self) -> Result<Option<NodeId>, Unreadable> {
        match self.u8()? {
            0 => Ok(None),
            other => Ok(Some(member(other).and_then(Member::node).ok_or(Unreadable)?)),
        }
    }

    pub fn promise(&mut self) -> Result<Promise, Unreadable> {
        Ok(Promise { epoch: self.u32()?, holder: self.node_or_none()? })
    }

    pub fn mark(&mut self) -> Result<Mark, Unreadable> {
        Ok(Mark {
            holder: self.node_or_none()?.ok_or(Unreadable)?,
            epoch: self.u32()?,
            turn: self.u32()?,
            solo: self.bool()?,
        })
    }

    pub fn mark_or_none(&mut self) -> Result<Option<Mark>, Unreadable> {
        Ok(if self.bool()? { Some(self.mark()?) } else { None })
    }

    pub fn superblock(&mut self) -> Result<Superblock, Unreadable> {
        Ok(Superblock {
            promise: self.promise()?,
            before: self.promise()?,
            led: self.u32()?,
            whole: self.u32()?,
            mark: self.mark_or_none()?,
        })
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable) }
    }
}
