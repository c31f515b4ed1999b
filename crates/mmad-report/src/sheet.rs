//! Small copies of all pictures of a class on one sheet, so that a page can show every mistake.
//!
//! One JPEG of a hundred tiles is a third the size of a hundred JPEG files, and is decoded at once.

use serde::{Deserialize, Serialize};

use crate::encode::{EncodedImage, Pixels, encode_png};
use crate::error::ReportError;
use crate::raster::{RgbRaster, ScoreMap};

/// Pixels per side of a tile.
const TILE_PX: u32 = 56;

/// Pixels per side of a tile of maps, which have no fine detail.
const MAP_TILE_PX: u32 = 28;

/// Below this level an overlay shows nothing, and levels are kept to steps of 8.
const CALM_LEVEL: u8 = 88;

/// Tiles per row.
const COLUMNS: u32 = 10;

/// All pictures of a class and their maps, small.
///
/// Tile `i` is the `i`-th of the class's [`ScoreRow`](crate::ScoreRow)s. Tiles are square; a
/// picture is stretched to its tile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThumbnailSheet {
    /// The product class.
    pub class: String,
    /// Tiles per row, on both sheets.
    pub columns: u32,
    /// Pixels per side of a tile of `pictures`.
    pub tile_px: u32,
    /// Pixels per side of a tile of `maps`.
    pub map_tile_px: u32,
    /// Width over height of each picture.
    pub aspects: Vec<f32>,
    /// The pictures.
    pub pictures: EncodedImage,
    /// The maps; a tile's pixel is the largest of those it stands for, so that no region is lost.
    pub maps: EncodedImage,
}

/// Gathers the tiles of one class.
#[derive(Debug, Clone, Default)]
pub struct SheetBuilder {
    tiles: Vec<Vec<u8>>,
    maps: Vec<Vec<u8>>,
    aspects: Vec<f32>,
}

impl SheetBuilder {
    /// An empty sheet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next picture of the class.
    pub fn push(&mut self, picture: &RgbRaster, map: &ScoreMap) {
        let (width, height) = picture.size();
        self.aspects.push(width as f32 / height as f32);
        let mean = |values: &mut dyn Iterator<Item = u8>| {
            let (sum, n) = values.fold((0_u32, 0), |(sum, n), v| (sum + u32::from(v), n + 1));
            (sum / n) as u8
        };
        let channel = |c: usize| {
            let at = move |i: usize| picture.pixels()[3 * i + c];
            shrink(picture.size(), TILE_PX, at, mean)
        };
        let [red, green, blue] = [0, 1, 2].map(channel);
        let tile = red.into_iter().zip(green).zip(blue).flat_map(|((r, g), b)| [r, g, b]).collect();
        self.tiles.push(tile);
        let levels = map.levels();
        let largest = |values: &mut dyn Iterator<Item = u8>| values.max().unwrap_or(0);
        let coarse = |level: u8| if level < CALM_LEVEL { level & !7 } else { level };
        let tile = shrink(map.size(), MAP_TILE_PX, |i| levels[i], largest);
        self.maps.push(tile.into_iter().map(coarse).collect());
    }

    /// The sheet; `None` without pictures.
    ///
    /// # Errors
    ///
    /// [`ReportError::Encode`] when an encoder refuses.
    pub fn finish(self, class: &str) -> Result<Option<ThumbnailSheet>, ReportError> {
        if self.tiles.is_empty() {
            return Ok(None);
        }
        let (width, height, pixels) = join(&self.tiles, TILE_PX, 3);
        let pictures = EncodedImage::jpeg(&RgbRaster::new(width, height, pixels)?, 62)?;
        let (width, height, levels) = join(&self.maps, MAP_TILE_PX, 1);
        let maps = EncodedImage::from_bytes(encode_png(width, height, Pixels::Grey8(&levels))?)?;
        Ok(Some(ThumbnailSheet {
            class: class.to_owned(),
            columns: COLUMNS,
            tile_px: TILE_PX,
            map_tile_px: MAP_TILE_PX,
            aspects: self.aspects,
            pictures,
            maps,
        }))
    }
}

