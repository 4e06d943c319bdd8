//! Siemens S7 PLCs as a source: S7-300, S7-400, S7-1200, S7-1500 and LOGO!.
//!
//! ```text
//! pure    protocol (frames, telegrams, refusals)
//!         address -> point -> blocks (coalescing) -> pack (requests) -> decode (programs per block)
//!         write (a value as one item) · group (what is refused) · bcd · moment
//! shell   source -> lane -> client -> wire;  the kit's connectors beside them
//! ```
//! Sources: RFC 1006 (TPKT), ISO 8073 = ITU-T X.224 (COTP class 0). S7 communication itself has no
//! public standard: see `protocol`.

mod address;
mod bcd;
mod blocks;
mod client;
mod decode;
mod format;
mod group;
mod lane;
mod manifest;
mod moment;
mod pack;
mod point;
mod prepare;
pub mod protocol;
mod settings;
mod source;
mod write;

use client::PlcDial;
use gwp_core::manifest::{Manifest, SettingError};
use gwp_core::source::{Driver, GroupLoad, Source, SourceDeclaration};
use gwp_driver_kit::wire::TcpDial;
use gwp_driver_kit::wire_log::WireLog;
use prepare::Prepared;
use source::S7Source;
use std::sync::Arc;

/// The driver `s7`.
#[derive(Debug)]
pub struct S7;

impl Driver for S7 {
    fn manifest(&self) -> &'static Manifest {
        &manifest::S7
    }

    fn check(&self, declaration: &SourceDeclaration) -> Vec<SettingError> {
        Prepared::new(declaration).1
    }

    fn prepare(&self, declaration: SourceDeclaration) -> Result<Box<dyn Source>, Vec<SettingError>> {
        let (prepared, mut errors) = Prepared::new(&declaration);
        match prepared.link.address.clone() {
            Some(address) if errors.is_empty() => {
                let wires = Arc::new(TcpDial { address });
                let name = declaration.item.name.clone();
                let log = WireLog::new(&name, &declaration.item.settings);
                let dial = PlcDial { wires, tsaps: prepared.link.tsaps, pdu: prepared.link.pdu, log };
                Ok(Box::new(S7Source::new(name, declaration.groups, prepared, Arc::new(dial))))
            }
            _ => {
                if errors.is_empty() {
                    errors.push(settings::unresolved());
                }
                Err(errors)
            }
        }
    }

    fn load(&self, declaration: &SourceDeclaration) -> Vec<GroupLoad> {
        Prepared::new(declaration).0.load()
    }
}

#[cfg(test)]
mod tests;
