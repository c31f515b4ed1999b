//! `mmad bench`: runs, rows and tables; what is done is not done again.

use super::program::Work;

const TINY_RUNS: &str = r#"
seeds = [1, 2]

[[data]]
name = "parts"
path = "pics"
quoted = "mvtec-ad"

[[run]]
method = "uniad"
set = ["train.epochs=1", "train.minutes=0", "data.height_px=64", "data.width_px=64",
       "uniad.hidden=16", "uniad.feed_forward=16", "uniad.encoder_layers=1",
       "uniad.decoder_layers=1", "data.classes=[\"gear\", \"wood\"]"]
"#;

#[test]
fn rows_and_tables_come_out_and_nothing_is_done_twice() {
    let work = Work::with_pictures();
    work.write("bench.toml", TINY_RUNS.as_bytes());
    let text = work.ok("bench bench.toml -o out").stdout;
    assert!(text.contains("I-AUROC quoted") && text.contains("| uniad | 96.5 |"), "{text}");
    assert!(text.contains('±'), "{text}");
    let rows = work.read("out/rows.jsonl");
    assert_eq!(rows.lines().count(), 2);
    let row: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    for key in ["config", "data_sha256", "weights_sha256", "params", "macs", "pictures_per_s"] {
        assert!(!row[key].is_null(), "{key}");
    }
    for table in ["table1", "table2"] {
        for form in ["md", "tex", "csv"] {
            assert!(work.read(&format!("out/{table}.{form}")).contains("uniad"), "{table}.{form}");
        }
    }

    // A row that was cut off is made again, and the others are kept.
    let cut = &rows[..rows.len() - 20];
    work.write("out/rows.jsonl", cut.as_bytes());
    let again = work.ok("bench bench.toml -o out --json").json();
    assert_eq!(again["rows"].as_array().unwrap().len(), 2);
    let kept = work.read("out/rows.jsonl");
    assert_eq!(kept.lines().next(), rows.lines().next());
    let parsed =
        kept.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert_eq!(parsed.count(), 2);
}

#[test]
fn a_mistake_in_the_file_is_named() {
    let work = Work::new();
    work.write("bench.toml", TINY_RUNS.replace("uniad\"", "unidad\"").as_bytes());
    let said = work.fails("bench bench.toml");
    assert!(said.contains("no method `unidad`"), "{said}");
}
