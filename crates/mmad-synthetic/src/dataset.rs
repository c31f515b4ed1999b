//! Writing a whole data set in the layout of `MVTec` AD.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use rayon::prelude::*;

use crate::{DEFECTS, Defect, PRODUCTS, Product, Size, SyntheticError, defective, good, product};

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetPlan {
    /// Side of the square pictures in pixels, 64 to 8192.
    pub side_px: usize,
    /// Good pictures to train on, per class; at least 1.
    pub train_good: usize,
    /// Good pictures to test on, per class.
    pub test_good: usize,
    /// Defective pictures to test on, per class and defect.
    pub test_per_defect: usize,
    /// Decides every picture.
    pub seed: u64,
    /// Names of the classes to write; empty means all.
    pub classes: Vec<String>,
}

impl Default for DatasetPlan {
    /// All classes at 256 pixels: 60 good pictures to train on, 12 good and 5 of each defect to
    /// test on.
    fn default() -> Self {
        Self {
            side_px: 256,
            train_good: 60,
            test_good: 12,
            test_per_defect: 5,
            seed: 0,
            classes: Vec::new(),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// One entry per class, in the order of the plan.
    pub classes: Vec<ClassSummary>,
}

/// What was written of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSummary {
    /// Name of the class and of its folder.
    pub id: &'static str,
    /// Pictures in `train/good`.
    pub train_good: usize,
    /// Pictures in `test/good`.
    pub test_good: usize,
    /// Pictures in the other folders of `test`; as many masks in `ground_truth`.
    pub test_defective: usize,
}

/// Writes `<root>/<class>/{train/good, test/good, test/<defect>, ground_truth/<defect>}`.
///
/// Pictures are `000.png`, `001.png`, ...; the mask of `test/<defect>/000.png` is
/// `ground_truth/<defect>/000_mask.png`. Test pictures do not depend on how many training pictures
/// there are, and no test picture shares its piece with another. Works in parallel on the current
/// rayon pool; the bytes are the same for any number of threads.
///
/// # Errors
///
/// [`SyntheticError`] when the plan makes no sense or a class folder exists (nothing has been
/// written by then), or when a file cannot be written.
pub fn write_dataset(root: &Path, plan: &DatasetPlan) -> Result<Summary, SyntheticError> {
    let size = Size::new(plan.side_px, plan.side_px)?;
    let classes = resolve(&plan.classes)?;
    if plan.train_good == 0 {
        return Err(SyntheticError::NothingToTrainOn);
    }
    if let Some(path) = classes.iter().map(|class| root.join(class.id)).find(|path| path.exists()) {
        return Err(SyntheticError::ClassExists { path });
    }

    let jobs: Vec<Job> = classes.iter().flat_map(|class| jobs(root, class, plan)).collect();
    let folders: BTreeSet<&Path> = jobs.iter().flat_map(Job::folders).collect();
    for folder in folders {
        fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    }
    jobs.par_iter().try_for_each(|job| job.write(plan.seed, size))?;

    let summary = |class: &&'static Product| ClassSummary {
        id: class.id,
        train_good: plan.train_good,
        test_good: plan.test_good,
        test_defective: plan.test_per_defect * DEFECTS.len(),
    };
    Ok(Summary { classes: classes.iter().map(summary).collect() })
}

/// One picture to draw and write.
struct Job {
    class: &'static Product,
    index: u64,
    picture: PathBuf,
    /// The defect and the file of its mask.
    damage: Option<(&'static Defect, PathBuf)>,
}

/// Pieces are numbered from here, one range per split and defect.
const RANGE: u64 = 1 << 32;

fn jobs(root: &Path, class: &'static Product, plan: &DatasetPlan) -> Vec<Job> {
    let folder = root.join(class.id);
    let goods = [("train", plan.train_good), ("test", plan.test_good)];
    let mut jobs = Vec::new();
    for (range, (split, count)) in (0..).zip(goods) {
        jobs.extend((0..count).map(|i| Job {
            class,
            index: range * RANGE + i as u64,
            picture: folder.join(split).join("good").join(format!("{i:03}.png")),
            damage: None,
        }));
    }
    for (range, defect) in (2..).zip(DEFECTS) {
        let masks = folder.join("ground_truth").join(defect.id);
        jobs.extend((0..plan.test_per_defect).map(|i| Job {
            class,
            index: range * RANGE + i as u64,
            picture: folder.join("test").join(defect.id).join(format!("{i:03}.png")),
            damage: Some((defect, masks.join(format!("{i:03}_mask.png")))),
        }));
    }
    jobs
}

impl Job {
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let mask = self.damage.as_ref().map(|(_, mask)| mask);
        std::iter::once(&self.picture).chain(mask).filter_map(|file| file.parent())
    }

    fn write(&self, seed: u64, size: Size) -> Result<(), SyntheticError> {
        let render = match &self.damage {
            Some((defect, mask)) => {
                let render = defective(self.class, defect, seed, self.index, size);
                write_png(mask, &render.mask, size, ExtendedColorType::L8)?;
                render
            }
            None => good(self.class, seed, self.index, size),
        };
        write_png(&self.picture, &render.rgb, size, ExtendedColorType::Rgb8)
    }
}

