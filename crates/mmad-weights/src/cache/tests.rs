//! Imports into temporary folders.

use super::*;
use crate::{HostTensor, compare};

const DATE: &str = "2024-01-31";

struct Bench {
    _folder: tempfile::TempDir,
    cache: WeightCache,
    inbox: PathBuf,
}

/// An empty cache, and a folder for files to import.
fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    fs::create_dir(&inbox).unwrap();
    Bench { cache: WeightCache::at(folder.path().join("cache")), inbox, _folder: folder }
}

impl Bench {
    fn file(&self, name: &str, values: &[f32]) -> PathBuf {
        let mut tensors = StateDict::new();
        let tensor = HostTensor::from_f32(vec![values.len()], values.to_vec()).unwrap();
        tensors.insert("w", tensor);
        let path = self.inbox.join(name);
        write_safetensors(&path, &tensors, &BTreeMap::new(), Precision::Full).unwrap();
        path
    }

    fn import(&self, file: &Path, id: Option<&str>) -> Result<Imported, Error> {
        self.cache.import(file, id, DATE, |_, tensors| compare(&[("w", [2])], tensors))
    }

    fn ids(&self) -> Vec<String> {
        self.cache.list().unwrap().into_iter().map(|entry| entry.id).collect()
    }
}

#[test]
fn the_folder_comes_from_the_variable_or_the_platform() {
    let root = |variable: Option<&str>, platform: Option<&str>| {
        WeightCache::choose(variable.map(Into::into), platform.map(Into::into))
            .map(|cache| cache.root().to_owned())
    };
    assert_eq!(root(Some("a"), Some("b")).unwrap(), Path::new("a/weights"));
    assert_eq!(root(Some(""), Some("b")).unwrap(), Path::new("b/mmad/weights"));
    assert_eq!(root(None, Some("b")).unwrap(), Path::new("b/mmad/weights"));
    assert!(matches!(root(None, None), Err(Error::NoCacheFolder)));
}

#[test]
fn an_import_can_be_listed_found_loaded_and_removed() {
    let bench = bench();
    assert!(bench.ids().is_empty(), "a cache that does not exist yet is empty");
    let file = bench.file("mine-v2.safetensors", &[1.0, -2.0]);
    let imported = bench.import(&file, None).unwrap();
    assert_eq!((imported.id.as_str(), imported.was_cached), ("mine-v2", false));
    assert_eq!((imported.n_tensors, imported.n_elements), (1, 2));
    assert_eq!(imported.origin_sha256, hex(&Sha256::digest(fs::read(&file).unwrap())));
    assert_eq!(imported.known, None);

    assert_eq!(bench.ids(), ["mine-v2"]);
    let entry = bench.cache.find("mine-v2").unwrap();
    let metadata = entry.metadata.unwrap();
    assert_eq!(metadata[metadata_key::ORIGIN], "mine-v2.safetensors");
    assert_eq!(metadata[metadata_key::IMPORTED_ON], DATE);
    assert_eq!(metadata[metadata_key::ORIGIN_SHA256], imported.origin_sha256);
    let tensors = bench.cache.load("mine-v2").unwrap();
    assert_eq!(tensors.get("w").unwrap().as_f32().unwrap(), [1.0, -2.0]);

    bench.cache.remove("mine-v2").unwrap();
    assert!(matches!(bench.cache.find("mine-v2"), Err(Error::NotInCache { .. })));
}

#[test]
fn the_same_again_is_fine_and_other_content_is_not() {
    let bench = bench();
    let first = bench.file("a.safetensors", &[1.0, 2.0]);
    bench.import(&first, Some("x")).unwrap();
    assert!(bench.import(&first, Some("x")).unwrap().was_cached);
    let other = bench.file("b.safetensors", &[1.0, 3.0]);
    let error = bench.import(&other, Some("x")).unwrap_err();
    assert!(matches!(error, Error::IdTaken { .. }), "{error}");
    assert_eq!(bench.cache.load("x").unwrap().get("w").unwrap().as_f32().unwrap(), [1.0, 2.0]);
}

#[test]
fn damage_in_the_cache_is_seen_and_healed_by_a_new_import() {
    let bench = bench();
    let file = bench.file("a.safetensors", &[1.0, 2.0]);
    let path = bench.import(&file, Some("x")).unwrap().path;
    let good = fs::read(&path).unwrap();

    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = bench.cache.load("x").unwrap_err();
    assert!(matches!(error, Error::Altered { .. }), "{error}");
    assert!(!bench.import(&file, Some("x")).unwrap().was_cached);
    assert_eq!(fs::read(&path).unwrap(), good);

    // A file that is no safetensors file at all stays visible in the list.
    fs::write(&path, b"junk").unwrap();
    let entries = bench.cache.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].metadata.is_err());
    assert!(!bench.import(&file, Some("x")).unwrap().was_cached);
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[test]
fn weights_that_do_not_fit_or_are_not_finite_stay_out() {
    let bench = bench();
    let file = bench.file("a.safetensors", &[1.0, 2.0, 3.0]);
    let error = bench.import(&file, None).unwrap_err();
    assert!(error.to_string().contains("`w` is [3], expected [2]"), "{error}");
    let file = bench.file("b.safetensors", &[1.0, f32::NAN]);
    let error = bench.import(&file, None).unwrap_err();
    assert!(error.to_string().contains("not finite at position 1"), "{error}");
    assert!(bench.ids().is_empty());
}

#[test]
fn a_published_name_needs_the_published_bytes() {
    let bench = bench();
    let file = bench.file("resnet34-43635321.pth", &[1.0, 2.0]);
    let error = bench.import(&file, Some("mine")).unwrap_err();
    assert!(error.to_string().contains("is not `resnet34-43635321.pth`"), "{error}");
    let file = bench.file("a.safetensors", &[1.0, 2.0]);
    let error = bench.import(&file, Some("resnet34.bt_in1k")).unwrap_err();
    assert!(error.to_string().contains("begins with 43635321"), "{error}");
    assert!(bench.ids().is_empty());
}

#[test]
fn ids_are_plain_file_names() {
    for id in ["resnet34.bt_in1k", "a", "A-1_b.c", "0"] {
        assert!(is_valid_id(id), "{id}");
    }
    let long = "x".repeat(65);
    for id in
        ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "a b", "é", "a\0", "x.", &long]
    {
        assert!(!is_valid_id(id), "{id}");
    }
    let bench = bench();
    assert!(matches!(bench.cache.find("../inbox/a"), Err(Error::BadId { .. })));
    let file = bench.file("with space.safetensors", &[1.0, 2.0]);
    assert!(matches!(bench.import(&file, None), Err(Error::BadId { .. })));
}

#[test]
fn only_whole_files_are_listed() {
    let bench = bench();
    for id in ["b", "a", "c"] {
        bench.import(&bench.file("f.safetensors", &[1.0, 2.0]), Some(id)).unwrap();
    }
    fs::write(bench.cache.root().join(".incomplete-x"), b"half").unwrap();
    fs::write(bench.cache.root().join("notes.txt"), b"text").unwrap();
    assert_eq!(bench.ids(), ["a", "b", "c"]);
}
