//! The key of a pair: one small file, the same on both nodes and the witness.
//!
//! ```toml
//! secret = "64 hexadecimal digits"
//! profile = "default"              # fast, default or wan: how long leases are
//! mirror = "both-disks"            # or memory, local: what must hold a sample before it is delivered
//! ```
//! Leases and promises must be the same for all three, or votes would not protect; and who takes over must know what its
//! peer has waited for. So both stand beside the secret, and go into what the members recognise each other by.

use anyhow::{Context, bail};
use gwp_cluster::seal::Secret;
use gwp_redundancy::mirror::MirrorMode;
use gwp_redundancy::timing::Timing;
use std::io::Write;
use std::num::NonZeroU128;
use std::path::Path;

/// A larger file is no key.
const BYTES_MAX: u64 = 4_096;

/// How long leases are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Profile {
    /// Local network and quick disks: the peer is active within a second
    Fast,
    /// Within two seconds
    Default,
    /// Links with long or changing delays: within ten seconds
    Wan,
}

impl Profile {
    fn word(self) -> &'static str {
        match self {
            Profile::Fast => "fast",
            Profile::Default => "default",
            Profile::Wan => "wan",
        }
    }

    pub fn timing(self) -> Timing {
        match self {
            Profile::Fast => Timing::FAST,
            Profile::Default => Timing::DEFAULT,
            Profile::Wan => Timing::WAN,
        }
    }
}

/// What must hold a sample before it is delivered and its source is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mirror {
    /// The disks of both nodes
    BothDisks,
    /// The own disk and the peer's memory: quicker where its disk is slow; both must not die at once
    Memory,
    /// The own disk alone: no delivery ever waits for the peer, and at a takeover the last samples may be missing until
    /// the old node is back, and come out of order
    Local,
}

impl Mirror {
    fn word(self) -> &'static str {
        match self {
            Mirror::BothDisks => "both-disks",
            Mirror::Memory => "memory",
            Mirror::Local => "local",
        }
    }

    fn mode(self) -> MirrorMode {
        match self {
            Mirror::BothDisks => MirrorMode::BeforeSend,
            Mirror::Memory => MirrorMode::Memory,
            Mirror::Local => MirrorMode::Local,
        }
    }
}

/// What the members of a pair share.
pub struct PairKey {
    pub secret: Secret,
    pub timing: Timing,
    pub mirror: MirrorMode,
}

impl PairKey {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is no key; or others than its user can read it.
    pub fn load(path: &Path) -> anyhow::Result<PairKey> {
        let name = path.display();
        let meta = std::fs::metadata(path).with_context(|| {
            format!("the key of the pair, {name}, cannot be read: make one with `gwp pair keys {name}`, and copy it to all members")
        })?;
        if meta.len() > BYTES_MAX {
            bail!("{name} is too large for the key of a pair");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            if meta.mode() & 0o077 != 0 {
                bail!("{name} can be read by others than its user: `chmod 600 {name}`");
            }
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
        let table: toml::Table = text.parse().with_context(|| format!("{name} is no key of a pair"))?;
        let word = |key: &str| table.get(key).and_then(toml::Value::as_str);
        let Some(secret) = word("secret") else {
            bail!("{name} has no `secret`: make a key with `gwp pair keys`");
        };
        let profile = match word("profile").unwrap_or("default") {
            "fast" => Profile::Fast,
            "default" => Profile::Default,
            "wan" => Profile::Wan,
            other => bail!("{name}: `{other}` is no profile: fast, default or wan"),
        };
        let mirror = match word("mirror").unwrap_or("both-disks") {
            "both-disks" => Mirror::BothDisks,
            "memory" => Mirror::Memory,
            "local" => Mirror::Local,
            other => bail!("{name}: `{other}` is no mirror: both-disks, memory or local"),
        };
        let _: Secret = secret.parse().with_context(|| format!("{name}"))?;
        // Members with another profile or mirror are strangers to each other.
        let mut told = format!("{} {}", secret.trim(), profile.word());
        if mirror != Mirror::BothDisks {
            told = format!("{told} {}", mirror.word());
        }
        let all = blake3::derive_key("gwp pair 1: secret and profile", told.as_bytes());
        Ok(PairKey { secret: Secret::new(all)?, timing: profile.timing(), mirror: mirror.mode() })
    }

    /// Makes a new key; never over an old one.
    ///
    /// # Errors
    /// The file is there, or cannot be written.
    pub fn make(path: &Path, profile: Profile, mirror: Mirror) -> anyhow::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                "{} is there already, and a key is never written over: a pair whose members have different keys is none. Name another file, or remove that one on all members",
                path.display()
            ),
            _ => anyhow::anyhow!("{} cannot be made: {error}", path.display()),
        })?;
        let digits: String = random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            "# The key of a pair of gwp gateways. Who has it can speak as any of its members: keep it on these alone.\n\
             secret = \"{digits}\"\n\
             # How long leases are: fast, default or wan. The same on all members.\n\
             profile = \"{}\"\n\
             # What must hold a sample before it is delivered: both-disks, memory (of the peer) or local. The same on all.\n\
             mirror = \"{}\"\n",
            profile.word(),
            mirror.word()
        );
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
        Ok(())
    }
}

/// Random for this start of the process alone.
///
/// # Errors
/// The system gives no randomness.
pub fn boot_id() -> anyhow::Result<NonZeroU128> {
    let bytes = random_bytes()?;
    let half: [u8; 16] = std::array::from_fn(|at| bytes[at]);
    NonZeroU128::new(u128::from_le_bytes(half)).context("the system gives no randomness")
}

fn random_bytes() -> anyhow::Result<[u8; 32]> {
    gwp_console::secret::random().context("the system gives no randomness")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_read_by_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pair.key");
        assert!(PairKey::load(&path).is_err());
        PairKey::make(&path, Profile::Fast, Mirror::Memory).unwrap();
        assert!(PairKey::make(&path, Profile::Fast, Mirror::Memory).is_err(), "never over an old one");
        let key = PairKey::load(&path).unwrap();
        assert_eq!((key.timing, key.mirror), (Timing::FAST, MirrorMode::Memory));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(PairKey::load(&path).err().unwrap().to_string().contains("chmod 600"));
        let mirror = format!("secret = \"{}\"\nmirror = \"none\"", "0a".repeat(32));
        for wrong in ["secret = \"12\"", "profile = \"fast\"", "secret =", &mirror] {
            let path = folder.path().join("wrong.key");
            std::fs::write(&path, wrong).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(PairKey::load(&path).is_err(), "{wrong}");
        }
    }
}
