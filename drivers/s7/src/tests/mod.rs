//! The source against devices in memory.
