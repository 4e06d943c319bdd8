//! Who has logged in: tokens of sessions by their hash, in memory only. Pure: `now` is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A session ends this long after the login, however busy it is.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);

/// A session ends when nobody used it for this long.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// Sessions at once, of all users and of one; the one that was idle longest gives way.
const SESSIONS_MAX: usize = 1_024;
const SESSIONS_OF_USER_MAX: usize = 16;

/// One login.
struct Session {
    user: String,
    /// Hash of what is kept of the password: another password ends the session.
    stamp: [u8; 32],
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= SESSION_LIFE
            || now.saturating_duration_since(self.used) >= SESSION_IDLE
    }
}

/// All sessions, by the hash of their token.
#[derive(Default)]
pub struct Sessions {
    by_hash: HashMap<[u8; 32], Session>,
}

impl Sessions {
    /// Begins a session. `stamp` is what [`Sessions::user`] gives back.
    pub fn begin(&mut self, hash: [u8; 32], user: &str, stamp: [u8; 32], now: Instant) {
        self.by_hash.retain(|_, session| !session.is_over(now));
        let own = self.by_hash.values().filter(|session| session.user == user).count();
        if own >= SESSIONS_OF_USER_MAX {
            self.drop_idlest(Some(user));
        } else if self.by_hash.len() >= SESSIONS_MAX {
            self.drop_idlest(None);
        }
        self.by_hash.insert(hash, Session { user: user.to_owned(), stamp, begun: now, used: now });
    }

    fn drop_idlest(&mut self, user: Option<&str>) {
        let of = self.by_hash.iter().filter(|(_, session)| user.is_none_or(|user| session.user == user));
        if let Some(hash) = of.min_by_key(|(_, session)| session.used).map(|(hash, _)| *hash) {
            self.by_hash.remove(&hash);
        }
    }

    /// User and stamp of a session that is not over; it counts as used.
    pub fn user(&mut self, hash: &[u8; 32], now: Instant) -> Option<(String, [u8; 32])> {
        let session = self.by_hash.get_mut(hash)?;
        if session.is_over(now) {
            self.by_hash.remove(hash);
            return None;
        }
        session.used = now;
        Some((session.user.clone(), session.stamp))
    }

    /// Ends a session.
    pub fn end(&mut self, hash: &[u8; 32]) {
        self.by_hash.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> [u8; 32] {
        [number; 32]
    }

    #[test]
    fn a_session_ends_when_idle_and_when_old() {
        let start = Instant::now();
        let mut sessions = Sessions::default();
        sessions.begin(hash(1), "anna", hash(9), start);
        assert_eq!(sessions.user(&hash(1), start), Some(("anna".into(), hash(9))));
        assert_eq!(sessions.user(&hash(2), start), None);
        let mut now = start;
        // Busy all day.
        while now + SESSION_IDLE / 2 < start + SESSION_LIFE {
            now += SESSION_IDLE / 2;
            assert!(sessions.user(&hash(1), now).is_some());
        }
        assert!(sessions.user(&hash(1), start + SESSION_LIFE).is_none());
        sessions.begin(hash(1), "anna", hash(9), start);
        assert!(sessions.user(&hash(1), start + SESSION_IDLE).is_none());
    }

    #[test]
    fn a_session_ends_when_it_is_told_to() {
        let now = Instant::now();
        let mut sessions = Sessions::default();
        sessions.begin(hash(1), "anna", hash(9), now);
        sessions.end(&hash(1));
        assert!(sessions.user(&hash(1), now).is_none());
    }

    #[test]
    fn the_idlest_session_of_a_user_gives_way() {
        let start = Instant::now();
        let mut sessions = Sessions::default();
        sessions.begin(hash(200), "bert", hash(9), start);
        for number in 0..SESSIONS_OF_USER_MAX as u8 + 1 {
            sessions.begin(hash(number), "anna", hash(9), start + Duration::from_secs(number.into()));
        }
        assert!(sessions.user(&hash(0), start).is_none());
        assert!(sessions.user(&hash(1), start).is_some());
        assert!(sessions.user(&hash(200), start).is_some());
        assert_eq!(sessions.by_hash.len(), SESSIONS_OF_USER_MAX + 1);
    }
}
