//! A listening address with a thread behind it, which can be closed and opened again.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Accepts connections and hands them over, one after the other, until closed.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens on `address`. `serve` gets each connection, one after the other.
    ///
    /// # Panics
    /// Where the address is taken.
    #[must_use]
    pub fn open(address: SocketAddr, mut serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener =
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let closing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closing);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(stream) = stream {
                    serve(stream);
                }
            }
        });
        Self {
            address,
            closing,
            thread: Some(thread),
        }
    }

    /// Stops listening: when this returns, a connection is refused.
    pub fn close(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the thread out of accept; it is refused only if the thread has ended already.
        let _ = TcpStream::connect(self.address);
        let served = thread.join();
        if !std::thread::panicking() {
            served.expect("what serves connections does not panic");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
