// One picture with its map and mask: decoded once, drawn into any canvas.

import { THRESHOLD_LEVEL, contourPath, heatLayer } from './colour.js';
import { inTurn } from './frames.js';

/**
 * @typedef {import('./colour.js').GreyMap} GreyMap
 * @typedef {{name: string, class: string, defect: string | null, verdict: string, score: number,
 *   score01: number, threshold: number, picture: string, map: string, mask: string | null,
 *   isSmall?: boolean}} Picture `isSmall` marks a small copy
 * @typedef {{image: HTMLImageElement, map: GreyMap, contour: Path2D, mask: GreyMap | null,
 *   heat: Map<string, HTMLCanvasElement>}} Decoded `heat` holds the map in the colours used so far
 * @typedef {{opacity: number, colormap: string, contour: boolean}} View
 */

/** @type {Map<Picture, Promise<Decoded>>} */
const decoded = new Map();

/**
 * Decodes picture, map and mask, once per picture.
 * @param {Picture} picture
 * @returns {Promise<Decoded>}
 */
export function decodePicture(picture) {
  let pending = decoded.get(picture);
  if (!pending) {
    pending = decodeParts(picture);
    decoded.set(picture, pending);
  }
  return pending;
}

/** @param {Picture} picture */
async function decodeParts(picture) {
  const [image, mapImage, maskImage] = await Promise.all([
    decodeImage(picture.picture),
    decodeImage(picture.map),
    picture.mask ? decodeImage(picture.mask) : null,
  ]);
  return inTurn(() => {
    const map = greyLevels(mapImage);
    const mask = maskImage && greyLevels(maskImage);
    return { image, map, contour: contourPath(map, THRESHOLD_LEVEL), mask, heat: new Map() };
  });
}

/**
 * The picture behind an address, ready to be drawn.
 * @param {string} url
 */
export async function decodeImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/**
 * The grey levels of a picture, read from its red channel.
 * @param {HTMLImageElement} image
 * @returns {GreyMap}
 */
export function greyLevels(image) {
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = context2d(canvas);
  context.drawImage(image, 0, 0);
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const levels = new Uint8Array(width * height);
  for (let i = 0; i < levels.length; i += 1) levels[i] = data[4 * i];
  return { width, height, levels };
}

/** @param {HTMLCanvasElement} canvas */
function context2d(canvas) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser cannot draw on a canvas');
  return context;
}

/**
 * Empties a canvas and gives it the shape of the picture, its longer side about `side` pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {number} side
 */
function emptyCanvas(canvas, image, side) {
  const scale = side / Math.max(image.naturalWidth, image.naturalHeight);
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  return context2d(canvas);
}

/**
 * Draws the picture so that its longer side is about `side` pixels, and returns the context.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {number} side
 */
function drawBase(canvas, image, side) {
  const context = emptyCanvas(canvas, image, side);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return context;
}

/**
 * Strokes a path given in map pixels, light on dark, so that it shows on any picture.
 * @param {CanvasRenderingContext2D} context
 * @param {Path2D} path
 * @param {GreyMap} map
 */
function strokeContour(context, path, map) {
  const { width, height } = context.canvas;
  context.save();
  context.scale(width / map.width, height / map.height);
  const pixel = map.width / width;
  const line = Math.max(width, height) / 220;
  for (const [style, wide] of /** @type {[string, number][]} */ ([['#0009', 3], ['#fff', 1.3]])) {
    context.strokeStyle = style;
    context.lineWidth = line * wide * pixel;
    context.stroke(path);
  }
  context.restore();
}

/**
 * The map in colours, made once for each table of colours.
 * @param {Decoded} parts
 * @param {string} colormap
 * @param {Record<string, Uint8Array>} colormaps
 */
export function heatOf(parts, colormap, colormaps) {
  const heat = parts.heat.get(colormap) ?? heatLayer(parts.map, colormaps[colormap]);
  parts.heat.set(colormap, heat);
  return heat;
}

/**
 * The contour of the map alone, on nothing.
 * @param {HTMLCanvasElement} canvas
 * @param {Decoded} parts
 * @param {number} side
 */
export function drawContour(canvas, parts, side) {
  strokeContour(emptyCanvas(canvas, parts.image, side), parts.contour, parts.map);
}

/**
 * The picture with its map over it.
 * @param {HTMLCanvasElement} canvas
 * @param {Decoded} parts
 * @param {View} view
 * @param {Record<string, Uint8Array>} colormaps
 * @param {number} side
 */
export function drawOverlay(canvas, parts, view, colormaps, side) {
  const context = drawBase(canvas, parts.image, side);
  context.globalAlpha = view.opacity;
  context.drawImage(heatOf(parts, view.colormap, colormaps), 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
  if (view.contour) strokeContour(context, parts.contour, parts.map);
}

/**
 * The picture with the true defect tinted and outlined.
 * @param {HTMLCanvasElement} canvas
 * @param {Decoded} parts
 * @param {number} side
 */
export function drawTruth(canvas, parts, side) {
  const context = drawBase(canvas, parts.image, side);
  if (!parts.mask) return;
  const tint = new Uint8Array(768);
  for (let i = 0; i < 768; i += 3) tint.set([86, 180, 233], i);
  context.globalAlpha = 0.45;
  context.drawImage(heatLayer(parts.mask, tint), 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
  strokeContour(context, contourPath(parts.mask, THRESHOLD_LEVEL), parts.mask);
}

/**
 * The map's value at a place given as fractions of width and height; 1 means 1 or more.
 * @param {Decoded} parts
 * @param {number} x
 * @param {number} y
 */
export function mapValue({ map }, x, y) {
  const column = Math.min(map.width - 1, Math.max(0, Math.floor(x * map.width)));
  const row = Math.min(map.height - 1, Math.max(0, Math.floor(y * map.height)));
  return map.levels[row * map.width + column] / 255;
}
