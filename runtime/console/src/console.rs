//! What the control interface knows: who may come in, what runs, and where changes are recorded.

use crate::access::Access;
use crate::accounts::{Accounts, AccountsError};
use crate::attempts::Attempts;
use crate::audit::AuditLog;
use crate::audit::chain::Event;
use crate::home::{Home, HomeError};
use crate::limits::{HASHES_MAX, HASHES_WAITING_MAX, LARGE_REQUESTS_MAX, REQUESTS_MAX, WATCHERS_MAX};
use crate::live::LiveView;
use crate::operations::Operations;
use crate::role::{Caller, Means};
use crate::secret::token_hash;
use crate::sessions::Sessions;
use gwp_core::Timestamp;
use gwp_engine::{EngineStatus, GatewayClock};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, watch};

/// What runs, as it is seen from here.
pub struct Running {
    pub node: String,
    pub status: Arc<EngineStatus>,
    pub clock: Arc<GatewayClock>,
}

/// Users, sessions, attempts and the audit log of a data directory.
pub struct Records {
    data: PathBuf,
    accounts: Mutex<Accounts>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    audit: Mutex<AuditLog>,
    _home: Home,
}

/// Why the records of a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("the audit log of {0} cannot be used")]
    Audit(PathBuf, #[source] io::Error),
}

impl Records {
    /// Opens those of a data directory, which nobody else may have open.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub fn open(data: &Path) -> Result<Records, RecordsError> {
        let home = Home::open(data)?;
        let accounts = Accounts::load(data)?;
        let audit = AuditLog::open(&home, utc()).map_err(|error| RecordsError::Audit(data.into(), error))?;
        Ok(Records {
            data: data.into(),
            accounts: Mutex::new(accounts),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            audit: Mutex::new(audit),
            _home: home,
        })
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        held(&self.accounts)
    }

    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        held(&self.sessions)
    }

    pub fn attempts(&self) -> MutexGuard<'_, Attempts> {
        held(&self.attempts)
    }

    /// Adds an event to the audit log; it is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(&self, event: &Event) -> io::Result<u64> {
        held(&self.audit).add(event, utc())
    }

    /// Sees that the audit log can be written.
    ///
    /// # Errors
    /// It cannot.
    pub fn can_record(&self) -> io::Result<()> {
        held(&self.audit).check(utc())
    }
}

/// What these guard is whole between two statements, also after a panic.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine's clock.
pub fn utc() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// No token came with the request.
    NoToken,
    /// The token lets nobody in.
    Wrong,
    /// Too many wrong ones; how long to wait.
    TooMany(Duration),
}

/// Everything that answers requests.
pub struct Console {
    access: Access,
    pub operations: Arc<dyn Operations>,
    pub live: Arc<dyn LiveView>,
    pub records: Arc<Records>,
    /// What runs.
    pub running: Running,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) large_requests: Arc<Semaphore>,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) hashes: Semaphore,
    pub(crate) hashes_waiting: Semaphore,
    /// True once the gateway stops.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Console {
    pub fn new(
        access: Access,
        records: Records,
        running: Running,
        operations: Arc<dyn Operations>,
        live: Arc<dyn LiveView>,
    ) -> Console {
        Console {
            access,
            operations,
            live,
            records: Arc::new(records),
            running,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            large_requests: Arc::new(Semaphore::new(LARGE_REQUESTS_MAX)),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            hashes: Semaphore::new(HASHES_MAX),
            hashes_waiting: Semaphore::new(HASHES_WAITING_MAX),
            stopping: watch::Sender::new(false),
        }
    }

    /// Who a token lets in.
    ///
    /// # Errors
    /// Nobody, and why.
    pub fn admit(&self, token: Option<&str>, from: IpAddr) -> Result<Caller, Denied> {
        let token = token.ok_or(Denied::NoToken)?;
        if self.access.admits(token) && from.to_canonical().is_loopback() {
            return Ok(Caller::local());
        }
        let now = Instant::now();
        if let Some(caller) = self.of_session(token_hash(token), now).or_else(|| self.of_token(token)) {
            return Ok(caller);
        }
        let mut attempts = self.records.attempts();
        attempts.may(None, from, now).map_err(Denied::TooMany)?;
        attempts.wrong(None, from, now);
        Err(Denied::Wrong)
    }

    fn of_session(&self, hash: [u8; 32], now: Instant) -> Option<Caller> {
        let (name, stamp) = self.records.sessions().user(&hash, now)?;
        let accounts = self.records.accounts();
        // A user who was removed or has another password is logged out.
        let user = accounts.user(&name).filter(|user| token_hash(&user.password) == stamp)?;
        Some(Caller { name, role: user.role, means: Means::Session(hash) })
    }

    fn of_token(&self, token: &str) -> Option<Caller> {
        let (accounts, hash) = (self.records.accounts(), token_hash(token));
        let token = accounts.token(token, utc())?;
        Some(Caller { name: token.name.clone(), role: token.role, means: Means::Token(hash) })
    }

    /// Whether somebody who was let in still may; asked by answers that go on for long.
    pub fn still_admits(&self, caller: &Caller) -> bool {
        match caller.means {
            Means::Local => true,
            Means::Session(hash) => self.of_session(hash, Instant::now()).is_some(),
            Means::Token(hash) => {
                let (now, accounts) = (utc().millis(), self.records.accounts());
                let mut tokens = accounts.tokens().iter();
                let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                // Another token may have its name by now.
                tokens.any(|token| token.hash == hash && token.expires_ms.is_none_or(|expires| now < expires))
            }
        }
    }
}
