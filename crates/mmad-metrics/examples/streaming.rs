//! Measures maps that never lie in memory together, in two halves that are merged.
//!
//! ```text
//! cargo run --release -p mmad-metrics --example streaming
//! ```

#![allow(clippy::print_stdout)]

use mmad_metrics::{
    ImageScore, METRICS, MetricError, MetricOptions, STREAMING_BITS, ScoredImage, StreamingClass,
};

const WIDTH: usize = 64;

/// A map as a model would make it, and its mask: every second picture has a bright square.
fn picture(index: usize) -> (Vec<f32>, Vec<u8>) {
    let is_inside = |i: usize| index % 2 == 1 && (i / WIDTH) / 8 == index % 8 && i % WIDTH < 8;
    let mask: Vec<u8> = (0..WIDTH * WIDTH).map(|i| u8::from(is_inside(i))).collect();
    let noise = |i: usize| ((i * 7919 + index * 104_729) % 1009) as f32 / 1009.0;
    let map = mask.iter().enumerate().map(|(i, &pixel)| noise(i) + 0.6 * f32::from(pixel));
    (map.collect(), mask)
}

fn part(indices: std::ops::Range<usize>) -> Result<StreamingClass, MetricError> {
    let mut part = StreamingClass::new(STREAMING_BITS)?;
    for index in indices {
        let (map, mask) = picture(index);
        part.add(&ScoredImage {
            name: &format!("picture {index}"),
            width: WIDTH,
            map: &map,
            mask: Some(&mask),
            score: ImageScore::Max.of(&map, WIDTH).unwrap_or(0.0),
            is_anomalous: mask.contains(&1),
        })?;
        // Here the map is forgotten.
    }
    Ok(part)
}

fn main() -> Result<(), MetricError> {
    let mut class = part(0..20)?;
    class.merge(part(20..40)?)?;
    let metrics = class.metrics(&MetricOptions::default())?;
    for metric in METRICS {
        match metrics.get(metric.id) {
            Some(Ok(bounds)) => {
                let (value, half_width) = (100.0 * bounds.value(), 100.0 * bounds.half_width());
                println!("{:8} {value:7.3} ± {half_width:.3}", metric.heading);
            }
            Some(Err(reason)) => println!("{:8} -: {reason}", metric.heading),
            None => println!("{:8} is not streamed", metric.heading),
        }
    }
    Ok(())
}
