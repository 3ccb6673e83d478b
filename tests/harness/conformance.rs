//! What `HAProxy` makes of each reply: the table that the conformance tests check on a real `HAProxy`, and that
//! the tests of `agentcheck explain --reply` check in memory.

pub mod cases;
pub mod expected;
