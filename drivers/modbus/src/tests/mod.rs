//! The source as a whole against devices of our own making: good, late, broken and gone.

mod declaration;
mod faults;
mod fuzz;
mod late;
mod rig;
mod scans;
mod writes;
