//! `mmad weights`: a cache of checked files, and downloads that keep nothing unchecked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use mmad_weights::{HostTensor, StateDict, read};

use super::program::{TINY, Work, names_in, reference_data};

#[test]
fn imported_weights_are_used_by_their_id() {
    let Some(file) = reference_data("weights/resnet18_imagenet_pq.safetensors") else { return };
    let work = Work::with_pictures();
    std::fs::copy(file, work.path("resnet18_pq.safetensors")).unwrap();
    let imported = work.ok("weights import resnet18_pq.safetensors --json").json();
    assert_eq!(imported["id"], "resnet18_pq");
    assert_eq!(imported["published"], serde_json::Value::Null);
    // The file may go; the cache has what is needed.
    std::fs::remove_file(work.path("resnet18_pq.safetensors")).unwrap();
    assert_eq!(
        work.ok("weights list --json").json()["imported"],
        serde_json::json!(["resnet18_pq"])
    );
    assert!(work.ok("weights list").stdout.contains("resnet18_pq"));

    let settings = format!("{TINY} --epochs 1 --class gear --encoder resnet18");
    work.ok(&format!("train pics -o run {settings} --weights resnet18_pq"));
    let cached = read(&work.path("cache/weights/resnet18_pq.safetensors")).unwrap();
    let model = work.tensors("run/model.mmad");
    let name = "layer3.1.conv2.weight";
    assert_eq!(model.get(&format!("net_t.{name}")), cached.get(name), "the encoder is frozen");

    let message = work.fails(&format!(
        "train pics -o other {TINY} --epochs 1 --encoder resnet34 --weights resnet18_pq -q"
    ));
    assert!(message.contains("does not fit resnet34"), "{message}");

    // A cache that was changed is not trusted.
    let path = work.path("cache/weights/resnet18_pq.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = work.fails(&format!("train pics -o third {settings} --weights resnet18_pq -q"));
    assert!(message.contains("has changed"), "{message}");
}

#[test]
fn files_that_fit_no_encoder_are_not_kept() {
    let work = Work::with_model();
    let tensor = |shape: &[usize]| {
        let n_values = shape.iter().product();
        HostTensor::from_f32(shape.to_vec(), vec![0.5; n_values]).unwrap()
    };
    let model = work.tensors("run/model.mmad");
    let encoder: StateDict = model
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix("net_t.")?.to_owned(), t.clone())))
        .collect();
    let mut wrong = encoder.clone();
    wrong.insert("conv1.weight", tensor(&[64, 3, 3, 3]));
    work.write_tensors("wrong.safetensors", &wrong, None);
    let mut broken = encoder.clone();
    broken.insert("bn1.bias", HostTensor::from_f32(vec![64], vec![f32::NAN; 64]).unwrap());
    work.write_tensors("broken.safetensors", &broken, None);
    work.write("text.pth", b"not a checkpoint");
    for (line, expected) in [
        ("wrong.safetensors", "`conv1.weight` is [64, 3, 3, 3], expected [64, 3, 7, 7]"),
        ("broken.safetensors", "not finite"),
        ("text.pth", "is not a weight file"),
        ("nowhere.pth", "`nowhere.pth`"),
        ("run/model.mmad", "does not fit"),
        ("wrong.safetensors --encoder resnet99", "the encoders are: resnet10"),
        ("wrong.safetensors --id ../escape", "cannot be the id"),
        ("wrong.safetensors --id resnet18.tv_old", "SHA-256"),
    ] {
        let message = work.fails(&format!("weights import {line}"));
        assert!(message.contains(expected), "{line}: {message}");
    }
    assert!(names_in(&work.path("cache/weights")).is_empty());

    work.write_tensors("mine.safetensors", &encoder, None);
    work.ok("weights import mine.safetensors");
    work.ok("weights import mine.safetensors --encoder resnet10 --id again");
    assert!(work.fails("weights import mine.safetensors --encoder resnet18").contains("missing"));
    assert_eq!(names_in(&work.path("cache/weights")), ["again.safetensors", "mine.safetensors"]);
}

/// Serves `body` once on this machine; the address, and the first line of the request.
fn serve_once(body: &'static [u8]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, received) = mpsc::channel();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        send.send(first).unwrap();
    };
    std::thread::Builder::new().name("server".to_owned()).spawn(serve).unwrap();
    (address, received)
}

#[test]
fn a_download_with_another_digest_is_not_kept() {
    let work = Work::new();
    let (address, received) = serve_once(b"<html>please log in</html>");
    let message = work.fails(&format!("weights pull resnet18.tv_old --from {address} -q"));
    let request = received.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(request.starts_with("GET /resnet18-5c106cde.pth "), "{request}");
    assert!(message.contains("SHA-256") && message.contains("5c106cde"), "{message}");
    assert!(message.contains("nothing was kept"), "{message}");
    assert!(names_in(&work.path("cache/weights")).is_empty());
}

#[test]
fn a_download_that_cannot_be_made_says_what_to_do() {
    let work = Work::new();
    assert!(work.fails("weights pull nonsense").contains("known ids: resnet34.bt_in1k"));
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = work.fails(&format!("weights pull resnet18.tv_old --from http://{address} -q"));
    assert!(message.contains("mmad weights import FILE"), "{message}");
}
