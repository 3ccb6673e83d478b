//! The system calls of a script and of all processes that it starts, by strace, with the user of each.

use agentcheck_tests::processes::program;
use agentcheck_tests::throwaway_host::ThrowawayHost;
use std::collections::BTreeMap;

/// Calls that change a file by its path or by a descriptor.
const TRACED: &str = "trace=mkdir,mkdirat,mknod,mknodat,open,openat,creat,truncate,rename,renameat,renameat2,link,\
linkat,symlink,symlinkat,unlink,unlinkat,rmdir,chown,lchown,fchown,fchownat,chmod,fchmod,fchmodat,utimensat,\
setuid,setresuid,setreuid,clone,clone3,fork,vfork";

pub(crate) struct Trace {
    pub(crate) calls: usize,
    pub(crate) calls_of_root: Vec<String>,
}

/// Whether a call of root's changes something below a directory of the collector's user.
pub(crate) fn changes_below(call: &str) -> bool {
    let below = ["/run/agentcheck", "/var/lib/agentcheck"]
        .iter()
        .any(|directory| {
            // As a path, or as the directory that a relative path begins at.
            call.contains(&format!("\"{directory}/"))
                || call.contains(&format!("<{directory}>, \""))
                || call.contains(&format!("<{directory}/"))
        });
    let reads = call.starts_with("open")
        && !["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| call.contains(flag));
    below && !reads
}

/// Runs a line of shell inside, traced.
pub(crate) fn run(host: &ThrowawayHost, line: &str) -> Trace {
    let strace = program("strace", "strace");
    host.shell("rm -rf /tmp/trace; mkdir /tmp/trace");
    let _ = host.try_shell(&format!(
        "{} -ff -y -qq -e signal=none -e {TRACED} -o /tmp/trace/of sh -euc '{line}' </dev/null >/dev/null 2>&1",
        strace.display()
    ));
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(host.path("/tmp/trace")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let pid: u32 = name.trim_start_matches("of.").parse().unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        files.insert(pid, text);
    }
    let mut trace = Trace {
        calls: 0,
        calls_of_root: Vec::new(),
    };
    // The first process is root's; each child has the user that its parent had when it was started.
    let children: Vec<u32> = files
        .values()
        .flat_map(|text| text.lines())
        .filter_map(child)
        .collect();
    let first = files.keys().find(|pid| !children.contains(pid));
    let mut left = vec![(*first.expect("strace wrote a trace"), true)];
    while let Some((pid, mut root)) = left.pop() {
        for call in files.remove(&pid).unwrap_or_default().lines() {
            trace.calls += 1;
            if let Some(child) = child(call) {
                left.push((child, root));
            } else if call.starts_with("set") && call.ends_with("= 0") && !call.contains("(0") {
                root = false;
            } else if root {
                trace.calls_of_root.push(call.to_owned());
            }
        }
    }
    assert!(files.is_empty(), "processes without a parent: {files:?}");
    trace
}

/// The process that a call started.
fn child(call: &str) -> Option<u32> {
    let starts = ["clone", "fork", "vfork"]
        .iter()
        .any(|name| call.starts_with(name));
    let number = call.rsplit("= ").next()?.split_whitespace().next()?;
    number.parse().ok().filter(|_| starts)
}
