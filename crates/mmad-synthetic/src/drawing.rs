//! Drawing tools that know nothing of products, defects or labels.
//!
//! Positions are in units: half the shorter side of the picture is 1, the middle is the origin, x
//! grows to the right and y downwards. Colours are display values, 0 black and 1 white.

pub(crate) mod camera;
pub(crate) mod canvas;
pub(crate) mod colour;
pub(crate) mod geometry;
pub(crate) mod letters;
pub(crate) mod noise;
pub(crate) mod outline;
