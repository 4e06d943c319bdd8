//! Black box: to be filled below.
