//! A registry of a few lines that wants a token, as large public ones do, and counts what it is asked.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// `user:secret`.
pub(crate) const CREDENTIALS: &str = "dXNlcjpzZWNyZXQ=";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) struct Registry {
    pub(crate) address: String,
    pub(crate) manifests_served: AtomicUsize,
    blobs: BTreeMap<String, Vec<u8>>,
    manifest: Vec<u8>,
}

impl Registry {
    /// Serves the image of an archive as `IMAGE:v1`, whatever the image's name.
    pub(crate) async fn start(archive: &Path) -> Arc<Self> {
        let mut blobs = BTreeMap::new();
        let mut manifest = Vec::new();
        let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            if let Some(hash) = path.strip_prefix("blobs/sha256/") {
                if bytes.starts_with(b"{\"schemaVersion\"") {
                    manifest.clone_from(&bytes);
                }
                blobs.insert(format!("sha256:{hash}"), bytes);
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            manifests_served: AtomicUsize::new(0),
            blobs,
            manifest,
        });
        let server = Arc::clone(&this);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        this
    }

    /// Answers one request, and hangs up.
    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut path, mut authorization) = (String::new(), String::new());
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap() > 2 {
            let text = line.trim();
            if path.is_empty() {
                path = text.split(' ').nth(1).unwrap().to_owned();
            } else if let Some((name, value)) = text.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                value.clone_into(&mut authorization);
            }
            line.clear();
        }
        let (status, headers, body) = self.answer(&path, &authorization);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who has what it wanted may hang up.
        stream.write_all(body).await.ok();
    }

    fn answer(&self, path: &str, authorization: &str) -> (&str, String, &[u8]) {
        let realm = format!(
            "www-authenticate: Bearer realm=\"http://{}/token\",service=\"test\"\r\n",
            self.address
        );
        if path.starts_with("/token") {
            return match authorization.strip_prefix("Basic ") {
                Some(CREDENTIALS) => (
                    "200 OK",
                    "content-type: application/json\r\n".to_owned(),
                    b"{\"token\":\"open-sesame\"}",
                ),
                _ => ("401 Unauthorized", String::new(), b""),
            };
        }
        if authorization != "Bearer open-sesame" {
            return ("401 Unauthorized", realm, b"");
        }
        if path == "/v2/box/manifests/v1" {
            self.manifests_served.fetch_add(1, Ordering::Relaxed);
            let kind = format!("content-type: {MANIFEST}\r\n");
            return ("200 OK", kind, &self.manifest);
        }
        let blob = path.strip_prefix("/v2/box/blobs/");
        match blob.and_then(|digest| self.blobs.get(digest)) {
            Some(blob) => ("200 OK", String::new(), blob),
            None => ("404 Not Found", String::new(), b""),
        }
    }
}
