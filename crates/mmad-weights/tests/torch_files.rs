//! Every kind of `PyTorch` file that `fixtures/make_fixtures.py` writes.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mmad_weights::{Error, HostTensor, StateDict, TorchError, read, read_all};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Elements `first..` of a float storage as the script fills it.
fn floats(indices: impl IntoIterator<Item = usize>) -> Vec<f32> {
    indices.into_iter().map(|i| i as f32 / 4.0 - 1.0).collect()
}

fn float_tensor(shape: &[usize], indices: impl IntoIterator<Item = usize>) -> HostTensor {
    HostTensor::from_f32(shape.to_vec(), floats(indices)).unwrap()
}

fn dict<const N: usize>(tensors: [(&str, HostTensor); N]) -> StateDict {
    tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into_iter().collect()
}

fn plain() -> StateDict {
    dict([
        ("conv1.weight", float_tensor(&[2, 1, 3, 3], 0..18)),
        ("bn1.running_mean", float_tensor(&[2], 0..2)),
        ("bn1.num_batches_tracked", HostTensor::from_i64(vec![], vec![-2]).unwrap()),
    ])
}

#[test]
fn one_state_dict_in_every_container_and_protocol() {
    for name in [
        "plain.pth",
        "protocol4.pth",
        "protocol5.pth",
        "deflated.pth",
        "no_folder.pth",
        "parallel.pth",
        "stream.pth",
        "stream_python2.pth",
        "checkpoint.pth",
    ] {
        assert_eq!(read(&fixture(name)).unwrap(), plain(), "{name}");
    }
}

#[test]
fn every_element_type_in_both_byte_orders() {
    let ints = |values: [i64; 5]| HostTensor::from_i64(vec![5], values.to_vec()).unwrap();
    let expected = dict([
        ("double", float_tensor(&[5], 0..5)),
        ("float", float_tensor(&[5], 0..5)),
        ("half", float_tensor(&[5], 0..5)),
        ("bfloat16", float_tensor(&[5], 0..5)),
        ("long", ints([-2, -1, 0, 1, 2])),
        ("int", ints([-2, -1, 0, 1, 2])),
        ("short", ints([-2, -1, 0, 1, 2])),
        ("char", ints([-2, -1, 0, 1, 2])),
        ("byte", ints([200, 201, 202, 203, 204])),
        ("bool", ints([0, 1, 0, 1, 0])),
    ]);
    assert_eq!(read(&fixture("kinds.pth")).unwrap(), expected);
    assert_eq!(read(&fixture("kinds_big_endian.pth")).unwrap(), expected);
}

#[test]
fn views_into_one_storage() {
    let transposed = (0..4).flat_map(|row| (0..6).map(move |column| row + 4 * column));
    let expected = dict([
        ("whole", float_tensor(&[2, 3, 4], 0..24)),
        ("transposed", float_tensor(&[4, 6], transposed)),
        ("offset", float_tensor(&[2, 2], [13, 14, 17, 18])),
        ("expanded", float_tensor(&[3, 2], [4, 5, 4, 5, 4, 5])),
        ("scalar", float_tensor(&[], [23])),
        ("empty", float_tensor(&[0, 4], [])),
    ]);
    assert_eq!(read(&fixture("views.pth")).unwrap(), expected);

    let parts =
        dict([("part", float_tensor(&[2, 3], 8..14)), ("whole", float_tensor(&[2, 3, 4], 0..24))]);
    assert_eq!(read(&fixture("stream_parts.pth")).unwrap(), parts);
}

#[test]
fn parameters_new_and_old() {
    let expected = dict([("new", float_tensor(&[2, 2], 0..4)), ("old", float_tensor(&[3], 0..3))]);
    assert_eq!(read(&fixture("parameters.pth")).unwrap(), expected);
    let expected = dict([
        ("conv", float_tensor(&[2, 3], 0..6)),
        ("bias", float_tensor(&[2], 0..2)),
        ("cut", float_tensor(&[2], 3..5)),
    ]);
    assert_eq!(read(&fixture("tar.pth")).unwrap(), expected);
}

#[test]
fn a_checkpoint_can_be_read_whole() {
    let all = read_all(&fixture("checkpoint.pth")).unwrap();
    let names: Vec<&str> = all.names().collect();
    assert_eq!(
        names,
        [
            "net.bn1.num_batches_tracked",
            "net.bn1.running_mean",
            "net.conv1.weight",
            "optimizer.state.0.exp_avg",
        ]
    );
    let parallel = read_all(&fixture("parallel.pth")).unwrap();
    assert!(parallel.get("module.conv1.weight").is_some());
}

#[test]
fn hostile_files_are_refused_and_nothing_runs() {
    for (name, asks_for) in [
        ("hostile.pth", "posix.system"),
        ("hostile_protocol4.pth", "posix.system"),
        ("hostile_stream.pth", "posix.system"),
        ("hostile_tar.pth", "builtins.eval"),
        ("namespace.pth", "types.SimpleNamespace"),
    ] {
        let error = read(&fixture(name)).unwrap_err();
        let is_refused = matches!(error, Error::Torch { reason: TorchError::Refused { .. }, .. });
        assert!(is_refused, "{error}");
        let text = error.to_string().replace("__builtin__", "builtins");
        assert!(text.contains(&format!("is refused: it asks Python for `{asks_for}`")), "{text}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("safetensors.torch.save_file"), "{hint}");
        assert!(hint.contains(&name.replace(".pth", ".safetensors")), "{hint}");
    }
}

#[test]
fn files_without_weights_say_so() {
    for (name, message) in [
        ("torchscript.pt", "is a TorchScript program, not a file of tensors"),
        ("other.zip", "has no part `data.pkl`"),
        ("settings.pth", "holds no tensor"),
    ] {
        let error = read(&fixture(name)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
