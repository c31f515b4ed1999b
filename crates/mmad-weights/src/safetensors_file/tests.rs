//! Round trips, and files that lie.

use proptest::prelude::*;

use super::*;
use crate::{parse, read};

fn sample() -> StateDict {
    let mut tensors = StateDict::new();
    tensors.insert("conv.weight", HostTensor::from_f32(vec![2, 3], vec![0.1; 6]).unwrap());
    tensors.insert("conv.bias", HostTensor::from_f32(vec![3], vec![0.1, -0.0, 1e-40]).unwrap());
    tensors.insert("scan", HostTensor::from_i64(vec![1, 1, 2], vec![i64::MIN, 7]).unwrap());
    tensors.insert("scalar", HostTensor::from_f32(vec![], vec![3.5]).unwrap());
    tensors.insert("empty", HostTensor::from_f32(vec![0, 4], vec![]).unwrap());
    tensors
}

fn written(tensors: &StateDict, precision: Precision) -> (Vec<u8>, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let metadata: BTreeMap<String, String> =
        ["b", "a", "c"].map(|key| (key.to_owned(), format!("value \"{key}\"\n"))).into();
    write_safetensors(&path, tensors, &metadata, precision).unwrap();
    assert_eq!(read(&path).unwrap().len(), tensors.len());
    (std::fs::read(&path).unwrap(), read_metadata(&path).unwrap())
}

fn reparse(bytes: &[u8]) -> Result<StateDict, Error> {
    parse(bytes, Path::new("w.safetensors"), Tensors::All)
}

#[test]
fn a_round_trip_keeps_every_bit_and_the_metadata() {
    let tensors = sample();
    let (bytes, metadata) = written(&tensors, Precision::Full);
    let back = reparse(&bytes).unwrap();
    assert_eq!(back, tensors);
    assert_eq!(back.sha256(), tensors.sha256(), "also the sign of zero");
    assert_eq!(metadata.get("b").unwrap(), "value \"b\"\n");
    assert_eq!(written(&tensors, Precision::Full).0, bytes, "equal input, equal bytes");
}

#[test]
fn every_tensor_is_aligned() {
    let (bytes, _) = written(&sample(), Precision::HalfMatrices);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data_start = bytes.as_ptr() as usize;
    for (name, view) in file.iter() {
        let at = view.data().as_ptr() as usize - data_start;
        assert_eq!(at % (view.dtype().bitsize() / 8), 0, "{name}");
    }
}

#[test]
fn half_precision_touches_matrices_only() {
    let mut tensors = sample();
    tensors.insert("wide", HostTensor::from_f32(vec![1, 2], vec![1e6, 1.0]).unwrap());
    let (bytes, _) = written(&tensors, Precision::HalfMatrices);
    let back = reparse(&bytes).unwrap();
    for name in ["conv.bias", "scan", "scalar", "empty", "wide"] {
        assert_eq!(back.get(name), tensors.get(name), "{name}");
    }
    let rounded = f16::from_f32(0.1).to_f32();
    assert_eq!(back.get("conv.weight").unwrap().as_f32().unwrap(), [rounded; 6]);
    assert!((rounded - 0.1).abs() < 0.1 / 2048.0, "11 significant bits");
}

#[test]
fn a_name_that_the_format_reserves_is_refused() {
    let mut tensors = sample();
    tensors.insert(METADATA, HostTensor::from_f32(vec![], vec![0.0]).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let result = write_safetensors(&path, &tensors, &BTreeMap::new(), Precision::Full);
    assert!(matches!(result, Err(Error::DuplicateName { .. })));
    assert!(!path.exists());
}

fn file(header: &str, n_data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + n_data_bytes, 0);
    bytes
}

/// A header of 640 bytes begins like a pickle, one of 0x04034b50 would begin like a zip file.
#[test]
fn the_length_of_a_header_is_no_file_magic() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    for n_bytes in [0x280, 0x380, 0x480, 0x580] {
        let bytes = file(&format!("{header:n_bytes$}"), 1);
        assert_eq!(&bytes[..2], [0x80, (n_bytes >> 8) as u8]);
        assert_eq!(reparse(&bytes).unwrap().len(), 1);
    }
}

