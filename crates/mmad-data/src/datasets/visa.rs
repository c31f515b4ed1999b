//! `VisA`: `split_csv/1cls.csv` names every picture and its mask.
//!
//! Source: Zou et al. 2022, "SPot-the-Difference", and the files as distributed: the columns
//! `object,split,label,image,mask` with `train` or `test` and `normal` or `anomaly`.

use std::path::Path;

use super::entries::{Entry, index_entries};
use super::{DatasetLayout, Index, IndexOptions};
use crate::dataset::Split;
use crate::error::DataError;

pub(super) const LAYOUT: DatasetLayout = DatasetLayout {
    id: "visa",
    about: "split_csv/1cls.csv beside <class>/Data/Images and <class>/Data/Masks (VisA)",
    example_tree: &[
        "candle/Data/Images/Normal/0000.JPG",
        "candle/Data/Images/Normal/0001.JPG",
        "candle/Data/Images/Anomaly/000.JPG",
        "candle/Data/Images/Anomaly/001.JPG",
        "candle/Data/Masks/Anomaly/000.png",
        "candle/Data/Masks/Anomaly/001.png",
    ],
    example_index: Some((
        INDEX,
        "object,split,label,image,mask\n\
         candle,train,normal,candle/Data/Images/Normal/0000.JPG,\n\
         candle,test,normal,candle/Data/Images/Normal/0001.JPG,\n\
         candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n\
         candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png\n",
    )),
    detect,
    index,
};

const INDEX: &str = "split_csv/1cls.csv";
const COLUMNS: [&str; 5] = ["object", "split", "label", "image", "mask"];

fn detect(root: &Path) -> bool {
    root.join(INDEX).is_file()
}

fn index(root: &Path, _options: &IndexOptions) -> Result<Index, DataError> {
    let file = root.join(INDEX);
    let bytes = std::fs::read(&file).map_err(DataError::io(&file))?;
    let wrong = |what: String| DataError::Index { file: file.clone(), what };

    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&*bytes);
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let mut columns = [0; COLUMNS.len()];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = headers
            .iter()
            .position(|header| header == name)
            .ok_or_else(|| wrong(format!("there is no column `{name}`")))?;
    }

    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let place = format!("line {}", record.position().map_or(0, csv::Position::line));
        let [class, split, label, picture, mask] =
            columns.map(|column| record.get(column).unwrap_or_default().to_owned());
        let split = match &*split {
            "train" => Split::Train,
            "test" => Split::Test,
            _ => {
                return Err(wrong(format!("{place}: split is `{split}`, not `train` or `test`")));
            }
        };
        let defect = match &*label {
            "normal" => None,
            "anomaly" => Some(label),
            _ => {
                let what = format!("{place}: label is `{label}`, not `normal` or `anomaly`");
                return Err(wrong(what));
            }
        };
        entries.push(Entry { place, class, split, defect, picture, mask });
    }
    index_entries(root, &file, entries)
}
