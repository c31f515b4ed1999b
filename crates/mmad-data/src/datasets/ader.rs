//! `ADer`: one `meta.json` that names every picture and its mask, for any data set.
//!
//! Source: the files written by `ADer`'s index generators: `{split: {class: [record]}}` with
//! `img_path`, `mask_path`, `specie_name` (kind of defect) and `anomaly` (0 or 1). Difference:
//! those generators pair masks by position in sorted lists; here a mask whose name is not its
//! picture's is reported and not used.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::entries::{Entry, index_entries};
use super::{DatasetLayout, Index, IndexOptions};
use crate::dataset::Split;
use crate::error::DataError;

pub(super) const LAYOUT: DatasetLayout = DatasetLayout {
    id: "ader",
    about: "meta.json that names every picture and its mask (ADer)",
    example_tree: &[
        "pcb/normal/0000.png",
        "pcb/normal/0001.png",
        "pcb/broken/000.png",
        "pcb/broken/001.png",
        "pcb/truth/000.png",
        "pcb/truth/001.png",
    ],
    example_index: Some((
        INDEX,
        r#"{
  "train": {"pcb": [
    {"img_path": "pcb/normal/0000.png", "mask_path": "", "cls_name": "pcb", "specie_name": "", "anomaly": 0}
  ]},
  "test": {"pcb": [
    {"img_path": "pcb/normal/0001.png", "mask_path": "", "cls_name": "pcb", "specie_name": "good", "anomaly": 0},
    {"img_path": "pcb/broken/000.png", "mask_path": "pcb/truth/000.png", "cls_name": "pcb", "specie_name": "broken", "anomaly": 1},
    {"img_path": "pcb/broken/001.png", "mask_path": "pcb/truth/001.png", "cls_name": "pcb", "specie_name": "broken", "anomaly": 1}
  ]}
}
"#,
    )),
    detect,
    index,
};

const INDEX: &str = "meta.json";

#[derive(Deserialize)]
struct Meta {
    train: BTreeMap<String, Vec<Record>>,
    test: BTreeMap<String, Vec<Record>>,
}

#[derive(Deserialize)]
struct Record {
    img_path: String,
    #[serde(default)]
    mask_path: Option<String>,
    #[serde(default)]
    specie_name: Option<String>,
    anomaly: u8,
}

fn detect(root: &Path) -> bool {
    root.join(INDEX).is_file()
}

fn index(root: &Path, _options: &IndexOptions) -> Result<Index, DataError> {
    let file = root.join(INDEX);
    let bytes = std::fs::read(&file).map_err(DataError::io(&file))?;
    let meta: Meta = serde_json::from_slice(&bytes)
        .map_err(|error| DataError::Index { file: file.clone(), what: error.to_string() })?;
    let mut entries = Vec::new();
    for (split, classes) in [(Split::Train, meta.train), (Split::Test, meta.test)] {
        for (class, records) in classes {
            for (i, record) in records.into_iter().enumerate() {
                let kind = record.specie_name.filter(|kind| !kind.is_empty());
                entries.push(Entry {
                    place: format!("{}, {class}, record {}", split.name(), i + 1),
                    class: class.clone(),
                    split,
                    defect: (record.anomaly != 0)
                        .then(|| kind.unwrap_or_else(|| "defect".to_owned())),
                    picture: record.img_path,
                    mask: record.mask_path.unwrap_or_default(),
                });
            }
        }
    }
    index_entries(root, &file, entries)
}
