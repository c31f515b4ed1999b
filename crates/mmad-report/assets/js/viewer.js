// One picture at full size: overlay, value under the cursor, arrow keys for the neighbours.

import { el, titleOf } from './dom.js';
import { decodePicture, drawOverlay, drawTruth, mapValue } from './picture.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./picture.js').View} View
 * @typedef {Picture | (() => Promise<Picture | null>)} Entry a picture, or how to make it
 */

/** Pixels of the longer side of a picture at most. */
const MAX_SIDE = 1024;
/** Share of the window's height that a picture takes at most, as in the style sheet. */
const MAX_HEIGHT = 0.66;

/**
 * Opacity, colours and contour, kept in `view`.
 * @param {View} view
 * @param {Record<string, Uint8Array>} colormaps
 * @param {() => void} onChange
 */
export function createViewControls(view, colormaps, onChange) {
  const opacity = el('input', { type: 'range', min: 0, max: 1, step: 0.01, class: 'opacity' });
  const colormap = el('select', {}, ...Object.keys(colormaps).map((name) => el('option', { value: name }, name)));
  const contour = el('input', { type: 'checkbox' });
  const scale = el('canvas', { width: 256, height: 1, 'aria-hidden': 'true' });
  const changed = () => {
    Object.assign(view, { opacity: Number(opacity.value), colormap: colormap.value, contour: contour.checked });
    onChange();
  };
  for (const control of [opacity, colormap, contour]) control.addEventListener('input', changed);
  let drawn = '';
  const show = () => {
    opacity.value = String(view.opacity);
    colormap.value = view.colormap;
    contour.checked = view.contour;
    if (drawn === view.colormap) return;
    drawn = view.colormap;
    const image = new ImageData(256, 1);
    const table = colormaps[view.colormap];
    for (let i = 0; i < 256; i += 1) image.data.set([...table.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    scale.getContext('2d')?.putImageData(image, 0, 0);
  };
  show();
  const node = el(
    'div',
    { class: 'view-controls' },
    el('label', {}, 'Map opacity', opacity),
    el('label', {}, 'Colours', colormap),
    el('label', {}, contour, 'Contour at 0.5'),
    el('div', { class: 'legend' }, scale, ...['0', '0.5 threshold', '≥ 1'].map((text) => el('span', {}, text))),
  );
  return { node, show };
}

/**
 * Opacity and contour of all small maps; only new colours have to be drawn. The answer follows the
 * view. A rule of its own touches these elements only, where an inherited variable would restyle
 * all around them.
 * @param {View} view
 */
export function createMapStyle(view) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  const [heat, contour] = ['.heat', '.contour'].map((selector) => {
    const rule = sheet.cssRules[sheet.insertRule(`${selector} {}`, sheet.cssRules.length)];
    return /** @type {CSSStyleRule} */ (rule).style;
  });
  const show = () => {
    heat.opacity = String(view.opacity);
    contour.visibility = view.contour ? 'visible' : 'hidden';
  };
  show();
  return show;
}

/**
 * A dialog that shows one picture of a list.
 * @param {View} view
 * @param {Record<string, Uint8Array>} colormaps
 * @param {() => void} onViewChange
 * @param {(picture: Picture) => Node[]} describe the badges of a picture
 */
export function createViewer(view, colormaps, onViewChange, describe) {
  /** @type {Entry[]} */
  let list = [];
  let index = 0;
  /** @type {Picture | null} */
  let current = null;
  /** @type {Picture | null} */
  let withTruth = null;
  let opacityBefore = view.opacity;
  const heading = el('h2', { id: 'viewer-title' });
  const badges = el('p', { class: 'badges' });
  const overlay = el('canvas', { class: 'overlay' });
  const truth = el('canvas', {});
  const plain = el('img', { alt: 'The picture alone' });
  const probe = el('output', { class: 'readout' });
  const facts = el('dl', { class: 'facts' });
  const controls = createViewControls(view, colormaps, onViewChange);
  const dialog = el(
    'dialog',
    { class: 'viewer', 'aria-labelledby': 'viewer-title' },
    el(
      'header',
      {},
      el('div', {}, heading, badges),
      el('button', { type: 'button', 'aria-label': 'Previous picture', click: () => step(-1) }, '←'),
      el('button', { type: 'button', 'aria-label': 'Next picture', click: () => step(1) }, '→'),
      el('button', { type: 'button', 'aria-label': 'Close', click: () => dialog.close() }, '✕'),
    ),
    el('div', { class: 'stage' }, el('div', {}, overlay, probe), el('div', { class: 'aside' }, plain, truth, facts)),
    controls.node,
    el('p', { class: 'quiet keys' }, el('kbd', {}, '←'), el('kbd', {}, '→'), ' other pictures · ', el('kbd', {}, 'M'), ' map on and off · ', el('kbd', {}, 'Esc'), ' close'),
  );
  document.body.append(dialog);

  async function draw() {
    controls.show();
    const picture = current;
    if (!picture) return;
    const parts = await decodePicture(picture);
    if (picture !== current) return;
    drawOverlay(overlay, parts, view, colormaps, sideOf(parts.image));
    // The truth has no opacity, so it is drawn once.
    if (picture.mask && picture !== withTruth) drawTruth(truth, parts, 512);
    withTruth = picture;
  }

  /**
   * Pixels of the longer side as the style sheet shows it: more would only cost time.
   * @param {HTMLImageElement} image
   */
  function sideOf({ naturalWidth, naturalHeight }) {
    const width = overlay.parentElement?.clientWidth ?? MAX_SIDE;
    const scale = Math.min(width / naturalWidth, (MAX_HEIGHT * innerHeight) / naturalHeight);
    const side = scale * Math.max(naturalWidth, naturalHeight) * Math.max(1, devicePixelRatio);
    return Math.min(MAX_SIDE, Math.ceil(side));
  }

  /** @param {number} by */
  async function step(by) {
    index = (index + by + list.length) % list.length;
    const entry = list[index];
    const picture = typeof entry === 'function' ? await entry() : entry;
    if (!picture || entry !== list[index]) return;
    current = picture;
    heading.textContent = titleOf(picture);
    badges.replaceChildren(...describe(picture));
    if (picture.isSmall) badges.append(el('span', { class: 'badge' }, 'small copy'));
    plain.src = picture.picture;
    overlay.setAttribute('role', 'img');
    overlay.setAttribute('aria-label', `Anomaly map over ${picture.name}`);
    truth.hidden = picture.mask === null;
    probe.textContent = 'Point at the picture to read the map.';
    const values = {
      Truth: picture.defect ?? 'good part',
      Score: picture.score01.toFixed(3),
      'Raw score': picture.score.toPrecision(5),
      'Raw threshold': picture.threshold.toPrecision(5),
      'Shipped verdict': picture.verdict,
      Position: `${index + 1} of ${list.length}`,
    };
    const pairs = Object.entries(values).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]);
    facts.replaceChildren(...pairs);
    draw();
  }

  function toggleMap() {
    if (view.opacity > 0) opacityBefore = view.opacity;
    view.opacity = view.opacity > 0 ? 0 : opacityBefore || 0.7;
    onViewChange();
  }

  overlay.addEventListener('pointermove', async (event) => {
    const box = overlay.getBoundingClientRect();
    if (!current) return;
    const parts = await decodePicture(current);
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const value = mapValue(parts, x, y);
    const pixel = [Math.floor(x * parts.image.naturalWidth), Math.floor(y * parts.image.naturalHeight)];
    const shown = value === 1 ? '≥ 1' : value.toFixed(3);
    probe.textContent = `x ${pixel[0]}, y ${pixel[1]}: ${shown}${value >= 0.5 ? ', defective' : ''}`;
  });
  dialog.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // A slider and a list keep their own keys.
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (by) step(by);
    else if (event.key === 'm' && !event.ctrlKey && !event.metaKey) toggleMap();
  });

  return {
    /**
     * @param {Entry[]} entries
     * @param {number} first
     */
    open(entries, first) {
      list = entries;
      index = first;
      dialog.showModal();
      step(0);
    },
    redraw() {
      if (dialog.open) draw();
    },
  };
}
