//! Names, and addresses that hang.

use super::*;

#[test]
fn names_are_looked_up_and_unknown_names_are_unreachable() {
    let url = answering(ok("here")).replace("127.0.0.1", "localhost");
    assert_eq!(poll(http(&url), AMPLE).text.as_deref(), Some("here"));

    let nowhere = |_: &str| Err("Name or service not known".to_owned());
    let found =
        Exchange::with_lookup(http("http://nowhere/"), nowhere).poll(Deadline::within(AMPLE));
    assert_eq!(
        found.outcome.unwrap_err().to_string(),
        "unreachable: Name or service not known"
    );
}

#[test]
fn hanging_lookup_runs_once_and_blocks_no_poll() {
    let port = answering(ok("found"));
    let port = port
        .trim_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (gate, opened) = mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let hanging = move |_: &str| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = opened.lock().unwrap().recv_timeout(BLOCKED);
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
    };
    let mut exchange = Exchange::with_lookup(http(&format!("http://app:{port}/")), hanging);
    let started = Instant::now();
    for _ in 0..3 {
        let found = exchange.poll(Deadline::within(Duration::from_millis(50)));
        assert_eq!(reason(&found), Reason::Timeout);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(gate);
    let found = exchange.poll(Deadline::within(AMPLE));
    assert_eq!(found.text.as_deref(), Some("found"), "{found:?}");
    assert!(started.elapsed() < NOT_BLOCKED);
}

#[test]
fn ending_an_exchange_does_not_wait_for_its_lookup() {
    let (_gate, opened) = mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    let hanging = move |_: &str| {
        let _ = opened.lock().unwrap().recv_timeout(BLOCKED);
        Ok(Vec::new())
    };
    let started = Instant::now();
    let mut exchange = Exchange::with_lookup(http("http://app/"), hanging);
    let found = exchange.poll(Deadline::within(Duration::from_millis(50)));
    assert_eq!(reason(&found), Reason::Timeout);
    drop(exchange);
    assert!(started.elapsed() < NOT_BLOCKED);
}

/// By today's rules of the client alone, the first address would take all the time.
#[test]
fn hanging_address_does_not_hide_a_good_one() {
    let (hangs, _held) = connect::tests::hanging("127.77.2.1");
    let listener = TcpListener::bind(("127.77.2.2", hangs.port())).unwrap();
    let good = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !server::request_head(&mut stream).is_empty() {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(ok("here").as_bytes());
            }
        }
    });
    let url = format!("http://app:{}/", good.port());
    let mut exchange = Exchange::with_lookup(http(&url), move |_| Ok(vec![hangs, good]));
    for poll in 1..=3 {
        let found = exchange.poll(Deadline::within(AMPLE));
        assert_eq!(found.text.as_deref(), Some("here"), "{found:?}");
        assert_eq!(connections.load(Ordering::SeqCst), poll);
    }
    // The preferred address stops: the other one is tried within the same poll.
    *exchange.preferred.0.lock().unwrap() = Some(hangs.ip());
    exchange.client = None;
    let found = exchange.poll(Deadline::within(Duration::from_secs(2)));
    assert_eq!(found.text.as_deref(), Some("here"), "{found:?}");
}
