// Anomaly maps as colours on one absolute scale: level 127.5 of 255 is the threshold.

/** @typedef {{width: number, height: number, levels: Uint8Array}} GreyMap */

/** The level where the threshold lies. */
export const THRESHOLD_LEVEL = 127.5;

/**
 * A colour table sent in base64: red, green and blue for each of the 256 levels.
 * @param {string} text
 */
export function decodeColormap(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * How much of the colour shows: nothing up to 0.4, half at the threshold, all from 0.6 on. The same
 * formula draws the picture files, so page and files look alike.
 * @param {number} value
 */
export function heatAlpha(value) {
  const t = Math.min(1, Math.max(0, (value - 0.4) / 0.2));
  return t * t * (3 - 2 * t);
}

/**
 * The coloured map as a canvas of the map's size, transparent where it is calm.
 * @param {GreyMap} map
 * @param {Uint8Array} table
 */
export function heatLayer(map, table) {
  const layer = document.createElement('canvas');
  layer.width = map.width;
  layer.height = map.height;
  // One 32-bit word per pixel; the bytes inside are in the order of the canvas on any machine.
  const colours = new Uint8Array(4 * 256);
  for (let level = 0; level < 256; level += 1) {
    colours.set(table.subarray(3 * level, 3 * level + 3), 4 * level);
    colours[4 * level + 3] = Math.round(255 * heatAlpha(level / 255));
  }
  const words = new Uint32Array(colours.buffer);
  const image = new ImageData(map.width, map.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = words[map.levels[i]];
  layer.getContext('2d')?.putImageData(image, 0, 0);
  return layer;
}

/**
 * The line where the map crosses `level`, in map pixels, by marching squares with linear
 * interpolation between pixel centres. A region that leaves the picture stays open there.
 * @param {GreyMap} map
 * @param {number} level
 */
export function contourPath({ width, height, levels }, level) {
  const path = new Path2D();
  for (let y = 0; y + 1 < height; y += 1) {
    for (let x = 0; x + 1 < width; x += 1) {
      const i = y * width + x;
      const isInside = levels[i] >= level;
      // Nearly every place is calm, so it must not cost an array.
      if (
        levels[i + 1] >= level === isInside &&
        levels[i + width] >= level === isInside &&
        levels[i + width + 1] >= level === isInside
      ) continue;
      const corner = [levels[i], levels[i + 1], levels[i + width + 1], levels[i + width]];
      // Where the four sides are crossed, clockwise from the top.
      const cross = [0, 1, 2, 3].flatMap((side) => {
        const [a, b] = [corner[side], corner[(side + 1) % 4]];
        if ((a >= level) === (b >= level)) return [];
        const t = (level - a) / (b - a);
        const points = [[t, 0], [1, t], [1 - t, 1], [0, 1 - t]];
        return [points[side]];
      });
      for (let k = 0; k + 1 < cross.length; k += 2) {
        path.moveTo(x + 0.5 + cross[k][0], y + 0.5 + cross[k][1]);
        path.lineTo(x + 0.5 + cross[k + 1][0], y + 0.5 + cross[k + 1][1]);
      }
    }
  }
  return path;
}
