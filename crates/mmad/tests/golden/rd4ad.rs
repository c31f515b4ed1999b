//! RD4AD with every width divided by 16: training, gradients, statistics, scoring, map.

use burn::tensor::{Device, Tensor};
use mmad::methods::rd4ad::{Decoder, Embedding, Rd4adConfig, cosine_loss};
use mmad::params::{Builder, InitRule};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::baselines::{check_grads, check_statistics, fill, golden};
use super::file::{Golden, anomaly_maps, values};

const CHANNELS: [usize; 3] = [16, 32, 64];

fn maps(golden: &Golden, device: &Device) -> [Tensor<4>; 3] {
    [0, 1, 2].map(|level| golden.map(&format!("t{level}"), device))
}

/// Tolerances: 1e-4 for maps, 1e-3 for gradients, of the largest value; 15 norms with the
/// statistics of 2 pictures follow one another.
#[test]
fn rd4ad() {
    let Some(golden) = golden("rd_small") else { return };
    let device = Device::flex().autodiff();
    let builder = Builder::new(&device, ChaCha8Rng::seed_from_u64(0));
    let root = builder.root(InitRule::Fuser);
    let config = Rd4adConfig { embedding_blocks: 2, ..Rd4adConfig::default() };
    let embedding = Embedding::new(&root.sub("mff"), CHANNELS, &config);
    let decoder = Decoder::new(&root.sub("dec"), CHANNELS, [2, 2, 1]);
    let params = builder.finish();
    fill(&golden, "w.", &params);
    params.track(true);

    let seen = maps(&golden, &device);
    let embedded = embedding.forward(&seen, true);
    golden.check_map("emb_train", embedded.clone(), 1e-4);
    let rebuilt = decoder.forward(embedded, true);
    for (level, map) in rebuilt.iter().enumerate() {
        golden.check_map(&format!("s{level}_train"), map.clone(), 1e-4);
    }
    let loss = cosine_loss(&seen, &rebuilt);
    golden.check("loss", &values(loss.clone()), 1e-5);
    check_grads(&golden, "g.", &params, &loss.backward(), 1e-3);
    check_statistics(&golden, "after.", &params, 1e-5);

    params.track(false);
    let seen = maps(&golden, &Device::flex());
    let rebuilt = decoder.forward(embedding.forward(&seen, false), false);
    for (level, map) in rebuilt.iter().enumerate() {
        golden.check_map(&format!("s{level}_eval"), map.clone(), 1e-4);
    }
    let picture = |index: usize| {
        let of = |maps: &[Tensor<4>; 3]| maps.each_ref().map(|map| map.clone().narrow(0, index, 1));
        let [_, smooth] = anomaly_maps(&of(&seen), &of(&rebuilt), 64, 64);
        smooth
    };
    golden.check("amap64_sigma4_eval", &[picture(0), picture(1)].concat(), 1e-4);
}
