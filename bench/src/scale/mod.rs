//! The slow rivers: sign-ins, writes on disk, the change stream, revocation, and a million sessions on one broker.

mod follower;
pub mod million;
pub mod sign_ins;
pub mod stream;
pub mod writes;
