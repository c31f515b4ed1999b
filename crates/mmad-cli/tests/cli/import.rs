//! `mmad import`: a checkpoint with the original project's names becomes a model.

use mmad_weights::{HostTensor, StateDict};
use serde_json::Value;

use super::program::{TINY, Work};

/// Side of the test model's pictures.
const SIDE_PX: usize = 64;

/// The Hilbert curve on `side` x `side` pixels (Hilbert 1891, as Wikipedia's `d2xy` walks it).
fn hilbert(side: usize) -> Vec<i64> {
    let pixel = |step: usize| {
        let (mut x, mut y, mut t, mut s) = (0, 0, step, 1);
        while s < side {
            let right = (t / 2) & 1;
            let down = (t ^ right) & 1;
            if down == 0 {
                if right == 1 {
                    (x, y) = (s - 1 - x, s - 1 - y);
                }
                (x, y) = (y, x);
            }
            (x, y) = (x + s * right, y + s * down);
            (t, s) = (t / 4, 2 * s);
        }
        (y * side + x) as i64
    };
    (0..side * side).map(pixel).collect()
}

/// Side of the map that the attention of this name scans.
fn map_side(name: &str) -> usize {
    match name.split_once("layers_up.") {
        None => SIDE_PX / 16,
        Some((_, rest)) => {
            (SIDE_PX / 32) << rest.split('.').next().unwrap().parse::<u32>().unwrap()
        }
    }
}

fn table(values: Vec<i64>) -> HostTensor {
    HostTensor::from_i64(vec![1, 1, values.len()], values).unwrap()
}

/// The parameters of a model with the scan tables that the original stores beside them.
fn checkpoint(work: &Work) -> StateDict {
    let mut tensors = work.tensors("run/model.mmad");
    tensors.retain(|name, _| !["class_features", "self_test"].contains(&name));
    let scans: Vec<String> = tensors
        .names()
        .filter_map(|name| name.strip_suffix("A_logs"))
        .map(|attention| format!("{attention}scans.index_flat"))
        .collect();
    assert!(scans.len() > 10, "{scans:?}");
    for name in scans {
        let order = hilbert(map_side(&name));
        let mut inverse = vec![0; order.len()];
        for (step, &pixel) in order.iter().enumerate() {
            inverse[pixel as usize] = step as i64;
        }
        tensors.insert(format!("{name}_inv"), table(inverse));
        tensors.insert(name, table(order));
    }
    tensors
}

fn scores(work: &Work, model: &str) -> Vec<Value> {
    let json = work.ok(&format!("predict {model} pics/gear/test --json")).json();
    let predictions = json["predictions"].as_array().unwrap();
    predictions.iter().map(|prediction| prediction["score"].clone()).collect()
}

#[test]
fn an_imported_model_scores_like_the_one_it_came_from() {
    let work = Work::with_model();
    let tensors = checkpoint(&work);
    work.write_tensors("net.safetensors", &tensors, None);
    let result = work.ok(&format!("import net.safetensors -o net.mmad {TINY} --json")).json();
    let n_tables = tensors.names().filter(|name| name.contains("scans.index_flat")).count();
    assert_eq!(result["scan_tables"], n_tables);
    assert_eq!(result["parameters"], tensors.len() - n_tables);
    assert_eq!(result["unused"].as_array().unwrap().len(), 0);
    work.ok("verify net.mmad");
    assert_eq!(scores(&work, "net.mmad"), scores(&work, "run/model.mmad"));
    // Nothing was held out, so nothing is promised.
    let json = work.ok("predict net.mmad pics/gear/test --json").json();
    assert_eq!(json["predictions"][0]["verdict"], "unknown");
}

#[test]
fn pictures_give_an_imported_model_classes_and_thresholds() {
    let work = Work::with_model();
    work.write_tensors("net.safetensors", &checkpoint(&work), None);
    let options = "--class gear --class wood --set data.calibration_share=0.5";
    work.ok(&format!("import net.safetensors -o net.mmad --data pics {TINY} {options}"));
    let (ours, theirs) = (work.card("net.mmad"), work.card("run/model.mmad"));
    assert_eq!(ours["classes"], theirs["classes"]);
    assert_eq!(ours["calibration"], theirs["calibration"]);
    assert_eq!(scores(&work, "net.mmad"), scores(&work, "run/model.mmad"));
}

