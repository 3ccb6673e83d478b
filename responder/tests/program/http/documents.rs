//! `/-/metrics` and `/-/page`: whole files, and clients that do not read them.

use super::*;

/// The documents of a state directory, with a text of this size.
fn documents(directory: &StateDir, size: usize) -> Vec<u8> {
    let line = b"agentcheck_service_weight_percent{service=\"web\"} 73\n";
    let text: Vec<u8> = line.iter().copied().cycle().take(size).collect();
    fs::write(format!("{}/metrics.prom", directory.path()), &text).unwrap();
    fs::write(format!("{}/page.html", directory.path()), "<!DOCTYPE html>").unwrap();
    text
}

#[test]
fn documents_are_served_whole() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = ["--http-documents", "--state-dir", directory.path()];
    for way in WAYS {
        let responder = Started::new(way, &arguments);
        for size in [0, 1, 4095, 4096, 4097, 8 << 20] {
            let text = documents(&directory, size);
            let response = responder.http(&get("/-/metrics"));
            assert_eq!((response.status, response.length()), (200, size), "{way:?}");
            assert!(response.body == text, "{way:?} {size}");
            assert_eq!(response.field("Content-Type"), "text/plain; version=0.0.4");
        }
        let response = responder.http("HEAD /-/metrics HTTP/1.1\r\n\r\n");
        assert_eq!((response.length(), response.body.len()), (8 << 20, 0));
        let response = responder.http(&get("/-/page"));
        assert_eq!(response.text(), (200, "<!DOCTYPE html>"));
        assert_eq!(response.field("Content-Type"), "text/html; charset=utf-8");
        documents(&directory, (8 << 20) + 1);
        assert_eq!(responder.http(&get("/-/metrics")).status, 503);
        fs::remove_file(format!("{}/metrics.prom", directory.path())).unwrap();
        assert_eq!(responder.http(&get("/-/metrics")).status, 404);
        std::os::unix::fs::symlink("/etc/passwd", format!("{}/metrics.prom", directory.path()))
            .unwrap();
        assert_eq!(responder.http(&get("/-/metrics")).status, 503);
        fs::remove_file(format!("{}/metrics.prom", directory.path())).unwrap();
    }
}

/// Requests a document and reads only the head.
fn stalled(address: SocketAddr) -> (TcpStream, Response) {
    let mut client = connect(address);
    client.write_all(get("/-/metrics").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let response = Response::parse(&head);
    (client, response)
}

/// Clients that do not read their document delay no other client; their number and their time are bounded, and the loop closes
/// the files.
#[test]
fn stalled_documents_are_bounded_and_delay_no_other_client() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let text = documents(&directory, 8 << 20);
    let arguments = [
        "--name-from-client",
        "--http-documents",
        "--state-dir",
        directory.path(),
    ];
    let (mut responder, address) = start(&arguments);
    let begin = Instant::now();
    let clients: Vec<_> = (0..16).map(|_| stalled(address)).collect();
    assert!(clients.iter().all(|(_, response)| response.status == 200));
    for _ in 0..20 {
        assert_eq!(probe(address, "web\n"), "up 73%\n");
        assert_eq!(stalled(address).1.status, 503);
    }
    let open_files = || {
        let mut count = 0;
        for entry in fs::read_dir(format!("/proc/{}/fd", responder.id())).unwrap() {
            let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
            count += usize::from(target.ends_with("metrics.prom"));
        }
        count
    };
    assert_eq!(open_files(), 16);
    // The first one reads after all, the others reach their timeout.
    let mut clients = clients.into_iter();
    let mut received = Vec::new();
    clients
        .next()
        .unwrap()
        .0
        .read_to_end(&mut received)
        .unwrap();
    assert!(received == text);
    while open_files() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "they stay");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        begin.elapsed() > Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    for (mut client, _) in clients {
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        assert!(received.len() < text.len());
    }
    let (_, response) = stalled(address);
    assert_eq!(response.status, 200);
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
}

/// The one-shot does not wait longer than its timeout for a client that does not read its document.
#[test]
fn stalled_document_ends_the_one_shot() {
    let directory = StateDir::new();
    documents(&directory, 8 << 20);
    let arguments = ["--http-documents", "--state-dir", directory.path()];
    let (mut client, server) = UnixStream::pair().unwrap();
    let mut responder = on_connection(&arguments, server);
    client.write_all(get("/-/metrics").as_bytes()).unwrap();
    let begin = Instant::now();
    while responder.0.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(responder.ended(), Some(0));
}
