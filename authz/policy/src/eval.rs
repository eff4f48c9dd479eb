//! `policy eval`
