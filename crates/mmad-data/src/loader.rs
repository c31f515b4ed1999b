//! Reads samples in the background, on all cores, in order, and never holds more than a few.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::cache::PictureCache;
use crate::dataset::Sample;
use crate::decode::{DecodeOptions, decode_file, decode_mask_file};
use crate::error::DataError;
use crate::preprocess::Preprocess;

/// How a [`Loader`] works.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples that may be finished or in work ahead of the one asked for; at least 1.
    pub ahead: usize,
    /// Threads that read; nothing means one for each core.
    pub threads: Option<usize>,
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    /// Resized pictures from an earlier run.
    pub cache: Option<Arc<PictureCache>>,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self { ahead: 32, threads: None, decode: DecodeOptions::default(), cache: None }
    }
}

/// A sample ready for the model.
#[derive(Debug, Clone)]
pub struct LoadedSample {
    /// Which one it is.
    pub sample: Sample,
    /// Its position in the list given to the loader.
    pub index: usize,
    /// `[height, width, 3]` at the model's size: red, green and blue, `0..=255`.
    pub rgb: Vec<u8>,
    /// `[height, width, 3]`: the same, normalised for the model.
    pub pixels: Vec<f32>,
    /// `[height, width]` at the model's size: 1 where a defect is, else 0. All 0 for a good
    /// picture; nothing for a defective one without a mask.
    pub mask: Option<Vec<u8>>,
    /// Height of the picture's own pixels.
    pub picture_height: usize,
    /// Width of the picture's own pixels.
    pub picture_width: usize,
    /// Values of a picture with more than 8 bits that the window cut off.
    pub n_outside: u64,
}

/// A picture at the model's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resized {
    /// `[height, width, 3]`.
    pub(crate) rgb: Vec<u8>,
    pub(crate) picture_height: usize,
    pub(crate) picture_width: usize,
    pub(crate) n_outside: u64,
}

/// Yields samples in the order given, each read ahead of time by a background thread.
///
/// At most `ahead` samples are in memory besides the one handed out, and of those only one for
/// each thread at its full size. A file that cannot be read yields its error and the next sample
/// follows. Dropping the loader ends its threads.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    samples: Vec<Sample>,
    preprocess: Preprocess,
    options: LoaderOptions,
    state: Mutex<State>,
    /// Signals that a sample was taken away, or that the loader is being dropped.
    room: Condvar,
    /// Signals that a sample was finished.
    finished: Condvar,
}

type Item = Result<LoadedSample, DataError>;

#[derive(Debug, Default)]
struct State {
    /// The next sample to be read.
    next: usize,
    /// How many were handed out.
    taken: usize,
    /// Finished samples by position. A panic is kept to be continued by whoever asks.
    ready: BTreeMap<usize, std::thread::Result<Item>>,
    dropped: bool,
}

impl Loader {
    /// Starts to read `samples`.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] when the system gives no thread.
    pub fn new(
        samples: Vec<Sample>,
        preprocess: Preprocess,
        mut options: LoaderOptions,
    ) -> Result<Self, DataError> {
        options.ahead = options.ahead.max(1);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let n_threads = options.threads.unwrap_or(cores).clamp(1, options.ahead);
        let shared = Arc::new(Shared {
            samples,
            preprocess,
            options,
            state: Mutex::new(State::default()),
            room: Condvar::new(),
            finished: Condvar::new(),
        });
        let mut loader = Self { shared, threads: Vec::new() };
        for i in 0..n_threads {
            let shared = Arc::clone(&loader.shared);
            let name = format!("loader-{i}");
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || shared.work())
                .map_err(DataError::io(name.as_ref()))?;
            loader.threads.push(thread);
        }
        Ok(loader)
    }
}

