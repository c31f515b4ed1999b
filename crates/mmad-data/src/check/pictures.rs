//! Rules about what is inside the files: pictures, then masks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::CheckOptions;
use super::facts::{Facts, MaskFacts, PictureFacts};
use crate::dataset::Dataset;
use crate::decode::{BitRange, DecodeError, Window, WindowUse};
use crate::finding::{Finding, Kind, Severity};

pub(super) fn findings(dataset: &Dataset, facts: &[Facts], options: &CheckOptions) -> Vec<Finding> {
    let mut found = Vec::new();
    for fact in facts {
        match &fact.picture {
            Err(error) => found.push(broken(fact, &fact.sample.name, Kind::BrokenPicture, error)),
            Ok(picture) => found.extend(one_picture(fact, picture)),
        }
        match &fact.mask {
            Some(Err(error)) => found.push(broken(fact, &fact.mask_name, Kind::BrokenMask, error)),
            Some(Ok(mask)) => found.extend(one_mask(fact, mask)),
            None => {}
        }
    }
    for class in dataset.classes() {
        let pictures: Vec<(&Facts, &PictureFacts)> = facts
            .iter()
            .filter(|fact| fact.sample.class == *class)
            .filter_map(|fact| Some((fact, fact.picture.as_ref().ok()?)))
            .collect();
        let rules = [mixed_sizes, mixed_modes, turned, alpha]
            .into_iter()
            .filter_map(|rule| rule(&pictures));
        let deep = deep_pictures(&pictures, options.decode.bit_range);
        found.extend(rules.chain(deep).map(|finding| finding.in_class(class)));
    }
    found
}

fn broken(fact: &Facts, name: &str, kind: Kind, error: &DecodeError) -> Finding {
    // The finding names the file relative to the root already; the error repeats the whole path.
    let path = error.path().display().to_string();
    let what = error.to_string().replace(&format!("`{path}`"), "it");
    let finding = Finding::new(Severity::Error, kind, what).in_class(&fact.sample.class).at(name);
    match error.hint() {
        Some(hint) => finding.fix(hint),
        None => finding,
    }
}

fn one_picture(fact: &Facts, picture: &PictureFacts) -> Vec<Finding> {
    let at = |finding: Finding| finding.in_class(&fact.sample.class).at(&*fact.sample.name);
    let mut found = Vec::new();
    if let Some([r, g, b]) = picture.only_colour {
        let what = format!("every pixel has the same colour ({r}, {g}, {b})");
        let finding = Finding::new(Severity::Warning, Kind::ConstantPicture, what);
        found.push(at(finding.fix("remove it unless the part really looks like this")));
    }
    let format = picture.notes.format;
    if !extension_fits(&fact.sample.path, format) {
        let what = format!("the content is {format}, which the name does not say");
        let finding = Finding::new(Severity::Warning, Kind::SuspiciousName, what);
        found.push(at(finding.fix("give the file the ending of its format")));
    }
    found
}

fn extension_fits(path: &Path, format: &str) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match &*extension {
        "jpg" | "jpeg" => format == "jpeg",
        "tif" | "tiff" => format == "tiff",
        other => format == other,
    }
}

fn one_mask(fact: &Facts, mask: &MaskFacts) -> Vec<Finding> {
    let report = |severity, kind, what: String, fix: &str| {
        Finding::new(severity, kind, what)
            .in_class(&fact.sample.class)
            .at(&*fact.mask_name)
            .fix(fix)
    };
    let mut found = Vec::new();
    if let Ok(picture) = &fact.picture
        && (picture.width, picture.height) != (mask.width, mask.height)
    {
        let what = format!(
            "{}x{} pixels, but its picture `{}` has {}x{}",
            mask.width, mask.height, fact.sample.name, picture.width, picture.height
        );
        let fix = "save the mask again at the size of its picture, without rotating it";
        found.push(report(Severity::Error, Kind::MaskSize, what, fix));
    }
    if mask.n_marked == 0 {
        let fix = "draw the defect, or remove the mask";
        let what = "marks nothing, though its picture is labelled defective".to_owned();
        found.push(report(Severity::Error, Kind::EmptyMask, what, fix));
    } else if mask.n_marked == mask.width * mask.height {
        let fix = "unmarked pixels must be zero; redraw the mask if the part is not all defect";
        let what = "marks every pixel".to_owned();
        found.push(report(Severity::Warning, Kind::FullMask, what, fix));
    }
    if mask.n_levels > 2 {
        let what = format!("has {} grey levels; all above zero count as marked", mask.n_levels);
        let fix = "save it as PNG with two levels; JPEG and smooth edges widen the defect";
        found.push(report(Severity::Warning, Kind::MaskLevels, what, fix));
    }
    found
}

