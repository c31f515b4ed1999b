//! Downloads from a small server on this machine. No test leaves it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use super::*;

const ID: &str = "resnet34.bt_in1k";

/// Serves `n_requests` connections with `answer`, which gets the path and the open connection.
/// Returns the address.
fn serve(n_requests: usize, answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::Builder::new()
        .name("test server".to_owned())
        .spawn(move || {
            for _ in 0..n_requests {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                reader.read_line(&mut request).unwrap();
                let mut header = String::new();
                while reader.read_line(&mut header).unwrap() > 2 {
                    header.clear();
                }
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                answer(&path, &mut stream);
            }
        })
        .unwrap();
    address
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // The client may have hung up already, which is its right.
    let _ = stream.write_all(body);
}

fn send_file(stream: &mut TcpStream, body: &[u8]) {
    send(stream, "200 OK", &format!("Content-Length: {}\r\n", body.len()), body);
}

struct Pulled {
    result: Result<Imported, Error>,
    reports: Vec<Progress>,
    /// Files in the cache folder afterwards.
    left: Vec<String>,
}

fn pull_from(address: &str) -> Pulled {
    pull_entry(address, KnownWeights::by_id(ID).unwrap())
}

fn pull_entry(address: &str, known: &KnownWeights) -> Pulled {
    let folder = tempfile::tempdir().unwrap();
    let cache = WeightCache::at(folder.path().join("weights"));
    let options = PullOptions {
        base_url: Some(address),
        patience: Duration::from_millis(400),
        use_proxy: false,
    };
    let mut reports = Vec::new();
    let result = pull_known(
        &cache,
        known,
        &options,
        "2024-01-31",
        |_, _| Comparison::default(),
        |progress| reports.push(progress),
    );
    let left = names(cache.root());
    Pulled { result, reports, left }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The failure, after checking that it left nothing behind and says how to go on by hand.
fn failure(pulled: Pulled) -> PullError {
    assert_eq!(pulled.left, [""; 0], "nothing may be left behind");
    let error = pulled.result.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("mmad weights import FILE"), "{hint}");
    assert!(!hint.ends_with('.') && !error.to_string().ends_with('.'), "{error}: {hint}");
    match error {
        Error::Pull { url, reason } => {
            assert!(url.ends_with("/resnet34-43635321.pth"), "{url}");
            reason
        }
        other => panic!("{other}"),
    }
}

/// 100 KB that are surely not the published file.
fn wrong_file() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i * 7) as u8).collect()
}

/// The one good case. No published file is at hand, so a small file gets an entry of its own.
#[test]
fn the_right_file_is_checked_and_imported() {
    let body = include_bytes!("../../tests/fixtures/plain.pth");
    let sha256: &'static str = hex(&Sha256::digest(body)).leak();
    let known = KnownWeights {
        id: "resnet18.test",
        encoder: "resnet18",
        file_name: "plain-00000000.pth",
        url: "https://localhost/plain-00000000.pth",
        sha256_prefix: &sha256[..8],
        note: "for this test",
    };
    let address = serve(1, move |path, stream| {
        assert_eq!(path, "/mirror/plain-00000000.pth");
        send_file(stream, body);
    });
    let pulled = pull_entry(&format!("{address}/mirror/"), &known);
    let imported = pulled.result.unwrap();
    assert_eq!(imported.id, "resnet18.test");
    assert_eq!(imported.origin_sha256, sha256);
    assert_eq!(imported.n_tensors, 3);
    assert_eq!(pulled.left, ["resnet18.test.safetensors"]);
    assert_eq!(pulled.reports.first().unwrap().n_received, 0);
    assert_eq!(pulled.reports.last().unwrap().n_received, body.len() as u64);
}

#[test]
fn a_wrong_file_is_not_kept() {
    let address = serve(1, |path, stream| {
        assert_eq!(path, "/resnet34-43635321.pth");
        send_file(stream, &wrong_file());
    });
    let pulled = pull_from(&address);
    let last = *pulled.reports.last().unwrap();
    assert_eq!((last.n_received, last.n_bytes), (100_000, Some(100_000)));
    assert!(pulled.reports.is_sorted_by_key(|progress| progress.n_received));
    match failure(pulled) {
        PullError::WrongDigest { expected, found } => {
            assert_eq!(expected, KnownWeights::by_id(ID).unwrap().sha256_prefix);
            assert_eq!(found.len(), 64);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_connection_that_ends_early_is_noticed() {
    let address = serve(1, |_, stream| {
        send(stream, "200 OK", "Content-Length: 100000\r\n", &wrong_file()[..30_000]);
    });
    match failure(pull_from(&address)) {
        PullError::Truncated { n_received, n_bytes } => {
            assert_eq!((n_received, n_bytes), (30_000, 100_000));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_missing_file_is_an_error_with_its_status() {
    let address = serve(1, |_, stream| send(stream, "404 Not Found", "Content-Length: 0\r\n", b""));
    assert!(matches!(failure(pull_from(&address)), PullError::Status { status: 404 }));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    // One falls silent before the answer, one in the middle of the file.
    for n_sent in [None, Some(20_000)] {
        let address = serve(1, move |_, stream| {
            if let Some(n_sent) = n_sent {
                send(stream, "200 OK", "Content-Length: 100000\r\n", &wrong_file()[..n_sent]);
            }
            thread::sleep(Duration::from_secs(20));
        });
        let started = Instant::now();
        match failure(pull_from(&address)) {
            PullError::Stalled { n_received, .. } => {
                assert_eq!(n_received, n_sent.unwrap_or(0) as u64);
            }
            other => panic!("{other}"),
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

#[test]
fn slow_is_not_silent() {
    let address = serve(1, |_, stream| {
        send(stream, "200 OK", "Content-Length: 60\r\n", b"");
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(150)); // 0.9 s in all, patience is 0.4 s
            stream.write_all(b"0123456789").unwrap();
        }
    });
    assert!(matches!(failure(pull_from(&address)), PullError::WrongDigest { .. }));
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let address = serve(2, |path, stream| {
        if path.starts_with("/moved") {
            send_file(stream, &wrong_file());
        } else {
            send(stream, "302 Found", "Location: /moved/here\r\nContent-Length: 0\r\n", b"");
        }
    });
    assert!(matches!(failure(pull_from(&address)), PullError::WrongDigest { .. }));

    let address = serve(10, |_, stream| {
        send(stream, "302 Found", "Location: /again\r\nContent-Length: 0\r\n", b"");
    });
    let reason = failure(pull_from(&address));
    assert!(reason.to_string().contains("redirect"), "{reason}");
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(failure(pull_from(&address)), PullError::Connection { .. }));
}

#[test]
fn a_file_that_is_too_large_is_not_begun() {
    let address =
        serve(1, |_, stream| send(stream, "200 OK", "Content-Length: 99999999999\r\n", b"x"));
    assert!(matches!(failure(pull_from(&address)), PullError::TooLarge { .. }));
}

#[test]
fn an_unknown_id_reaches_nobody() {
    let cache = WeightCache::at("never created");
    let expect = |_: &str, _: &StateDict| Comparison::default();
    let options = PullOptions::default();
    let error = pull(&cache, "resnet34.unheard_of", &options, "", expect, |_| {}).unwrap_err();
    assert!(matches!(error, Error::UnknownId { .. }), "{error}");
    assert!(error.hint().unwrap().contains(ID));
    assert!(!cache.root().exists());
}
