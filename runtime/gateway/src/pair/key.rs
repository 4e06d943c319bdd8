//! The key of a pair: one small file, the same on both nodes and the witness.
//!
//! ```toml
//! secret = "64 hexadecimal digits"
//! profile = "default"              # fast, default or wan: how long leases are
//! ```
//! Leases and promises must be the same for all three, or votes would not protect: so the profile stands beside
//! the secret, and both go into what the members recognise each other by.

use anyhow::{Context, bail};
use gwp_cluster::seal::Secret;
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

/// What the members of a pair share.
pub struct PairKey {
    pub secret: Secret,
    pub timing: Timing,
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
        let _: Secret = secret.parse().with_context(|| format!("{name}"))?;
        // Members with another profile are strangers to each other.
        let both = blake3::derive_key(
            "gwp pair 1: secret and profile",
            format!("{} {}", secret.trim(), profile.word()).as_bytes(),
        );
        Ok(PairKey { secret: Secret::new(both)?, timing: profile.timing() })
    }

    /// Makes a new key; never over an old one.
    ///
    /// # Errors
    /// The file is there, or cannot be written.
    pub fn make(path: &Path, profile: Profile) -> anyhow::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(path).with_context(|| format!("{} cannot be made", path.display()))?;
        let digits: String = random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            "# The key of a pair of gwp gateways. Who has it can speak as any of its members: keep it on these alone.\n\
             secret = \"{digits}\"\n\
             # How long leases are: fast, default or wan. The same on all members.\n\
             profile = \"{}\"\n",
            profile.word()
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
        PairKey::make(&path, Profile::Fast).unwrap();
        assert!(PairKey::make(&path, Profile::Fast).is_err(), "never over an old one");
        assert_eq!(PairKey::load(&path).unwrap().timing, Timing::FAST);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(PairKey::load(&path).err().unwrap().to_string().contains("chmod 600"));
        for wrong in ["secret = \"12\"", "profile = \"fast\"", "secret ="] {
            let path = folder.path().join("wrong.key");
            std::fs::write(&path, wrong).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(PairKey::load(&path).is_err(), "{wrong}");
        }
    }
}
