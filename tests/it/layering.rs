//! Tests of the part that the file is named after.
