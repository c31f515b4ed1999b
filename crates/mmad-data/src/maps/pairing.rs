//! Which mask belongs to which map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::npy::NpyFile;
use super::{MapClass, MapError, MapFile, MapPair, MapSet};
use crate::decode::DecodeOptions;
use crate::listing::{is_good_name, is_picture_name, list, own_name, relative, stem};

/// Endings of files that can hold a map, the more exact one first.
const MAP_ENDINGS: [&str; 4] = ["npy", "tif", "tiff", "png"];
/// Folders that data sets put between the class and the defect.
const BETWEEN: [&str; 2] = ["test", "ground_truth"];
/// What may stand behind the name of a picture.
const SUFFIXES: [&str; 2] = ["_mask", "_map"];
/// Deeper folders are not looked into; a link to its own parent ends here.
const MAX_DEPTH: usize = 8;

pub(super) fn open(maps: &Path, masks: &Path) -> Result<MapSet, MapError> {
    if maps.is_file() {
        return open_files(maps, masks);
    }
    for root in [maps, masks] {
        if !root.is_dir() {
            return Err(MapError::Root { path: root.to_path_buf(), expected: "folder" });
        }
    }
    let (found, n_others) = named(maps, |path| rank_of_map(path).is_some())?;
    if found.is_empty() {
        return Err(MapError::NoMaps { root: maps.to_path_buf() });
    }
    let (truths, _) = named(masks, |path| has_ending(path, "npy") || is_picture_name(path))?;
    Pairing {
        maps,
        masks,
        is_one_class: is_one_class(maps),
        truths: only_ground_truth(truths),
        set: MapSet { classes: Vec::new(), problems: Vec::new(), notes: Vec::new() },
    }
    .run(found, n_others)
}

/// Two single files.
fn open_files(maps: &Path, masks: &Path) -> Result<MapSet, MapError> {
    if !masks.is_file() {
        return Err(MapError::Root { path: masks.to_path_buf(), expected: "file" });
    }
    let name = stem(maps);
    let pairs = pair_files(&name, maps, Some(masks))?;
    let classes = vec![MapClass { name, pairs }];
    Ok(MapSet { classes, problems: Vec::new(), notes: Vec::new() })
}

/// The parts of a name that two files of one picture share.
type Key = Vec<String>;

/// All files below a folder that are wanted, by their keys; and how many are not.
type Named = BTreeMap<Key, Vec<PathBuf>>;

fn named(root: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<(Named, usize), MapError> {
    let mut named = Named::new();
    let mut n_others = 0;
    let mut open = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let content = list(&folder).map_err(|error| MapError::Folder {
            path: folder.clone(),
            source: std::io::Error::other(error.to_string()),
        })?;
        for file in content.pictures.into_iter().chain(content.others) {
            if is_wanted(&file) {
                named.entry(key(root, &file)).or_default().push(file);
            } else {
                n_others += 1;
            }
        }
        if depth < MAX_DEPTH {
            open.extend(content.folders.into_iter().map(|folder| (folder, depth + 1)));
        }
    }
    for files in named.values_mut() {
        files.sort();
    }
    Ok((named, n_others))
}

fn key(root: &Path, file: &Path) -> Key {
    let folder = file.parent().unwrap_or(root);
    let mut key: Key = match relative(root, folder).as_str() {
        "." => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    };
    key.retain(|part| !BETWEEN.contains(&part.as_str()));
    let stem = stem(file);
    let plain = SUFFIXES.iter().find_map(|suffix| stem.strip_suffix(suffix));
    key.push(plain.unwrap_or(&stem).to_owned());
    key
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// The lower, the more exact; `None` for a file that is no map.
fn rank_of_map(path: &Path) -> Option<usize> {
    // Both endings of TIFF are equally exact.
    MAP_ENDINGS.iter().position(|ending| has_ending(path, ending)).map(|rank| rank - rank / 2)
}

/// A file that says that it is a mask comes before one that does not.
fn rank_of_mask(path: &Path) -> usize {
    usize::from(!stem(path).ends_with("_mask"))
}

/// In a whole data set, the masks are those below `ground_truth`.
fn only_ground_truth(mut truths: Named) -> Named {
    let is_truth =
        |path: &PathBuf| path.components().any(|part| part.as_os_str() == "ground_truth");
    if truths.values().flatten().any(is_truth) {
        for files in truths.values_mut() {
            files.retain(is_truth);
        }
        truths.retain(|_, files| !files.is_empty());
    }
    truths
}

/// Whether the folders in `root` are kinds of defects rather than classes.
fn is_one_class(root: &Path) -> bool {
    let folders = |path: &Path| list(path).map(|content| content.folders).unwrap_or_default();
    let is_good =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_good_name);
    let between = BETWEEN.iter().map(|name| root.join(name)).filter(|path| path.is_dir());
    let mut inside: Vec<PathBuf> = between.collect();
    let has_between = !inside.is_empty();
    inside.extend(folders(root));
    has_between || inside.iter().any(is_good)
}

/// The one file with the lowest rank, or all that share it.
fn best(files: &[PathBuf], rank: impl Fn(&Path) -> usize) -> Result<PathBuf, Vec<PathBuf>> {
    let least = files.iter().map(|file| rank(file)).min().unwrap_or(0);
    let best: Vec<PathBuf> = files.iter().filter(|file| rank(file) == least).cloned().collect();
    match &best[..] {
        [one] => Ok(one.clone()),
        _ => Err(best),
    }
}