/// A raster of `side * side` values, each made of those it stands for; a smaller raster is
/// repeated.
fn shrink(
    (width, height): (u32, u32),
    side: u32,
    at: impl Fn(usize) -> u8,
    combine: impl Fn(&mut dyn Iterator<Item = u8>) -> u8,
) -> Vec<u8> {
    let span = |i: u32, length: u32| {
        let first = i * length / side;
        first..((i + 1) * length / side).max(first + 1)
    };
    let mut values = Vec::with_capacity((side * side) as usize);
    for row in 0..side {
        for column in 0..side {
            let rows = span(row, height);
            let columns = span(column, width);
            let mut inside = rows.flat_map(|y| {
                columns.clone().map(move |x| y as usize * width as usize + x as usize)
            });
            values.push(combine(&mut inside.by_ref().map(&at)));
        }
    }
    values
}

/// Tiles side by side, row by row; the rest of the last row is black.
fn join(tiles: &[Vec<u8>], side: u32, channels: usize) -> (u32, u32, Vec<u8>) {
    let columns = COLUMNS.min(tiles.len() as u32);
    let (width, height) = (COLUMNS * side, (tiles.len() as u32).div_ceil(columns) * side);
    let height = if columns < COLUMNS { side } else { height };
    let mut sheet = vec![0; width as usize * height as usize * channels];
    let line = side as usize * channels;
    for (i, tile) in tiles.iter().enumerate() {
        let (row, column) = (i / COLUMNS as usize, i % COLUMNS as usize);
        for (y, pixels) in tile.chunks(line).enumerate() {
            let start =
                ((row * side as usize + y) * width as usize + column * side as usize) * channels;
            sheet[start..start + line].copy_from_slice(pixels);
        }
    }
    (width, height, sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_in_order_and_keep_the_largest_value() {
        let mut builder = SheetBuilder::new();
        for i in 0..13_u8 {
            // Not square on purpose: a swap of width and height fails here.
            let picture = RgbRaster::new(96, 128, vec![20 * i; 3 * 96 * 128]).unwrap();
            let mut values = vec![0.1; 96 * 128];
            values[96 * 127 + 95] = f32::from(i) / 20.0;
            builder.push(&picture, &ScoreMap::new(96, 128, values).unwrap());
        }
        let sheet = builder.finish("gear").unwrap().unwrap();
        assert_eq!(sheet.aspects, [0.75; 13]);
        let maps = image::load_from_memory(sheet.maps.bytes()).unwrap().into_luma8();
        assert_eq!(maps.dimensions(), (280, 56));
        for i in 8..13_u32 {
            let (left, top) = (i % 10 * 28, i / 10 * 28);
            let expected = (255.0 * i as f32 / 20.0).round() as u8;
            assert_eq!(maps.get_pixel(left + 27, top + 27).0, [expected], "tile {i}");
            assert_eq!(maps.get_pixel(left + 26, top + 27).0, [24], "tile {i}");
        }
        let pictures = image::load_from_memory(sheet.pictures.bytes()).unwrap().into_rgb8();
        assert_eq!(pictures.dimensions(), (560, 112));
        let level = pictures.get_pixel(2 * 56 + 28, 56 + 28).0[0];
        assert!(level.abs_diff(20 * 12) < 4, "{level}");
    }

    #[test]
    fn a_small_picture_is_repeated_and_no_picture_is_no_sheet() {
        assert!(SheetBuilder::new().finish("gear").unwrap().is_none());
        let mut builder = SheetBuilder::new();
        let picture = RgbRaster::new(2, 1, vec![250, 0, 0, 0, 0, 250]).unwrap();
        builder.push(&picture, &ScoreMap::new(2, 1, vec![0.0, 1.0]).unwrap());
        let sheet = builder.finish("gear").unwrap().unwrap();
        let maps = image::load_from_memory(sheet.maps.bytes()).unwrap().into_luma8();
        assert_eq!((maps.get_pixel(13, 27).0, maps.get_pixel(14, 0).0), ([0], [255]));
    }
}
