//! From a declaration to what can run: points and all that is wrong.

use crate::address;
use crate::client::WIRE_OVERHEAD;
use crate::group::Group;
use crate::point::{Point, PointError};
use crate::settings::LinkSettings;
use gwp_core::manifest::{Place, SettingError};
use gwp_core::source::{GroupLoad, PointDeclaration, SourceDeclaration};

/// PDU that an estimate counts with: what the smaller PLCs agree to.
const PDU_OF_ESTIMATE: u16 = 240;

/// A source's declaration, understood.
#[derive(Debug)]
pub struct Prepared {
    pub link: LinkSettings,
    /// Points of each group, in the order of the declaration.
    pub groups: Vec<Vec<Point>>,
}

impl Prepared {
    /// Understands a declaration; every error found goes to the list. Points with errors are left
    /// out, so a `Prepared` with errors is good for an estimate only.
    pub fn new(declaration: &SourceDeclaration) -> (Prepared, Vec<SettingError>) {
        let mut errors = Vec::new();
        let link = LinkSettings::new(&declaration.item.settings, &mut errors);
        let groups = declaration.groups.iter().enumerate().map(|(group, declared)| {
            let points = declared.points.iter().enumerate();
            let points = points.filter_map(|(point, declared)| {
                prepare_point(declared).map_err(|error| errors.push(at(group, point, error))).ok()
            });
            points.collect()
        });
        let groups = groups.collect();
        (Prepared { link, groups }, errors)
    }

    /// What reading each group once costs.
    pub fn load(&self) -> Vec<GroupLoad> {
        let pdu = self.link.pdu.min(PDU_OF_ESTIMATE);
        let load = |points: &Vec<Point>| {
            let requests = Group::new(points.clone(), self.link.gap_max).load(pdu);
            let bytes = requests.iter().map(|request| {
                let (request, answer) = request.bytes();
                request + answer + WIRE_OVERHEAD
            });
            GroupLoad { requests: requests.len(), bytes: bytes.sum(), link_ns: 0 }
        };
        self.groups.iter().map(load).collect()
    }
}

fn at(group: usize, point: usize, error: PointError) -> SettingError {
    let (place, code, error) = match error {
        PointError::Address(error) => (Place::Address { group, point }, Some("E401"), error),
        PointError::Type(error) => (Place::Type { group, point }, None, error),
    };
    SettingError { place, code, message: error.message, help: error.help }
}

fn prepare_point(declared: &PointDeclaration) -> Result<Point, PointError> {
    let address = address::parse(&declared.address).map_err(PointError::Address)?;
    Point::new(address, declared.plc_type, declared.writable)
}
