//! Who is spoken with, and how: security modes, identities, the gateway's own certificate, the list of
//! servers that are trusted, and making a session of all that.
//!
//! ```text
//! pki/own/cert.der, key.pem          made at the first start, never overwritten
//! pki/trusted/                       servers that may be spoken with over a secure channel
//! pki/rejected/                      servers that were met and are not trusted, the newest 50
//! ```
//!
//! Trust is a pin: a server is trusted when exactly its certificate lies in `trusted`. There are no chains of
//! authorities and no lists of revoked certificates. The library checks the pin once more when the session is
//! made; host name, application URI and validity are checked here, before it, with words that say what to do.

mod certificate;
mod connect;
mod endpoint;
mod options;
mod own;
mod store;
mod words;

pub use certificate::{Facts, Unfit};
pub use connect::{Connection, Context, Prepared, connect, is_address, prepare};
pub use endpoint::NoEndpoint;
pub use options::{Identity, Mode, Options, Policy};
pub use own::Own;
pub use store::{Entry, Seen, Store, StoreError, Trust, folder, read_certificate, set_folder};
pub use words::ConnectError;

pub(crate) use certificate::printable;
