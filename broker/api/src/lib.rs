//! broker-api
