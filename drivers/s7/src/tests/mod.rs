//! The source against devices in memory, on paused time: a second of scans takes no time and every
//! run is the same.

mod declaration;
mod device;
mod faults;
mod fuzz;
mod rig;
mod scans;
mod writes;
