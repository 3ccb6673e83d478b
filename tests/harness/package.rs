//! What the packages do to a host, by dpkg, by rpm, or by their files and scripts alone.

pub mod lifecycle;
pub mod manager;
pub mod without_systemd;
