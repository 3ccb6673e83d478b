//! The keys of `[source.NAME.KIND]`.

use super::Kind::{Duration as Span, Integer, Other, Words};
use super::Preset::{self, Required, Value};
use super::{Section, Setting, setting};

const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;
const NONE: Preset = Preset::Words("none");
const COLLECTORS: Preset = Preset::Words("the collector's");
const CLOSE: Preset = Preset::Words("the server closes the connection");

// One row for each key.
#[rustfmt::skip]
mod shared {
    use super::*;

    pub(super) const INTERVAL: Setting = setting("interval", Span(100, DAY), Value("\"2s\""), "\"5s\"", "time from the start of one poll to the start of the next");
    pub(super) const TIMEOUT: Setting = setting("timeout", Span(10, HOUR), Value("\"1s\""), "\"1s\"", "time limit for the whole poll");
    pub(super) const JITTER: Setting = setting("jitter", Other("duration, 0 s to half of `interval`"), Preset::Words("a tenth of `interval`, at most 1 s"), "\"200ms\"", "how much earlier than `interval` a poll may start");
    pub(super) const FAIL_AFTER: Setting = setting("fail_after", Other("integer, 1 to 100, or text such as `\"3 of 5\"`"), Value("1"), "\"3 of 5\"", "failed polls until the source counts as failed");
    pub(super) const RECOVER_AFTER: Setting = setting("recover_after", Other("as for `fail_after`"), Value("1"), "2", "good polls until a failed source counts as good");
    pub(super) const FORMAT: Setting = setting("format", Other("see the next table"), Value("\"text\""), "\"json\"", "how the collector reads the body (http), the file, the output (command), the record (stream) or the response (tcp)");
    pub(super) const MAX_BYTES: Setting = setting("max_bytes", Integer(1, 67_108_864, "bytes"), Value("1048576"), "65536", "a larger body, file, output, record or response is a failure");
    pub(super) const TEXT: Setting = setting("text", Words(&["normal", "raw"]), Value("\"normal\""), "\"raw\"", "whether the collector normalises `NAME.text`");
    pub(super) const ARGV: Setting = setting("argv", Other("list of text"), Required, "[\"/usr/local/bin/depth\", \"--queue\", \"mail\"]", "absolute path of the program, then its arguments");
    pub(super) const ENV: Setting = setting("env", Other("table, `{ LANG = \"C\" }`"), NONE, "{ LANG = \"C\" }", "environment variables that the collector adds or replaces");
    pub(super) const DIRECTORY: Setting = setting("directory", Other("absolute path"), COLLECTORS, "\"/var/lib/app\"", "working directory");
    pub(super) const USER: Setting = setting("user", Other("name or number"), COLLECTORS, "\"nagios\"", "user who runs the program");
    pub(super) const GROUP: Setting = setting("group", Other("name or number"), Preset::Words("the user's group"), "\"adm\"", "group of the program; requires `user`");
}
use shared::{
    ARGV, DIRECTORY, ENV, FAIL_AFTER, FORMAT, GROUP, INTERVAL, JITTER, MAX_BYTES, RECOVER_AFTER,
    TEXT, TIMEOUT, USER,
};

/// Keys of other programs, for every kind.
const SYNONYMS: &[(&str, &str)] = &[
    ("inter", "interval"),
    ("every", "interval"),
    ("period", "interval"),
    ("fall", "fail_after"),
    ("rise", "recover_after"),
    ("uri", "url"),
    ("command", "argv"),
    ("args", "argv"),
    ("file", "path"),
];