#[test]
fn other_scan_tables_are_refused() {
    let work = Work::with_model();
    let sound = checkpoint(&work);
    let names: Vec<String> =
        sound.names().filter(|name| name.contains("scans.index_flat")).map(Into::into).collect();
    let swapped = |mut order: Vec<i64>| {
        order.swap(0, 1);
        order
    };
    let wrong: [&dyn Fn(Vec<i64>) -> Vec<i64>; 7] = [
        &swapped,
        &|order| order.iter().rev().copied().collect(),
        &|order| order.iter().map(|pixel| pixel + 1).collect(),
        &|order| vec![-1; order.len()],
        &|order| vec![i64::MAX; order.len()],
        &|order| order[1..].to_vec(),
        // The same curve for a map of another size.
        &|order| hilbert(2 * order.len().isqrt()),
    ];
    for (name, wrong) in names.iter().step_by(5).cycle().zip(wrong) {
        let mut tensors = sound.clone();
        let values = wrong(hilbert(map_side(name)));
        tensors.insert(name.clone(), table(values.clone()));
        work.write_tensors("net.safetensors", &tensors, None);
        let ran = work.run(&format!("import net.safetensors -o net.mmad {TINY}"));
        let message = &ran.stderr;
        assert!(message.contains(&format!("scan table `{name}`")), "{values:?}: {ran}");
        assert!(message.contains("mmad.scans"), "{message}");
    }
    // The right tables under another configuration are wrong there.
    work.write_tensors("net.safetensors", &sound, None);
    let zigzag = TINY.replace("hilbert", "zigzag");
    let message = work.fails(&format!("import net.safetensors -o net.mmad {zigzag}"));
    assert!(message.contains("scan table"), "{message}");
    assert!(!work.path("net.mmad").exists());
}

/// A table that is stored as floats has been compared as much as any other.
#[test]
fn a_wrong_table_of_floats_is_refused() {
    let work = Work::with_model();
    let mut tensors = checkpoint(&work);
    let name = tensors.names().find(|name| name.ends_with("index_flat")).unwrap().to_owned();
    let order = hilbert(map_side(&name));
    let reversed: Vec<f32> = order.iter().rev().map(|&pixel| pixel as f32).collect();
    let shape = vec![1, 1, reversed.len()];
    tensors.insert(name.clone(), HostTensor::from_f32(shape, reversed).unwrap());
    work.write_tensors("net.safetensors", &tensors, None);
    let message = work.fails(&format!("import net.safetensors -o net.mmad {TINY}"));
    assert!(message.contains(&name), "{message}");
}

#[test]
fn what_does_not_fit_is_listed() {
    let work = Work::with_model();
    let mut tensors = checkpoint(&work);
    let bias = tensors.take("mamba_fuser.bn1.bias").unwrap();
    work.write_tensors("less.safetensors", &tensors, None);
    let message = work.fails(&format!("import less.safetensors -o net.mmad {TINY}"));
    assert!(message.contains("missing: 1\n  `mamba_fuser.bn1.bias`"), "{message}");
    assert!(!work.path("net.mmad").exists());

    tensors.insert("mamba_fuser.bn1.bias", bias.clone());
    tensors.insert("left.over", bias);
    tensors.insert("net_t.bn1.num_batches_tracked", table(vec![7]));
    work.write_tensors("more.safetensors", &tensors, None);
    let ran = work.ok(&format!("import more.safetensors -o net.mmad {TINY}"));
    assert!(ran.stderr.contains("not used: left.over"), "{ran}");
    assert!(!ran.stderr.contains("num_batches_tracked"), "{ran}");

    let message = work.fails("import more.safetensors -o other.mmad --preset paper");
    assert!(message.contains("expected tensors match") || message.contains("scan table"));
    assert!(work.fails(&format!("import nowhere.pth {TINY}")).contains("`nowhere.pth`"));
}