fn mixed_sizes(pictures: &[(&Facts, &PictureFacts)]) -> Option<Finding> {
    let sizes = tally(pictures.iter().map(|(_, p)| format!("{}x{}", p.width, p.height)));
    (sizes.len() > 1).then(|| {
        let what = format!("{} sizes: {}", sizes.len(), shown(&sizes));
        Finding::new(Severity::Note, Kind::MixedSizes, what)
            .fix("all are stretched to the model's size; cut to one shape if shapes differ much")
    })
}

fn mixed_modes(pictures: &[(&Facts, &PictureFacts)]) -> Option<Finding> {
    let modes = tally(pictures.iter().map(|(_, p)| p.notes.mode.to_owned()));
    (modes.len() > 1).then(|| {
        let what = format!("colour types differ: {}", shown(&modes));
        Finding::new(Severity::Warning, Kind::MixedModes, what)
            .fix("take all pictures of a class with the same camera settings")
    })
}

fn turned(pictures: &[(&Facts, &PictureFacts)]) -> Option<Finding> {
    let mut turned = pictures.iter().filter(|(_, p)| p.notes.turned.is_some());
    let (first, _) = turned.next()?;
    let what = format!("{} of {} turned as EXIF says", 1 + turned.count(), pictures.len());
    let finding = Finding::new(Severity::Note, Kind::Rotated, what).at(&*first.sample.name);
    Some(finding.fix("check that masks are drawn on the turned picture"))
}

fn alpha(pictures: &[(&Facts, &PictureFacts)]) -> Option<Finding> {
    let mut alpha = pictures.iter().filter(|(_, p)| p.notes.alpha_dropped);
    let (first, _) = alpha.next()?;
    let what = format!("transparency dropped in {} of {}", 1 + alpha.count(), pictures.len());
    Some(Finding::new(Severity::Note, Kind::Alpha, what).at(&*first.sample.name))
}

/// Says how deep pictures are brought to 8 bits; warns when that differs within the class or
/// loses values, and names a window that does neither.
fn deep_pictures(pictures: &[(&Facts, &PictureFacts)], range: BitRange) -> Option<Finding> {
    let deep: Vec<(&Facts, WindowUse)> =
        pictures.iter().filter_map(|(fact, p)| Some((*fact, p.notes.window?))).collect();
    let (first, _) = deep.first()?;
    let min = deep.iter().map(|(_, window)| window.min).fold(f64::INFINITY, f64::min);
    let max = deep.iter().map(|(_, window)| window.max).fold(f64::NEG_INFINITY, f64::max);
    let windows = tally(deep.iter().map(|(_, window)| format!("{}..{}", window.lo, window.hi)));
    let n_outside: u64 = deep.iter().map(|(_, window)| window.n_outside).sum();

    let mut what = format!(
        "{} pictures with more than 8 bits, values {min} to {max}, read with `--bit-range {range}` as {}",
        deep.len(),
        shown(&windows)
    );
    if n_outside > 0 {
        let _ = write!(what, "; {n_outside} values lie outside and are lost");
    }
    let severity =
        if windows.len() > 1 || n_outside > 0 { Severity::Warning } else { Severity::Note };
    let finding = Finding::new(severity, Kind::DeepPictures, what).at(&*first.sample.name);
    // Whole numbers around all values; there is none for floating point outside of 16 bits.
    let fits = (min >= 0.0 && max <= f64::from(u16::MAX))
        .then(|| Window::new(min.floor() as u16, max.ceil() as u16))
        .flatten()
        .map(BitRange::Window);
    Some(match fits {
        Some(window) => {
            finding.fix(format!("`--bit-range {window}` holds all values of the class"))
        }
        None => finding,
    })
}

/// How often each text occurs.
pub(super) fn tally(texts: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

/// How many texts are shown of a tally.
const SHOWN: usize = 4;

/// The most frequent texts with their counts.
fn shown(counts: &BTreeMap<String, usize>) -> String {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(text, n)| (std::cmp::Reverse(**n), (*text).clone()));
    let mut parts: Vec<String> =
        sorted.iter().take(SHOWN).map(|(text, n)| format!("{text} ({n})")).collect();
    if sorted.len() > SHOWN {
        parts.push(format!("and {} more", sorted.len() - SHOWN));
    }
    parts.join(", ")
}