/// The classes named, or all.
fn resolve(names: &[String]) -> Result<Vec<&'static Product>, SyntheticError> {
    if names.is_empty() {
        return Ok(PRODUCTS.iter().collect());
    }
    let mut seen = BTreeSet::new();
    if let Some(class) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(SyntheticError::ListedTwice { class: class.clone() });
    }
    names.iter().map(|name| product(name)).collect()
}

/// Encodes and writes a file that appears whole or not at all.
fn write_png(
    path: &Path,
    pixels: &[u8],
    size: Size,
    colour: ExtendedColorType,
) -> Result<(), SyntheticError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, size.width() as u32, size.height() as u32, colour)
        .map_err(|source| SyntheticError::Encode { path: path.into(), source })?;

    let partial = path.with_extension("png.partial");
    let save = || {
        let mut file = File::create(&partial)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    save().map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: std::io::Error) -> SyntheticError {
    SyntheticError::Write { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn small() -> DatasetPlan {
        DatasetPlan {
            side_px: 64,
            train_good: 3,
            test_good: 2,
            test_per_defect: 1,
            seed: 4,
            classes: vec!["wood".into(), "cap".into()],
        }
    }

    /// Every file below `root`, by relative path.
    fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, out);
                } else {
                    out.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap());
                }
            }
        }
        let mut out = BTreeMap::new();
        walk(root, root, &mut out);
        out
    }

    fn write_with(threads: usize, plan: &DatasetPlan) -> (Summary, BTreeMap<PathBuf, Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let summary = pool.install(|| write_dataset(folder.path(), plan)).unwrap();
        (summary, files(folder.path()))
    }

    #[test]
    fn the_layout_is_complete_and_readable() {
        let (summary, files) = write_with(2, &small());
        assert_eq!(summary.classes.len(), 2);
        assert_eq!(summary.classes[0].id, "wood");
        assert_eq!(summary.classes[0].test_defective, DEFECTS.len());
        assert_eq!(files.len(), 2 * (3 + 2 + 2 * DEFECTS.len()));
        for class in ["wood", "cap"] {
            for name in ["train/good/002.png", "test/good/001.png", "test/scratch/000.png"] {
                let picture =
                    image::load_from_memory(&files[&Path::new(class).join(name)]).unwrap();
                assert_eq!((picture.width(), picture.height()), (64, 64));
                assert_eq!(picture.color(), image::ColorType::Rgb8);
            }
            let mask = &files[&Path::new(class).join("ground_truth/dent/000_mask.png")];
            let mask = image::load_from_memory(mask).unwrap().into_luma8().into_raw();
            assert!(mask.contains(&255) && mask.iter().all(|&m| m == 0 || m == 255));
        }
    }

    #[test]
    fn threads_do_not_matter_and_the_seed_does() {
        let (_, one) = write_with(1, &small());
        let (_, four) = write_with(4, &small());
        assert_eq!(one, four);
        let (_, other) = write_with(2, &DatasetPlan { seed: 5, ..small() });
        assert!(one.iter().all(|(path, bytes)| &other[path] != bytes));
    }

    #[test]
    fn test_pictures_do_not_depend_on_the_training_set() {
        let (_, few) = write_with(2, &small());
        let (_, many) = write_with(2, &DatasetPlan { train_good: 5, ..small() });
        assert!(few.iter().all(|(path, bytes)| &many[path] == bytes));
        let unique: BTreeSet<&Vec<u8>> = many.values().collect();
        assert_eq!(unique.len(), many.len());
    }

    #[test]
    fn senseless_plans_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let refuse = |plan: &DatasetPlan| write_dataset(folder.path(), plan).unwrap_err();
        let twice = DatasetPlan { classes: vec!["cap".into(), "cap".into()], ..small() };
        assert!(matches!(refuse(&twice), SyntheticError::ListedTwice { .. }));
        let unknown = DatasetPlan { classes: vec!["cup".into()], ..small() };
        assert!(matches!(refuse(&unknown), SyntheticError::Unknown { what: "product", .. }));
        let tiny = DatasetPlan { side_px: 10, ..small() };
        assert!(matches!(refuse(&tiny), SyntheticError::SizeOutOfRange { .. }));
        let untrained = DatasetPlan { train_good: 0, ..small() };
        assert!(matches!(refuse(&untrained), SyntheticError::NothingToTrainOn));
        fs::create_dir(folder.path().join("cap")).unwrap();
        assert!(matches!(refuse(&small()), SyntheticError::ClassExists { .. }));
        assert!(!folder.path().join("wood").exists());
    }

    #[test]
    fn a_root_that_is_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("file");
        fs::write(&root, b"x").unwrap();
        let error = write_dataset(&root, &small()).unwrap_err();
        assert!(matches!(error, SyntheticError::Write { .. }), "{error}");
    }
}
