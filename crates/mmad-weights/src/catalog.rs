//! Published encoder weights, each under one name.
//!
//! A model is only as reproducible as its encoder, and "ResNet-34, pretrained" is not one set of
//! weights: it is `resnet34.bt_in1k` for timm before 0.9 and `resnet34.a1_in1k` since.
//!
//! Sources: file names and addresses from `torchvision/models/resnet.py` and timm's
//! `timm/models/resnet.py`. Both projects put the first eight hex digits of the SHA-256 into the
//! name. The longer digests below agree in at least two independent public records.

/// One published file of encoder weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownWeights {
    /// Name in run files and in the cache: the encoder, a dot, the weight set.
    pub id: &'static str,
    /// Architecture: `resnet18`, `resnet34`, `resnet50`, `wide_resnet50_2` or
    /// `tf_efficientnet_b4`.
    pub encoder: &'static str,
    /// Name of the published file.
    pub file_name: &'static str,
    /// Where it is published.
    pub url: &'static str,
    /// First hex digits of the SHA-256 of the file: the eight of the file name, or all 64 where the
    /// whole digest is on record.
    pub sha256_prefix: &'static str,
    /// Origin and licence. The licence is the project's; the `ImageNet` pictures behind the
    /// weights have terms of their own.
    pub note: &'static str,
}

/// The licence of torchvision's weights, as timm states it too.
const TORCHVISION: &str = "torchvision, BSD-3-Clause; trained on ImageNet-1k";
/// What torchvision published first, in the container of 2016.
const TORCHVISION_OLD: &str =
    "torchvision, BSD-3-Clause; trained on ImageNet-1k; older file, tar container";
/// The improved training of torchvision.
const TORCHVISION_V2: &str =
    "torchvision, BSD-3-Clause; trained on ImageNet-1k with the longer V2 recipe";

/// Every published file that has a name here.
pub const KNOWN: &[KnownWeights] = &[
    KnownWeights {
        id: "resnet34.bt_in1k",
        encoder: "resnet34",
        file_name: "resnet34-43635321.pth",
        url: "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/resnet34-43635321.pth",
        sha256_prefix: "43635321",
        note: "timm, Apache-2.0; trained on ImageNet-1k; the encoder of the MMAD paper",
    },
    KnownWeights {
        id: "resnet34.a1_in1k",
        encoder: "resnet34",
        file_name: "resnet34_a1_0-46f8f793.pth",
        url: "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights/resnet34_a1_0-46f8f793.pth",
        sha256_prefix: "46f8f793",
        note: "timm, Apache-2.0; trained on ImageNet-1k; what timm 0.9 and later call `resnet34`",
    },
    KnownWeights {
        id: "resnet34.tv_v1",
        encoder: "resnet34",
        file_name: "resnet34-b627a593.pth",
        url: "https://download.pytorch.org/models/resnet34-b627a593.pth",
        sha256_prefix: "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        note: TORCHVISION,
    },
    KnownWeights {
        id: "resnet34.tv_old",
        encoder: "resnet34",
        file_name: "resnet34-333f7ec4.pth",
        url: "https://download.pytorch.org/models/resnet34-333f7ec4.pth",
        sha256_prefix: "333f7ec4c6338da2cbed37f1fc0445f9624f1355633fa1d7eab79a91084c6cef",
        note: TORCHVISION_OLD,
    },
    KnownWeights {
        id: "resnet18.tv_v1",
        encoder: "resnet18",
        file_name: "resnet18-f37072fd.pth",
        url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        sha256_prefix: "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        note: TORCHVISION,
    },
    KnownWeights {
        id: "resnet18.tv_old",
        encoder: "resnet18",
        file_name: "resnet18-5c106cde.pth",
        url: "https://download.pytorch.org/models/resnet18-5c106cde.pth",
        sha256_prefix: "5c106cde386e87d4033832f2996f5493238eda96ccf559d1d62760c4de0613f8",
        note: TORCHVISION_OLD,
    },
    KnownWeights {
        id: "resnet18.a1_in1k",
        encoder: "resnet18",
        file_name: "resnet18_a1_0-d63eafa0.pth",
        url: "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights/resnet18_a1_0-d63eafa0.pth",
        sha256_prefix: "d63eafa0",
        note: "timm, Apache-2.0; trained on ImageNet-1k; what timm 0.9 and later call `resnet18`",
    },
    KnownWeights {
        id: "resnet50.tv_v1",
        encoder: "resnet50",
        file_name: "resnet50-0676ba61.pth",
        url: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        sha256_prefix: "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        note: TORCHVISION,
    },
    KnownWeights {
        id: "resnet50.tv_v2",
        encoder: "resnet50",
        file_name: "resnet50-11ad3fa6.pth",
        url: "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        sha256_prefix: "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
        note: TORCHVISION_V2,
    },
    KnownWeights {
        id: "resnet50.tv_old",
        encoder: "resnet50",
        file_name: "resnet50-19c8e357.pth",
        url: "https://download.pytorch.org/models/resnet50-19c8e357.pth",
        sha256_prefix: "19c8e3572231adff6824a2da93fd67b5986919a2e65f8b6007eab4edee220097",
        note: TORCHVISION_OLD,
    },
    KnownWeights {
        id: "wide_resnet50_2.tv_v1",
        encoder: "wide_resnet50_2",
        file_name: "wide_resnet50_2-95faca4d.pth",
        url: "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
        sha256_prefix: "95faca4d11227dddf8633dbb5ff6c8a9003c1aa5b8945c73834b8007b10950b8",
        note: TORCHVISION,
    },
    KnownWeights {
        id: "wide_resnet50_2.tv_v2",
        encoder: "wide_resnet50_2",
        file_name: "wide_resnet50_2-9ba9bcbe.pth",
        url: "https://download.pytorch.org/models/wide_resnet50_2-9ba9bcbe.pth",
        sha256_prefix: "9ba9bcbebc349d733a72eb7608143fd754e4689ac8d8ce2916ca0bdff6443950",
        note: TORCHVISION_V2,
    },
    KnownWeights {
        id: "wide_resnet50_2.racm_in1k",
        encoder: "wide_resnet50_2",
        file_name: "wide_resnet50_racm-8234f177.pth",
        url: "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/wide_resnet50_racm-8234f177.pth",
        sha256_prefix: "8234f177",
        note: "timm, Apache-2.0; trained on ImageNet-1k; the encoder of ADer's RD4AD",
    },
    KnownWeights {
        id: "tf_efficientnet_b4.aa_in1k",
        encoder: "tf_efficientnet_b4",
        file_name: "tf_efficientnet_b4_aa-818f208c.pth",
        url: "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/tf_efficientnet_b4_aa-818f208c.pth",
        sha256_prefix: "818f208c",
        note: "timm, Apache-2.0; trained on ImageNet-1k; the encoder of ADer's UniAD",
    },
];

