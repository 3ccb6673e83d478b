//! What operators say over the rules, with the real programs: commands, files, restarts, a real `HAProxy`.

mod balancer;
mod commands;
mod desk;
mod history;
mod persistence;