#[test]
fn errors_name_the_tensor() {
    let good = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    for (header, n_data_bytes, message) in [
        (format!("{{{good}}}"), 7, "its tensors do not fill the file"),
        (format!("{{{good}}}"), 9, "its tensors do not fill the file"),
        (
            format!(r#"{{{good},"b.c":{{"dtype":"F16","shape":[3],"data_offsets":[8,12]}}}}"#),
            12,
            "tensor `b.c` has another size than its shape says",
        ),
        (
            format!(r#"{{{good},"b":{{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}}}"#),
            8,
            "tensor `b` does not begin where the one before it ends",
        ),
        (
            format!(r#"{{{good},"b":{{"dtype":"C64","shape":[1],"data_offsets":[8,16]}}}}"#),
            16,
            "tensor `b` in `w.safetensors` holds elements of type C64",
        ),
        (format!("{{{good}"), 8, "JSON"),
    ] {
        let error = reparse(&file(&header, n_data_bytes)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let too_large = file(r#"{"n":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}"#, 0);
    let error = reparse(&[too_large, vec![0xff; 8]].concat()).unwrap_err().to_string();
    assert!(error.contains("tensor `n`") && error.contains("18446744073709551615"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (bytes, _) = written(&sample(), Precision::Full);
    for end in 0..bytes.len() {
        assert!(reparse(&bytes[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn other_types_are_widened() {
    let header = r#"{"b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},
        "d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},
        "u":{"dtype":"U8","shape":[2],"data_offsets":[10,12]}}"#;
    let mut bytes = file(header, 0);
    bytes.extend(0.75_f64.to_le_bytes());
    bytes.extend(half::bf16::from_f32(-2.0).to_le_bytes());
    bytes.extend([255, 1]);
    let tensors = reparse(&bytes).unwrap();
    assert_eq!(tensors.get("d").unwrap().as_f32().unwrap(), [0.75]);
    assert_eq!(tensors.get("b").unwrap().as_f32().unwrap(), [-2.0]);
    assert_eq!(tensors.get("u").unwrap().as_i64().unwrap(), [255, 1]);
}

#[test]
fn the_parallel_prefix_goes_only_when_all_have_it() {
    let one = |names: [&str; 2]| {
        let tensors: StateDict = names
            .map(|name| (name.to_owned(), HostTensor::from_f32(vec![], vec![0.0]).unwrap()))
            .into_iter()
            .collect();
        let (bytes, _) = written(&tensors, Precision::Full);
        let model = parse(&bytes, Path::new("w"), Tensors::Model).unwrap();
        model.names().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(one(["module.a", "module.b"]), ["a", "b"]);
    assert_eq!(one(["module.a", "b"]), ["b", "module.a"]);
}

#[test]
fn metadata_of_other_files_is_an_error_or_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    for (bytes, expected) in [
        (&b"abc"[..], None),
        (&[0xff; 64], None),
        (&file("not json", 0), None),
        (&file(r#"{"__metadata__":[1]}"#, 0), None),
        (&file("{}", 0), Some(0)),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read_metadata(&path).ok().map(|metadata| metadata.len()), expected);
    }
}

fn any_tensor() -> impl Strategy<Value = HostTensor> {
    proptest::collection::vec(0_usize..4, 0..4).prop_flat_map(|shape| {
        let n: usize = shape.iter().product();
        let (float_shape, int_shape) = (shape.clone(), shape);
        prop_oneof![
            proptest::collection::vec(any::<f32>(), n).prop_map(move |v| HostTensor::from_f32(
                float_shape.clone(),
                v
            )
            .unwrap()),
            proptest::collection::vec(any::<i64>(), n).prop_map(move |v| HostTensor::from_i64(
                int_shape.clone(),
                v
            )
            .unwrap()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_state_dict_survives(
        named in proptest::collection::btree_map("[a-z.\"\\\\é]{0,8}", any_tensor(), 1..6),
    ) {
        let tensors: StateDict = named.into_iter().collect();
        let (bytes, _) = written(&tensors, Precision::Full);
        // By digest, because NaN differs from itself.
        prop_assert_eq!(reparse(&bytes).unwrap().sha256(), tensors.sha256());
    }

    #[test]
    fn random_headers_never_panic(text in "\\PC{0,80}", n_data_bytes in 0_usize..16) {
        let _ = reparse(&file(&format!("{{{text}"), n_data_bytes));
        let _ = reparse(&file(&format!(r#"{{"a":{{{text}}}}}"#), n_data_bytes));
    }
}
