//! OPC UA servers as a source.
