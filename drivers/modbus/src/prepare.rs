//! From a declaration to what can run: points, blocks and all that is wrong.

use crate::address;
use crate::blocks::{Block, coalesce};
use crate::point::{Point, PointError, Span, Traits};
use crate::settings::{DeviceSettings, LinkSettings, Transport};
use gwp_core::manifest::{Place, SettingError};
use gwp_core::source::{GroupDeclaration, GroupLoad, PointDeclaration, SourceDeclaration};

/// A source's declaration, understood.
#[derive(Debug)]
pub struct Prepared {
    pub transport: Transport,
    pub link: LinkSettings,
    /// In the order of the declaration.
    pub groups: Vec<GroupPlan>,
}

/// One poll group: a unit's points of one scan class.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    pub unit: u8,
    pub points: Vec<Point>,
    pub blocks: Vec<Block>,
}

/// Bytes of a request and of an answer beside its values.
const TCP_BYTES: usize = 12 + 9;
const RTU_BYTES: usize = 8 + 5;

impl Prepared {
    /// Understands a declaration; every error found goes to the list. Points with errors are
    /// left out, so a `Prepared` with errors is good for an estimate only.
    pub fn new(transport: Transport, declaration: &SourceDeclaration) -> (Prepared, Vec<SettingError>) {
        let mut errors = Vec::new();
        let settings = &declaration.item.settings;
        let link = LinkSettings::new(transport, settings, &mut errors);
        let groups = declaration.groups.iter().enumerate().map(|(index, group)| {
            let device = DeviceSettings::new(&group.device_settings, settings);
            if transport != Transport::Tcp && device.unit == 0 {
                let of_device = group.device_settings.get("unit_id").is_some();
                errors.push(broadcast_error(of_device.then_some(index)));
            }
            prepare_group(index, group, device, &mut errors)
        });
        let groups = groups.collect();
        (Prepared { transport, link, groups }, errors)
    }

    /// What reading each group once costs.
    pub fn load(&self) -> Vec<GroupLoad> {
        let (frame_bytes, silences) = match self.transport {
            Transport::Tcp => (TCP_BYTES, 1),
            // Before the request and before the answer.
            Transport::Rtu => (RTU_BYTES, 2),
            Transport::RtuTcp => (RTU_BYTES, 1),
        };
        let gap_ns = i64::try_from(self.link.timing.gap.as_nanos()).unwrap_or(i64::MAX);
        let load = |group: &GroupPlan| {
            let requests = group.blocks.len();
            let bytes = group.blocks.iter().map(|block| frame_bytes + block.span.answer_bytes()).sum();
            let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let line_ns = whole(bytes).saturating_mul(self.link.byte_ns);
            let silence_ns = whole(requests * silences).saturating_mul(gap_ns);
            GroupLoad { requests, bytes, link_ns: line_ns.saturating_add(silence_ns) }
        };
        self.groups.iter().map(load).collect()
    }
}

fn broadcast_error(group: Option<usize>) -> SettingError {
    SettingError {
        place: match group {
            Some(group) => Place::DeviceSetting { group, name: "unit_id" },
            None => Place::Setting("unit_id"),
        },
        code: None,
        message: "unit 0 is the broadcast address: nobody answers".into(),
        help: "write the unit's own number, 1 to 247".into(),
    }
}

fn prepare_group(
    group: usize,
    declared: &GroupDeclaration,
    device: DeviceSettings,
    errors: &mut Vec<SettingError>,
) -> GroupPlan {
    let traits =
        Traits { words: device.words, bytes: device.bytes, registers_max: device.limits.registers_max };
    let mut points = Vec::with_capacity(declared.points.len());
    for (point, declared) in declared.points.iter().enumerate() {
        match prepare_point(declared, traits) {
            Ok(prepared) => points.push(prepared),
            Err(error) => {
                let (place, code, error) = match error {
                    PointError::Address(error) => (Place::Address { group, point }, Some("E401"), error),
                    PointError::Type(error) => (Place::Type { group, point }, None, error),
                };
                errors.push(SettingError { place, code, message: error.message, help: error.help });
            }
        }
    }
    let spans: Vec<Span> = points.iter().map(|point| point.span).collect();
    GroupPlan { unit: device.unit, blocks: coalesce(&spans, device.limits), points }
}

fn prepare_point(declared: &PointDeclaration, traits: Traits) -> Result<Point, PointError> {
    let address = address::parse(&declared.address).map_err(PointError::Address)?;
    Point::new(address, declared.plc_type, declared.writable, traits)
}
