//! Every bound of the pair's machine in one place.