impl Iterator for Loader {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let mut state = self.shared.lock();
        if state.taken == self.shared.samples.len() {
            return None;
        }
        let item = loop {
            let wanted = state.taken;
            if let Some(item) = state.ready.remove(&wanted) {
                break item;
            }
            state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.taken += 1;
        drop(state);
        self.shared.room.notify_one();
        Some(item.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.shared.samples.len() - self.shared.lock().taken;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().dropped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread catches the panics of its work, so there is nothing to learn here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does: takes the next sample while there is room, until the end.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            while !state.dropped && state.next >= state.taken + self.options.ahead {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.dropped || state.next >= self.samples.len() {
                return;
            }
            let index = state.next;
            state.next += 1;
            drop(state);
            let item = catch_unwind(AssertUnwindSafe(|| self.load(index)));
            self.lock().ready.insert(index, item);
            self.finished.notify_one();
        }
    }

    fn load(&self, index: usize) -> Item {
        let sample = self.samples[index].clone();
        let cached = self.options.cache.as_ref().and_then(|cache| cache.read(&sample.name));
        let resized = match cached {
            Some(resized) => resized,
            None => resize_file(&sample, &self.preprocess, &self.options.decode)?,
        };
        let mask = self.load_mask(&sample, &resized)?;
        let pixels = self.preprocess.normalise(&resized.rgb);
        let Resized { rgb, picture_height, picture_width, n_outside } = resized;
        Ok(LoadedSample {
            sample,
            index,
            rgb,
            pixels,
            mask,
            picture_height,
            picture_width,
            n_outside,
        })
    }

    fn load_mask(&self, sample: &Sample, picture: &Resized) -> Result<Option<Vec<u8>>, DataError> {
        let n_pixels = self.preprocess.height() * self.preprocess.width();
        let Some(path) = &sample.mask else {
            return Ok((!sample.is_anomalous()).then(|| vec![0; n_pixels]));
        };
        let mask = decode_mask_file(path, &self.options.decode)?;
        let (width, height) = (picture.picture_width, picture.picture_height);
        if (mask.width, mask.height) == (width, height) {
            return Ok(Some(self.preprocess.mask(&mask)));
        }
        Err(DataError::MaskSize {
            mask: path.clone(),
            mask_width: mask.width,
            mask_height: mask.height,
            picture: sample.path.clone(),
            width,
            height,
        })
    }
}

fn resize_file(
    sample: &Sample,
    preprocess: &Preprocess,
    options: &DecodeOptions,
) -> Result<Resized, DataError> {
    let picture = decode_file(&sample.path, options)?;
    Ok(Resized {
        rgb: preprocess.resize(&picture),
        picture_height: picture.height,
        picture_width: picture.width,
        n_outside: picture.notes.window.map_or(0, |window| window.n_outside),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dataset::Split;

    /// Samples `0..n`: grey pictures of brightness `i`; every third one is broken.
    fn pictures(root: &Path, n: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        for i in 0..n {
            let name = format!("{i:03}.png");
            let path = root.join(&name);
            if i % 3 == 2 {
                std::fs::write(&path, "no picture").unwrap();
            } else {
                image::GrayImage::from_pixel(6, 4, image::Luma([i as u8])).save(&path).unwrap();
            }
            samples.push(Sample { path, ..Sample::good(&name, "grey") });
        }
        samples
    }

    fn options(ahead: usize, threads: usize) -> LoaderOptions {
        LoaderOptions { ahead, threads: Some(threads), ..LoaderOptions::default() }
    }

    #[test]
    fn samples_come_in_order_and_broken_ones_do_not_stop_it() {
        let root = tempfile::tempdir().unwrap();
        let samples = pictures(root.path(), 20);
        let preprocess = Preprocess::imagenet(3, 5).unwrap();
        for (ahead, threads) in [(1, 1), (2, 4), (50, 3)] {
            let loader = Loader::new(samples.clone(), preprocess, options(ahead, threads)).unwrap();
            assert_eq!(loader.len(), 20);
            let mut n = 0;
            for (i, item) in loader.enumerate() {
                n += 1;
                if i % 3 == 2 {
                    assert!(item.unwrap_err().to_string().contains(&format!("{i:03}.png")));
                    continue;
                }
                let loaded = item.unwrap();
                assert_eq!(loaded.index, i);
                assert_eq!(loaded.rgb, vec![i as u8; 3 * 5 * 3]);
                assert_eq!(loaded.pixels, preprocess.normalise(&loaded.rgb));
                assert_eq!((loaded.picture_height, loaded.picture_width), (4, 6));
                assert_eq!(loaded.mask.unwrap(), vec![0; 15]);
            }
            assert_eq!(n, 20);
        }
    }

    #[test]
    fn no_more_than_ahead_is_read_and_dropping_ends_the_threads() {
        let root = tempfile::tempdir().unwrap();
        let samples = pictures(root.path(), 40);
        let preprocess = Preprocess::imagenet(2, 2).unwrap();
        let mut loader = Loader::new(samples, preprocess, options(5, 3)).unwrap();
        for _ in 0..4 {
            loader.next();
        }
        // The threads get every chance to run too far.
        std::thread::sleep(std::time::Duration::from_millis(50));
        {
            let state = loader.shared.lock();
            assert!(state.next <= state.taken + 5, "{} of {}", state.next, state.taken);
            assert!(state.ready.len() <= 5);
        }
        let shared = Arc::downgrade(&loader.shared);
        drop(loader);
        assert!(shared.upgrade().is_none(), "a thread still holds the samples");
    }

    #[test]
    fn a_mask_of_another_size_is_an_error_that_names_both() {
        let root = tempfile::tempdir().unwrap();
        let mut sample = pictures(root.path(), 1).remove(0);
        let mask = root.path().join("000_mask.png");
        image::GrayImage::new(6, 5).save(&mask).unwrap();
        sample.split = Split::Test;
        sample.defect = Some("scratch".into());
        sample.mask = Some(mask);
        let preprocess = Preprocess::imagenet(2, 2).unwrap();
        let mut loader = Loader::new(vec![sample], preprocess, LoaderOptions::default()).unwrap();
        let error = loader.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("000_mask.png` is 6x5"), "{error}");
        assert!(error.contains("000.png` is 6x4"), "{error}");
    }

    #[test]
    fn a_defect_without_mask_has_none() {
        let root = tempfile::tempdir().unwrap();
        let mut sample = pictures(root.path(), 1).remove(0);
        sample.defect = Some("scratch".into());
        let preprocess = Preprocess::imagenet(2, 2).unwrap();
        let mut loader = Loader::new(vec![sample], preprocess, LoaderOptions::default()).unwrap();
        assert_eq!(loader.next().unwrap().unwrap().mask, None);
        assert!(loader.next().is_none());
    }
}
