//! The control interface of a running gateway: HTTP and JSON on loopback, for the commands of this program.
//!
//! ```text
//! gwp run   --> binds a port of its own --> data/control.json { address, token } (readable by its user only)
//! gwp alarm --> reads data/control.json --> HTTP with the token --> answer
//! ```
//! Whoever may read the data directory of a gateway may control it; nobody else can, as the token is random and new
//! at each start. So the commands need no address: the data directory says which gateway is meant.
//!
//! | Route | |
//! |---|---|
//! | `GET /v1/status` | sources, sinks, stages, log |
//! | `GET /v1/alarms` | all alarms as they are, and their latest events |
//! | `POST /v1/alarms` | `{"device": "press", "order": "acknowledge oil_hot by anna"}` |

pub mod access;
pub mod client;
pub mod server;
