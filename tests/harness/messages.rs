//! Sentences of the collector's log and of its commands that tests wait for, each once. If you improve a
//! sentence, change it here, and update the snapshots by `SNAPSHOTS=overwrite`.

/// A state file is written again after errors.
pub const REPLY_WRITTEN_AGAIN: &str = "can write state file again";
/// A state file cannot be written; the reason follows.
pub const REPLY_NOT_WRITTEN: &str = "cannot write state file: ";
/// The state directory was removed.
pub const DIRECTORY_MADE_AGAIN: &str = "was missing: created again; all replies are written again";
/// The state directory was removed; the reason why it stays so follows.
pub const DIRECTORY_NOT_MADE: &str = "is missing and cannot be created: ";
/// The collector ends, because its unit makes the state directory.
pub const DIRECTORY_LOST: &str = "the collector exits, and the service manager creates it again";
/// The lock file cannot be made; the reason follows.
pub const NO_LOCK_FILE: &str = "takes no lock file: ";
/// The collector has its lock again.
pub const LOCK_TAKEN_AGAIN: &str = "or its lock file was replaced: locked again";
/// A link is in the place of the state directory.
pub const DIRECTORY_IS_A_LINK: &str = "is now a link or no directory";
/// A directory of another user is in the place of the state directory; the user follows.
pub const DIRECTORY_OF_ANOTHER_USER: &str = "was replaced by one of user ";
/// Another collector has the lock; its process comes before this.
pub const ANOTHER_COLLECTOR: &str = ", is running here";
/// The collector did not run for some time.
pub const PAUSED: &str = "the collector did not run for ";
/// A step of the wall clock.
pub const CLOCK_FORWARD: &str = "the wall clock was set forward by ";
/// A step of the wall clock.
pub const CLOCK_BACK: &str = "the wall clock was set back by ";
/// A changed configuration is refused.
pub const NOT_RELOADED: &str = "reload failed; keeping the current configuration";
/// A reload without a change.
pub const RELOADED_UNCHANGED: &str = "reloaded: 1 source, 1 service; no service has changed";
/// An override file is refused; the reason follows.
pub const OVERRIDE_UNUSABLE: &str = "cannot use override ";
/// An override has expired.
pub const OVERRIDE_OVER: &str = "the override expired";
/// An override file has the name of no service.
pub const OVERRIDE_OF_NO_SERVICE: &str = "unknown service \"nobody\"";
/// A maintenance file cannot be checked; the reason follows.
pub const FLAG_FILE_UNREADABLE: &str = "cannot read flag file: ";
/// A maintenance file can be checked again.
pub const FLAG_FILE_READABLE: &str = "can read flag file again";
/// Lines of the log were dropped; the reason follows.
pub const LOG_LINES_LOST: &str = "of the log lost: ";
/// The socket of the service manager is full.
pub const NOTIFY_SOCKET_BLOCKED: &str = "the service manager does not read notifications";
/// The socket of the service manager has room again.
pub const NOTIFY_SOCKET_READ: &str = "the service manager reads notifications again";
/// The metrics file cannot be written; the reason follows.
pub const METRICS_NOT_WRITTEN: &str = "cannot write metrics file: ";
/// The metrics file is written again.
pub const METRICS_WRITTEN_AGAIN: &str = "can write metrics file again";
/// A source works again; the number of failures follows.
pub const SOURCE_RECOVERED: &str = "recovered after";
/// The configuration of the administrative state has changed.
pub const ADMIN_STATE_MANAGED: &str = "replies contain ready, drain and maint from now on";
/// The state file of a removed service.
pub const STATE_FILE_REMOVED: &str = "removed its state file";
