//! An end of HTTP/1.1 that writes and reads bytes, and so may behave as badly as it likes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for the next bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end of a connection, mostly the client's. Dropping it closes it.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// Opens a connection.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }

    /// An end of a connection that is open, as a server has it.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Opens a connection, sends one request without a body, and reads to the end.
    ///
    /// # Errors
    /// Those of the socket, until the request is sent, and [`io::ErrorKind::TimedOut`].
    pub async fn exchange(address: SocketAddr, method: &str, path: &str) -> io::Result<Vec<u8>> {
        let mut client = Self::open(address).await?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nte: trailers\r\n");
        client.send(format!("{head}connection: close\r\n\r\n").as_bytes()).await?;
        client.read_to_end().await
    }

    /// Sends bytes, whatever they are.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Says that no more will be sent, and stays to read.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn close_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Reads until `mark` has come, and no further than it must. What came is kept.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the connection ends before, and
    /// [`io::ErrorKind::TimedOut`] if nothing comes for ten seconds.
    pub async fn read_until(&mut self, mark: &str) -> io::Result<&[u8]> {
        let mut looked = 0;
        while !self.read[looked..].windows(mark.len()).any(|part| part == mark.as_bytes()) {
            // The mark may have begun in what was read before.
            looked = self.read.len().saturating_sub(mark.len());
            if timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(&self.read)
    }

    /// Forgets what was read so far.
    pub fn clear(&mut self) {
        self.read.clear();
    }

    /// Reads until the server closes or breaks the connection; all that came since it opened.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if nothing comes for ten seconds.
    pub async fn read_to_end(mut self) -> io::Result<Vec<u8>> {
        // A reset is an end like any other here.
        while let Ok(1..) = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await? {}
        Ok(self.read)
    }
}
