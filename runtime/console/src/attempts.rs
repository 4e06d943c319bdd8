//! How often somebody may be wrong: growing delays per user, a bucket per address. Pure: `now` is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong passwords of a user that cost no delay.
const FREE: u32 = 5;

/// The first delay; each further wrong password doubles it.
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(60);

/// Wrong passwords are forgotten after this long without another one.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// Attempts that an address has at once, and how long one takes to come back.
const BUCKET: u32 = 20;
const REFILL: Duration = Duration::from_secs(3);

/// Users and addresses that are remembered; beyond it the one that may go on soonest is forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// Longest name that is remembered, in bytes; no user has a longer one.
const NAME_BYTES_MAX: usize = 64;

/// Wrong passwords of one user.
struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    /// When the next attempt may be made.
    fn free_at(&self) -> Instant {
        match self.count.checked_sub(FREE) {
            None => self.last,
            Some(over) => {
                let delay = DELAY_FIRST.saturating_mul(1 << over.min(16)).min(DELAY_MAX);
                self.last + delay
            }
        }
    }
}

/// Wrong attempts, by user and by address.
#[derive(Default)]
pub struct Attempts {
    users: HashMap<String, Wrong>,
    /// When the bucket of an address will be full again.
    addresses: HashMap<IpAddr, Instant>,
}

impl Attempts {
    /// Whether an attempt may be made; if not, how long to wait.
    ///
    /// # Errors
    /// The time to wait.
    pub fn may(&self, user: Option<&str>, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let user = user.and_then(|user| self.users.get(clip(user)));
        let user_free = user.filter(|wrong| !is_forgotten(wrong, now)).map(Wrong::free_at);
        let full_at = self.addresses.get(&network(address));
        let address_free = full_at.and_then(|full_at| full_at.checked_sub(REFILL * (BUCKET - 1)));
        match user_free.max(address_free).map(|free| free.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// An attempt was wrong.
    pub fn wrong(&mut self, user: Option<&str>, address: IpAddr, now: Instant) {
        if let Some(user) = user {
            make_room(&mut self.users, |wrong| wrong.free_at(), |wrong| is_forgotten(wrong, now));
            let wrong = self.users.entry(clip(user).to_owned()).or_insert(Wrong { count: 0, last: now });
            wrong.count = if is_forgotten(wrong, now) { 1 } else { wrong.count.saturating_add(1) };
            wrong.last = now;
        }
        make_room(&mut self.addresses, |full_at| *full_at, |full_at| *full_at <= now);
        let full_at = self.addresses.entry(network(address)).or_insert(now);
        *full_at = (*full_at).max(now) + REFILL;
    }

    /// An attempt that was counted as wrong while it was looked at was right: the user starts anew.
    pub fn right(&mut self, user: &str, address: IpAddr) {
        self.users.remove(clip(user));
        if let Some(full_at) = self.addresses.get_mut(&network(address)) {
            *full_at = full_at.checked_sub(REFILL).unwrap_or(*full_at);
        }
    }
}

fn is_forgotten(wrong: &Wrong, now: Instant) -> bool {
    now.saturating_duration_since(wrong.last) >= FORGOTTEN
}

/// The start of a name that is too long.
fn clip(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

/// An address of version 6 counts by its /64, which one machine has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

/// Keeps a table below its bound: what is over goes first, then what is over soonest.
fn make_room<K: Hash + Eq + Clone, V>(
    table: &mut HashMap<K, V>,
    free_at: impl Fn(&V) -> Instant,
    is_over: impl Fn(&V) -> bool,
) {
    if table.len() < REMEMBERED_MAX {
        return;
    }
    table.retain(|_, value| !is_over(value));
    if table.len() >= REMEMBERED_MAX {
        let soonest = table.iter().min_by_key(|(_, value)| free_at(value)).map(|(key, _)| key.clone());
        soonest.map(|key| table.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn wrong_passwords_cost_growing_delays_from_wherever_they_come() {
        let mut now = Instant::now();
        let mut attempts = Attempts::default();
        for from in 0..FREE as u8 {
            assert_eq!(attempts.may(Some("anna"), address(from), now), Ok(()));
            attempts.wrong(Some("anna"), address(from), now);
        }
        let mut waited = Vec::new();
        for from in 100..110 {
            let wait = attempts.may(Some("anna"), address(from), now).unwrap_err();
            waited.push(wait.as_secs());
            assert_eq!(attempts.may(Some("bert"), address(from), now), Ok(()));
            now += wait;
            assert_eq!(attempts.may(Some("anna"), address(from), now), Ok(()));
            attempts.wrong(Some("anna"), address(from), now);
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(attempts.may(Some("anna"), address(1), now + FORGOTTEN), Ok(()));
        attempts.right("anna", address(1));
        assert_eq!(attempts.may(Some("anna"), address(1), now), Ok(()));
    }

    #[test]
    fn an_address_has_a_bucket_that_fills_again() {
        let now = Instant::now();
        let mut attempts = Attempts::default();
        for number in 0..BUCKET {
            assert_eq!(attempts.may(None, address(1), now), Ok(()));
            attempts.wrong(Some(&number.to_string()), address(1), now);
        }
        assert_eq!(attempts.may(None, address(1), now), Err(REFILL));
        assert_eq!(attempts.may(None, address(2), now), Ok(()));
        assert_eq!(attempts.may(None, address(1), now + REFILL), Ok(()));
        attempts.wrong(None, address(1), now + REFILL);
        assert_eq!(attempts.may(None, address(1), now + REFILL), Err(REFILL));
        attempts.right("1", address(1));
        assert_eq!(attempts.may(None, address(1), now + REFILL), Ok(()));
    }

    #[test]
    fn neighbours_in_a_network_of_version_6_share_a_bucket() {
        let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let same: IpAddr = "2001:db8:1:2:ffff::7".parse().unwrap();
        let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(network(one), network(same));
        assert_ne!(network(one), network(other));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), address(1));
    }

    #[test]
    fn the_tables_are_bounded_and_forget_the_least() {
        let now = Instant::now();
        let mut attempts = Attempts::default();
        for _ in 0..FREE + 3 {
            attempts.wrong(Some("anna"), address(1), now);
        }
        for number in 0..REMEMBERED_MAX as u32 + 100 {
            let from = IpAddr::from(number.to_be_bytes());
            attempts.wrong(Some(&format!("user {number}")), from, now);
        }
        assert!(attempts.users.len() <= REMEMBERED_MAX);
        assert!(attempts.addresses.len() <= REMEMBERED_MAX);
        assert!(attempts.may(Some("anna"), address(9), now).is_err());
        let long = "é".repeat(100);
        attempts.wrong(Some(&long), address(1), now);
        assert!(attempts.users.keys().all(|name| name.len() <= NAME_BYTES_MAX));
    }
}
