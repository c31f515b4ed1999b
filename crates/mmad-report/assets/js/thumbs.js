// Small copies of all pictures, cut from one sheet per class.

import { heatLayer } from './colour.js';
import { inTurn } from './frames.js';
import { decodeImage, greyLevels } from './picture.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./colour.js').GreyMap} GreyMap
 * @typedef {{class: string, columns: number, tile_px: number, map_tile_px: number, aspects: number[],
 *   pictures: string, maps: string}} Sheet
 * @typedef {{image: HTMLImageElement, maps: GreyMap, heat: Map<string, HTMLCanvasElement>}} Opened
 */

/** Pixels of a thumbnail on the canvas. */
const THUMB_PX = 96;

/**
 * @param {Sheet[]} sheets
 * @param {ScoreRow[]} scores tile `i` of a sheet is the `i`-th row of its class
 */
export function createThumbs(sheets, scores) {
  const byClass = new Map(sheets.map((sheet) => [sheet.class, sheet]));
  /** @type {Map<ScoreRow, number>} */
  const tileOf = new Map();
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const row of scores) {
    const index = seen.get(row.class) ?? 0;
    seen.set(row.class, index + 1);
    if (index < (byClass.get(row.class)?.aspects.length ?? 0)) tileOf.set(row, index);
  }
  /** @type {Map<Sheet, Promise<Opened>>} */
  const opened = new Map();

  /** @param {Sheet} sheet */
  function open(sheet) {
    let pending = opened.get(sheet);
    if (!pending) {
      const parts = Promise.all([decodeImage(sheet.pictures), decodeImage(sheet.maps)]);
      pending = parts.then(([image, maps]) => inTurn(() => ({ image, maps: greyLevels(maps), heat: new Map() })));
      opened.set(sheet, pending);
    }
    return pending;
  }

  /**
   * Left and top of a tile.
   * @param {Sheet} sheet
   * @param {number} index
   * @param {number} side
   */
  const corner = (sheet, index, side) => [(index % sheet.columns) * side, Math.floor(index / sheet.columns) * side];

  /** @param {ScoreRow} row */
  function find(row) {
    const sheet = byClass.get(row.class);
    const index = tileOf.get(row);
    return sheet && index !== undefined ? { sheet, index } : null;
  }

  return {
    /** @param {ScoreRow} row */
    has: (row) => tileOf.has(row),

    /**
     * Draws a picture, and its map for another canvas over it.
     * @param {HTMLCanvasElement[]} canvases
     * @param {ScoreRow} row
     * @param {string} colormap
     * @param {Record<string, Uint8Array>} colormaps
     */
    async draw(canvases, row, colormap, colormaps) {
      const found = find(row);
      if (!found) return;
      const { sheet, index } = found;
      const { image, maps, heat } = await open(sheet);
      await inTurn(() => {
        const layer = heat.get(colormap) ?? heatLayer(maps, colormaps[colormap]);
        heat.set(colormap, layer);
        const aspect = sheet.aspects[index];
        const sources = /** @type {const} */ ([[image, sheet.tile_px], [layer, sheet.map_tile_px]]);
        sources.forEach(([source, side], i) => {
          const canvas = canvases[i];
          canvas.width = Math.round(THUMB_PX * Math.min(1, aspect));
          canvas.height = Math.round(THUMB_PX * Math.min(1, 1 / aspect));
          const [left, top] = corner(sheet, index, side);
          canvas.getContext('2d')?.drawImage(source, left, top, side, side, 0, 0, canvas.width, canvas.height);
        });
      });
    },

    /**
     * The small copy as a picture of its own.
     * @param {ScoreRow} row
     * @param {string} verdict
     * @param {number} threshold raw
     * @returns {Promise<Picture | null>}
     */
    async picture(row, verdict, threshold) {
      const found = find(row);
      if (!found) return null;
      const { sheet, index } = found;
      await open(sheet);
      const aspect = sheet.aspects[index];
      /** @type {(url: string, side: number, stretch: boolean) => Promise<string>} */
      const cut = async (url, side, stretch) => {
        const canvas = document.createElement('canvas');
        canvas.width = stretch ? Math.round(side * Math.min(1, aspect)) : side;
        canvas.height = stretch ? Math.round(side * Math.min(1, 1 / aspect)) : side;
        const [left, top] = corner(sheet, index, side);
        const image = await decodeImage(url);
        canvas.getContext('2d')?.drawImage(image, left, top, side, side, 0, 0, canvas.width, canvas.height);
        return canvas.toDataURL('image/png');
      };
      return {
        name: row.name,
        class: row.class,
        defect: row.is_anomalous ? 'defective' : null,
        verdict,
        score: row.score,
        score01: row.score01,
        threshold,
        picture: await cut(sheet.pictures, sheet.tile_px, true),
        map: await cut(sheet.maps, sheet.map_tile_px, false),
        mask: null,
        isSmall: true,
      };
    },
  };
}
