//! Draws contact sheets of everything the crate makes, and measures how fast it is.
//!
//! `cargo run --release -p mmad-synthetic --example contact_sheet -- FOLDER [SIDE]`
#![allow(clippy::print_stdout)] // An example speaks to the person who runs it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{ImageError, Rgb, RgbImage};
use mmad_synthetic::{
    DEFECTS, HEADS, PRODUCTS, Render, Size, defective, disturbance_names, good, pretraining_sample,
    shape_names, texture_names,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: contact_sheet FOLDER [SIDE]")?);
    let side = arguments.next().map_or(Ok(128), |side| side.parse())?;
    std::fs::create_dir_all(&folder)?;

    products(&folder, Size::new(side, side)?)?;
    pretraining(&folder)?;
    speed(Size::new(128, 128)?);
    Ok(())
}

/// A row of good pieces per product, and per product a row of damaged pieces per defect.
fn products(folder: &Path, size: Size) -> Result<(), ImageError> {
    let rows = PRODUCTS
        .iter()
        .map(|p| (0..6).map(|i| good(p, 1, i, size)).map(|piece| plain(&piece)).collect());
    sheet(rows.collect()).save(folder.join("products.png"))?;
    for product in PRODUCTS {
        let rows = DEFECTS.iter().map(|defect| {
            let piece = |i| defective(product, defect, 1, i, size);
            (0..4).map(piece).flat_map(|piece| [plain(&piece), outlined(&piece)]).collect()
        });
        sheet(rows.collect()).save(folder.join(format!("defects_{}.png", product.id)))?;
    }
    Ok(())
}

/// The stream as it comes, and sorted by background, outline and disturbance.
fn pretraining(folder: &Path) -> Result<(), ImageError> {
    let picture = |index| {
        let sample = pretraining_sample(1, index, 64);
        (image_of(&sample.rgb, 64, 64), sample.labels)
    };
    let rows = (0..12).map(|row| (0..20).map(|i| picture(row * 20 + i).0).collect());
    sheet(rows.collect()).save(folder.join("pretraining.png"))?;

    let mut textures = vec![Vec::new(); HEADS[0].n_classes];
    let mut shapes = vec![Vec::new(); HEADS[5].n_classes - 1];
    let mut disturbances = vec![Vec::new(); HEADS[10].n_classes - 1];
    for index in 0..20_000 {
        let (image, labels) = picture(index);
        let [texture, _, _, _, count, shape, .., disturbance, _, blur] = labels.map(usize::from);
        let row = match (count, disturbance) {
            (_, 0) if count > 0 => &mut shapes[shape - 1],
            (0, 1..) if index % 2 == 0 => &mut disturbances[disturbance - 1],
            (0, _) => &mut textures[texture],
            _ => continue,
        };
        if blur < 2 && row.len() < 8 {
            row.push(image);
        }
    }
    for (name, rows) in [("textures", textures), ("shapes", shapes), ("disturbances", disturbances)]
    {
        let pairs = rows.chunks(2).map(<[Vec<RgbImage>]>::concat).collect();
        sheet(pairs).save(folder.join(format!("{name}.png")))?;
    }
    println!("textures, two a row: {}", texture_names().collect::<Vec<_>>().join(" "));
    println!("shapes, two a row: {}", shape_names().collect::<Vec<_>>().join(" "));
    println!("disturbances, two a row: {}", disturbance_names().collect::<Vec<_>>().join(" "));
    Ok(())
}

/// Pictures per second on this thread; the best of several rounds.
fn speed(size: Size) {
    let best = |n: u64, draw: &dyn Fn(u64)| {
        let round = |_| {
            let start = Instant::now();
            (0..n).for_each(draw);
            n as f64 / start.elapsed().as_secs_f64()
        };
        (0..60).map(round).fold(0.0, f64::max)
    };
    for product in PRODUCTS {
        let goods = best(6, &|i| drop(good(product, 3, i, size)));
        let bad = best(6, &|i| drop(defective(product, &DEFECTS[i as usize % 6], 3, i, size)));
        println!("{:8} 128x128: {goods:6.0} good/s {bad:6.0} defective/s", product.id);
    }
    let stream = best(50, &|i| drop(pretraining_sample(3, i, 64)));
    println!("stream   64x64:   {stream:6.0} pictures/s");
}

fn plain(render: &Render) -> RgbImage {
    image_of(&render.rgb, render.height, render.width)
}

/// The picture with the border of its mask in magenta.
fn outlined(render: &Render) -> RgbImage {
    let set = |x: usize, y: usize| render.mask[y * render.width + x] != 0;
    let mut image = image_of(&render.rgb, render.height, render.width);
    for y in 1..render.height - 1 {
        for x in 1..render.width - 1 {
            let all = set(x - 1, y) && set(x + 1, y) && set(x, y - 1) && set(x, y + 1);
            if set(x, y) && !all {
                image.put_pixel(x as u32, y as u32, Rgb([255, 0, 255]));
            }
        }
    }
    image
}

fn image_of(rgb: &[u8], height: usize, width: usize) -> RgbImage {
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let i = 3 * (y as usize * width + x as usize);
        Rgb([rgb[i], rgb[i + 1], rgb[i + 2]])
    })
}

/// Pictures of equal size, row by row.
fn sheet(rows: Vec<Vec<RgbImage>>) -> RgbImage {
    let (width, height) = rows[0][0].dimensions();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let mut out = RgbImage::new(columns * (width + 2), rows.len() as u32 * (height + 2));
    for (j, row) in rows.into_iter().enumerate() {
        for (i, picture) in row.into_iter().enumerate() {
            let (x, y) = (i as u32 * (width + 2), j as u32 * (height + 2));
            image::imageops::replace(&mut out, &picture, i64::from(x), i64::from(y));
        }
    }
    out
}
