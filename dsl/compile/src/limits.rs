//! Every bound of the compiler stands here: a short text must not unfold into a plan that does not fit the node.

/// Devices of one family.
pub const FAMILY_MAX: usize = 10_000;

/// Devices of one project.
pub const DEVICES_MAX: usize = 100_000;

/// Tags of one project, calculated ones included; the run time has the same bound.
pub const TAGS_MAX: usize = gwp_core::limits::TAGS_MAX;

/// Nodes of all lowered expressions of one project: what templates, families and `sum_of` may unfold to.
pub const EXPRESSIONS_NODES_MAX: usize = 2_000_000;

/// State functions of one project, those of its windows included.
pub const OPERATORS_MAX: usize = 200_000;

/// Windows of one project that run side by side: one per device with `by device`.
pub const WINDOW_INSTANCES_MAX: usize = 100_000;

/// Columns of one window, besides those that every row has.
pub const COLUMNS_MAX: usize = 200;

/// Windows that are open at one time with `over`.
pub const OVERLAPS_MAX: i64 = 1_000;

/// Routes of one project: what named streams and nested splits may unfold to.
pub const ROUTES_MAX: usize = 10_000;

/// Ways through all flows, those that named streams repeat included.
pub const WAYS_MAX: usize = 20_000;

/// Tags of all routes of one project together.
pub const ROUTE_TAGS_MAX: usize = 5_000_000;

/// Tags that all heads of flows look through.
pub const LOOKED_AT_MAX: usize = 30_000_000;

/// Nodes of all expressions that are checked, those of parameters and attributes of each device included.
pub const CHECKED_NODES_MAX: usize = 10_000_000;

/// Labels of one `enum`.
pub const LABELS_MAX: usize = 1_000;

/// Bytes of all names, paths, descriptions, addresses and messages that templates and families unfold to.
pub const UNFOLDED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Steps of all tests, repetitions unfolded.
pub const TEST_STEPS_MAX: usize = 1_000_000;

/// Units declared by one project.
pub const OWN_UNITS_MAX: usize = 1_000;

/// Bytes of one text after its inserts are filled in.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