#[rustfmt::skip] // one row for each key
pub(in crate::config) const HTTP: Section = Section {
    header: "[source.NAME.http]",
    settings: &[
        setting("url", Other("text"), Required, "\"http://127.0.0.1:8081/health\"", "`http://HOST:PORT/PATH` or `https://...`"),
        setting("method", Words(&["GET", "HEAD", "OPTIONS", "POST", "PUT"]), Value("\"GET\""), "\"POST\"", "request method"),
        setting("body", Other("text"), NONE, "\"{}\"", "body of the request, for POST and PUT"),
        setting("content_type", Other("text"), Preset::Words("`application/json` if `body` is JSON, else `text/plain; charset=utf-8`"), "\"application/json\"", "`Content-Type` of `body`"),
        setting("headers", Other("table, `{ Host = \"app.example\" }`"), NONE, "{ Host = \"app.example\" }", "additional request headers"),
        setting("bearer_file", Other("absolute path"), NONE, "\"/etc/agentcheck/token\"", "file with a token for `Authorization: Bearer`"),
        setting("basic_file", Other("absolute path"), NONE, "\"/etc/agentcheck/login\"", "file with `user:password` for `Authorization: Basic`"),
        setting("expect_status", Other("text, such as `\"200-299,401\"`; 200 to 599"), Value("\"200-299\""), "\"200-299,401\"", "the statuses that are a success"),
        setting("redirects", Integer(0, 10, ""), Value("0"), "3", "how many redirects the collector follows, for GET and HEAD"),
        setting("unix_socket", Other("absolute path, at most 107 bytes"), NONE, "\"/run/app.sock\"", "Unix socket to connect to, instead of the URL's host"),
        setting("connect_to", Other("IP address"), Preset::Words("the URL's host"), "\"127.0.0.1\"", "address to connect to, instead of the URL's host"),
        setting("ca", Other("absolute path, PEM"), Preset::Words("the system's authorities"), "\"/etc/agentcheck/ca.pem\"", "the only certificate authorities that the collector trusts"),
        setting("client_cert", Other("absolute path, PEM"), NONE, "\"/etc/agentcheck/client.pem\"", "client certificate; requires `client_key`"),
        setting("client_key", Other("absolute path, PEM"), NONE, "\"/etc/agentcheck/client.key\"", "key of the client certificate"),
        FORMAT, MAX_BYTES, TEXT, INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};

#[rustfmt::skip] // one row for each key
pub(in crate::config) const FILE: Section = Section {
    header: "[source.NAME.file]",
    settings: &[
        setting("path", Other("absolute path"), Required, "\"/run/app/load\"", "a regular file; the collector follows links"),
        setting("missing", Words(&["fail", "ok"]), Preset::Words("`\"fail\"`; `\"ok\"` with `format = \"none\"`"), "\"ok\"", "whether an absent file is a failure"),
        FORMAT, MAX_BYTES, TEXT, INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};

#[rustfmt::skip] // one row for each key
pub(in crate::config) const COMMAND: Section = Section {
    header: "[source.NAME.command]",
    settings: &[
        ARGV,
        setting("expect_exit", Other("integer, or text such as `\"0,3-4\"`; 0 to 255"), Value("0"), "\"0,3-4\"", "the exit statuses that are a success"),
        ENV, DIRECTORY, USER, GROUP,
        FORMAT, MAX_BYTES, TEXT, INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};

#[rustfmt::skip] // one row for each key
pub(in crate::config) const STREAM: Section = Section {
    header: "[source.NAME.stream]",
    settings: &[
        ARGV,
        setting("poll", Words(&["none", "newline"]), Value("\"none\""), "\"newline\"", "`\"newline\"` writes a line end to the program's input when a record is due"),
        ENV, DIRECTORY, USER, GROUP,
        FORMAT, MAX_BYTES, TEXT, INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};

#[rustfmt::skip] // one row for each key
pub(in crate::config) const TCP: Section = Section {
    header: "[source.NAME.tcp]",
    settings: &[
        setting("address", Other("`\"HOST:PORT\"`, IPv6 in brackets"), Preset::Words("required, or `unix_socket`"), "\"127.0.0.1:6379\"", "where to connect"),
        setting("unix_socket", Other("absolute path, at most 107 bytes"), NONE, "\"/run/app.sock\"", "Unix socket to connect to, instead of `address`"),
        setting("send", Other("text"), NONE, "\"PING\\r\\n\"", "the collector sends it after it has connected"),
        setting("until", Other("regular expression"), CLOSE, "'\\n'", "the response ends with the first match; a match has at most 1024 bytes"),
        setting("bytes", Other("integer, 1 to `max_bytes`"), CLOSE, "64", "the response ends after so many bytes"),
        FORMAT, MAX_BYTES, TEXT, INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};

#[rustfmt::skip] // one row for each key
pub(in crate::config) const SYSTEM: Section = Section {
    header: "[source.NAME.system]",
    settings: &[
        setting("metric", Other("a name from the next table"), Required, "\"cpu\"", "what the collector reads"),
        setting("cgroup", Other("path in the cgroup tree, or `\"self\"`"), Preset::Words("the whole machine"), "\"/system.slice/nginx.service\"", "a cgroup of version 2"),
        setting("interface", Other("text, such as `\"eth0\"`"), Preset::Words("that of the default route"), "\"eth0\"", "a network interface"),
        setting("resource", Words(&["cpu", "memory", "io"]), Required, "\"memory\"", "the resource that tasks wait for"),
        setting("path", Other("absolute path"), Required, "\"/var\"", "any path on the file system that the collector checks"),
        setting("port", Integer(1, 65535, ""), Required, "443", "a local TCP port"),
        setting("name", Other("text"), Required, "\"nginx\"", "a process name as ps(1) shows it, or the file name of its program"),
        INTERVAL, TIMEOUT, JITTER, FAIL_AFTER, RECOVER_AFTER,
    ],
    synonyms: SYNONYMS,
};