struct Pairing<'a> {
    maps: &'a Path,
    masks: &'a Path,
    is_one_class: bool,
    truths: Named,
    set: MapSet,
}

impl Pairing<'_> {
    fn run(mut self, found: Named, n_others: usize) -> Result<MapSet, MapError> {
        let looked_for = found.keys().next().map(|key| key.join("/")).unwrap_or_default();
        let mut classes: BTreeMap<String, Vec<MapPair>> = BTreeMap::new();
        let mut used = BTreeSet::new();
        // Folders with and without masks: (with, without).
        let mut folders: BTreeMap<Key, (usize, usize)> = BTreeMap::new();
        for (key, files) in found {
            let truth = self.truths.get(&key).cloned();
            used.insert(key.clone());
            let folder = folders.entry(key[..key.len() - 1].to_vec()).or_default();
            if truth.is_some() {
                folder.0 += 1;
            } else {
                folder.1 += 1;
            }
            let pairs = self.pair(&key, &files, truth.as_deref());
            match pairs {
                Ok((class, pairs)) => classes.entry(class).or_default().extend(pairs),
                Err(problem) => self.set.problems.push(problem),
            }
        }
        if folders.values().all(|(with, _)| *with == 0) {
            return Err(MapError::NoMasks {
                maps: self.maps.to_path_buf(),
                masks: self.masks.to_path_buf(),
                looked_for: format!("{looked_for}_mask"),
            });
        }
        self.left_over(&used, &classes);
        for (folder, (with, without)) in folders {
            if with > 0 && without > 0 && !folder.is_empty() {
                self.set.notes.push(format!(
                    "`{}`: {without} maps have no mask and count as good, {with} have one",
                    folder.join("/")
                ));
            }
        }
        if n_others > 0 {
            self.set.notes.push(format!("files that are no maps, left out: {n_others}"));
        }
        self.set.classes =
            classes.into_iter().map(|(name, pairs)| MapClass { name, pairs }).collect();
        Ok(self.set)
    }

    fn pair(
        &self,
        key: &Key,
        files: &[PathBuf],
        truth: Option<&[PathBuf]>,
    ) -> Result<(String, Vec<MapPair>), String> {
        let several = |what: &str, files: &[PathBuf]| {
            let files: Vec<String> = files.iter().map(|f| format!("`{}`", f.display())).collect();
            format!("{what} for one picture: {}", files.join(", "))
        };
        let map = best(files, |path| rank_of_map(path).unwrap_or(usize::MAX))
            .map_err(|files| several("several maps", &files))?;
        let mask = truth.map(|files| best(files, rank_of_mask)).transpose();
        let mask = mask.map_err(|files| several("several masks", &files))?;
        let pairs = pair_files(&key.join("/"), &map, mask.as_deref());
        let pairs = pairs.map_err(|error| error.to_string())?;
        let is_stack = pairs.first().is_some_and(|pair| pair.name.ends_with(']'));
        let class = match &key[..] {
            [class, ..] if !self.is_one_class && (key.len() > 1 || is_stack) => class.clone(),
            _ => own_name(self.maps),
        };
        Ok((class, pairs))
    }

    /// Masks that nobody asked for. Where their class has maps, a picture is missing.
    fn left_over(&mut self, used: &BTreeSet<Key>, classes: &BTreeMap<String, Vec<MapPair>>) {
        let mut n_of_other_classes = 0;
        for (key, files) in &self.truths {
            if used.contains(key) {
                continue;
            }
            if self.is_one_class || key.len() == 1 || classes.contains_key(&key[0]) {
                for file in files {
                    self.set.problems.push(format!("mask `{}` has no map", file.display()));
                }
            } else {
                n_of_other_classes += files.len();
            }
        }
        if n_of_other_classes > 0 {
            let note = format!("masks of classes without maps, left out: {n_of_other_classes}");
            self.set.notes.push(note);
        }
    }
}

/// The pictures of one file of maps.
fn pair_files(name: &str, map: &Path, mask: Option<&Path>) -> Result<Vec<MapPair>, MapError> {
    let open = |path: &Path| {
        if !has_ending(path, "npy") {
            return Ok(None);
        }
        NpyFile::open(path, DecodeOptions::default().max_pixels).map(Some)
    };
    let (maps, masks) = (open(map)?, mask.map(open).transpose()?.flatten());
    let n_of = |file: &Option<NpyFile>| file.as_ref().and_then(|file| file.n_stacked);
    let (n_maps, n_masks) = (n_of(&maps), n_of(&masks));
    if let Some(mask) = mask.filter(|_| n_maps.unwrap_or(1) != n_masks.unwrap_or(1)) {
        return Err(MapError::StackLength {
            maps: map.to_path_buf(),
            n_maps: n_maps.unwrap_or(1),
            masks: mask.to_path_buf(),
            n_masks: n_masks.unwrap_or(1),
        });
    }
    let source = |npy: &Option<NpyFile>, path: &Path, index: usize| match npy {
        Some(npy) => MapFile::Npy(npy.clone(), index),
        None => MapFile::Picture(path.to_path_buf()),
    };
    let pair = |index: usize| MapPair {
        name: if n_maps.is_some() { format!("{name}[{index}]") } else { name.to_owned() },
        map: source(&maps, map, index),
        mask: mask.map(|mask| source(&masks, mask, index)),
    };
    Ok((0..n_maps.unwrap_or(1)).map(pair).collect())
}