impl KnownWeights {
    /// The entry with this id.
    pub fn by_id(id: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.id == id)
    }

    /// The entry whose file has this SHA-256, given as hex digits.
    pub fn by_sha256(sha256: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.is_sha256(sha256))
    }

    /// The entry whose file is published under this name.
    pub fn by_file_name(file_name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.file_name == file_name)
    }

    /// True when a file with this SHA-256, given as hex digits, is the published one.
    pub fn is_sha256(&self, sha256: &str) -> bool {
        sha256.len() == 64 && sha256.starts_with(self.sha256_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_agrees_with_itself() {
        for (i, known) in KNOWN.iter().enumerate() {
            let file = known.file_name;
            assert!(known.url.starts_with("https://") && known.url.ends_with(file), "{file}");
            assert!(matches!(known.sha256_prefix.len(), 8 | 64), "{file}");
            let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(known.sha256_prefix.chars().all(is_hex), "{file}");
            // The name carries the first eight digits, whatever else is on record.
            let in_name = file.strip_suffix(".pth").unwrap().rsplit('-').next().unwrap();
            assert_eq!(in_name, &known.sha256_prefix[..8], "{file}");
            assert!(known.id.starts_with(&format!("{}.", known.encoder)), "{file}");
            assert!(crate::cache::is_valid_id(known.id), "{file}");
            for other in &KNOWN[..i] {
                assert_ne!(known.id, other.id);
                assert_ne!(known.file_name, other.file_name);
                assert_ne!(&known.sha256_prefix[..8], &other.sha256_prefix[..8]);
            }
        }
    }

    #[test]
    fn the_paper_s_encoder_is_not_the_one_timm_gives_today() {
        let paper = KnownWeights::by_id("resnet34.bt_in1k").unwrap();
        let today = KnownWeights::by_id("resnet34.a1_in1k").unwrap();
        assert_eq!(paper.file_name, "resnet34-43635321.pth");
        assert_ne!(paper.sha256_prefix, today.sha256_prefix);
    }

    #[test]
    fn a_digest_finds_its_entry() {
        let digest = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec";
        assert_eq!(KnownWeights::by_sha256(digest).unwrap().id, "resnet18.tv_v1");
        let last_digit_wrong = format!("{}d", &digest[..63]);
        assert_eq!(KnownWeights::by_sha256(&last_digit_wrong), None);
        assert_eq!(KnownWeights::by_sha256("f37072fd"), None, "a prefix is not a digest");
        assert_eq!(KnownWeights::by_sha256(""), None);
    }
}
