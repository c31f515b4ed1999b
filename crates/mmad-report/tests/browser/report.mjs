// Opens the sample report in Chromium, from the file system, and uses it as a person would.
//
// Run: npm install && npm test. The pages are made with cargo; REPORT_PAGES=DIR takes a folder with
// report.html, hostile.html, large.html, compare.html and their .expected.json instead. Screenshots go to out/.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, 'out');
const crate = resolve(here, '../..');

const browsers = [process.env.CHROME, '/usr/bin/chromium', '/usr/bin/chromium-headless-shell', '/usr/bin/google-chrome'];
const executablePath = browsers.find((path) => path && existsSync(path));
if (!executablePath) {
  console.log('SKIPPED: no Chromium found; install one or name it in CHROME');
  process.exit(0);
}
const { chromium } = await import('playwright-core');

/** Makes the sample pages and returns their folder. */
function makePages() {
  if (process.env.REPORT_PAGES) return resolve(process.env.REPORT_PAGES);
  mkdirSync(out, { recursive: true });
  for (const [file, ...flags] of [['report.html'], ['hostile.html', '--hostile'], ['large.html', '--large'], ['compare.html', '--compare']]) {
    const command = ['run', '--quiet', '--release', '--example', 'sample_report', '--', join(out, file), ...flags];
    const { status } = spawnSync('cargo', command, { cwd: crate, stdio: ['ignore', 'ignore', 'inherit'] });
    assert.equal(status, 0, `cargo ${command.join(' ')} failed`);
  }
  return out;
}

const pages = makePages();
mkdirSync(out, { recursive: true });
const expected = JSON.parse(readFileSync(join(pages, 'report.expected.json'), 'utf8'));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });

/** Opens a page; everything it says on the console or asks from elsewhere is kept. */
async function open(file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // A busy machine may take long for one full-page picture.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!/^(file|data|blob):/.test(request.url())) complaints.push(`request to ${request.url()}`);
  });
  await page.goto(pathToFileURL(join(pages, file)).href);
  await page.waitForSelector('.confusion, .scatter circle');
  return { page, complaints, context };
}

const counts = (page) =>
  page.$$eval('[data-count]', (cells) => Object.fromEntries(cells.map((cell) => [cell.dataset.count, Number(cell.textContent)])));

const chooseClass = (page, name) => page.selectOption('#class', name === '' ? { value: '' } : { label: name });

/** Numbers are drawn with the next frame, lists and gallery bit by bit in those after it. */
const nextFrame = (page) => page.evaluate(async () => {
  for (let i = 0; i < 12; i += 1) await new Promise(requestAnimationFrame);
});

async function setThreshold(page, value) {
  await page.fill('#threshold', String(value));
  await page.press('#threshold', 'Enter');
  await nextFrame(page);
}

async function setReview(page, value) {
  await page.setChecked('#has-review', value !== null);
  if (value !== null) {
    await page.fill('#review', String(value));
    await page.press('#review', 'Enter');
  }
  await nextFrame(page);
}

const steps = {
  async 'counts agree with the program at every class and threshold'({ page }) {
    for (const withReview of [true, false]) {
      await page.setChecked('#has-review', withReview);
      for (const { class: name, threshold, ...numbers } of expected.counts) {
        await chooseClass(page, name);
        await setThreshold(page, threshold);
        const { goodReviews, badReviews, passes, misses, ...rejected } = numbers;
        const wanted = withReview ? numbers : { ...rejected, passes: passes + goodReviews, misses: misses + badReviews };
        assert.deepEqual(await counts(page), wanted, `class "${name}" at ${threshold}`);
        const lists = await page.$$eval('.mistakes .count', (nodes) => nodes.map((node) => Number(node.textContent)));
        assert.deepEqual(lists, [wanted.falseRejects, wanted.misses]);
      }
    }
    await page.setChecked('#has-review', true);
  },

  async 'mistakes appear as pictures, the worst first, and open'({ page }) {
    for (const [name, threshold] of [['', 0.4], ['hex nut', 0.4], ['hex nut', 0.7], ['hex nut', 0.45]]) {
      await chooseClass(page, name);
      await setThreshold(page, threshold);
      const { falseRejects, misses } = await counts(page);
      const panels = await page.$$eval('.mistakes', (nodes) =>
        nodes.map((node) => [...node.querySelectorAll('.thumb data')].map((data) => Number(data.value))),
      );
      assert.deepEqual(panels.map((list) => list.length), [falseRejects, misses].map((n) => Math.min(24, n)), name);
      const [rejected, missed] = panels;
      assert.ok(rejected.every((score, i) => score >= threshold && (i === 0 || score <= rejected[i - 1])));
      assert.ok(missed.every((score, i) => score < threshold && (i === 0 || score >= missed[i - 1])));
    }
    await chooseClass(page, '');
    await setThreshold(page, 0.3);
    await page.locator('.mistakes .more').first().click();
    await nextFrame(page);
    assert.equal(await page.locator('.mistakes').first().locator('.thumb').count(), 48);
    // Every thumbnail is drawn, and its picture opens, large or small.
    await page.waitForFunction(() => [...document.querySelectorAll('.thumb canvas')].every((canvas) => canvas.width === 96));
    for (const nth of [0, 30]) {
      const thumb = page.locator('.mistakes').first().locator('.thumb').nth(nth);
      const label = await thumb.getAttribute('aria-label');
      await thumb.click();
      const dialog = page.locator('dialog.viewer');
      await page.waitForFunction((start) => start.startsWith(document.querySelector('.viewer h2').textContent), label);
      assert.match(await dialog.textContent(), /Truthgood part/);
      await page.waitForFunction(() => document.querySelector('.viewer .overlay').width > 300);
      await page.keyboard.press('Escape');
    }
    await page.getByRole('button', { name: 'Shipped' }).click();
  },

  async 'the review band has its own line'({ page }) {
    await chooseClass(page, 'hex nut');
    await setThreshold(page, 0.5);
    await setReview(page, 0.45);
    const before = await counts(page);
    await page.locator('.histogram').scrollIntoViewIfNeeded();
    const box = await page.locator('.histogram').boundingBox();
    const line = await page.locator('.review-line').boundingBox();
    await page.mouse.move(line.x - 2, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(line.x - 60, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await nextFrame(page);
    const after = await counts(page);
    assert.equal(await page.inputValue('#threshold'), '0.500', 'the other line stays');
    assert.ok(Number(await page.inputValue('#review')) < 0.45);
    assert.ok(after.goodReviews > before.goodReviews);
    assert.deepEqual([after.hits, after.falseRejects], [before.hits, before.falseRejects]);
    await page.focus('.threshold-slider.review');
    const value = Number(await page.inputValue('#review'));
    await page.keyboard.press('ArrowLeft');
    assert.ok(Math.abs(Number(await page.inputValue('#review')) - value + 0.001) < 1e-9);
    await setReview(page, null);
    assert.equal((await counts(page)).goodReviews, undefined);
    assert.equal(await page.locator('.review-line').count(), 0);
    await setReview(page, 0.45);
  },

  async 'the chosen threshold can be taken to the command line'({ page, context }) {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await chooseClass(page, 'hex nut');
    await setThreshold(page, 0.5);
    await page.getByRole('button', { name: 'Copy the command' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    const raw = Number(/^mmad calibrate MODEL --set 'hex nut=([\d.]+)'$/.exec(text)?.[1]);
    // The sample's raw scores are 0.013 + 0.06 times the score for this class.
    assert.ok(Math.abs(raw - 0.043) < 2e-4, text);
  },

  async 'areas under the ROC curve agree with the table'({ page }) {
    for (const [name, [auroc]] of expected.table.rows) {
      await chooseClass(page, name);
      const text = await page.textContent('#curve-plots');
      if (auroc === null) assert.doesNotMatch(text, /ROC, images/);
      else assert.ok(text.includes(`Area ${(100 * auroc).toFixed(1)} %`), `${name}: ${auroc} in ${text}`);
    }
  },

  async 'the threshold follows mouse and keyboard'({ page }) {
    await chooseClass(page, '');
    await page.locator('.histogram').scrollIntoViewIfNeeded();
    const box = await page.locator('.histogram').boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.2, box.y + 60, { steps: 5 });
    await page.mouse.up();
    const dragged = Number(await page.inputValue('#threshold'));
    assert.ok(dragged > 0.1 && dragged < 0.4, `dragged to ${dragged}`);
    await nextFrame(page);
    const { falseRejects } = await counts(page);
    assert.ok(falseRejects > 20, 'a low threshold rejects many good parts');

    // The thumb of the slider and the line of the plot are one thing to the eye.
    const line = await page.locator('.histogram line.threshold').boundingBox();
    const slider = await page.locator('.threshold-slider.reject').boundingBox();
    const domain = await page.$eval('.threshold-slider.reject', ({ min, max }) => [Number(min), Number(max)]);
    const thumb = slider.x + 8 + ((dragged - domain[0]) / (domain[1] - domain[0])) * (slider.width - 16);
    assert.ok(Math.abs(line.x + line.width / 2 - thumb) < 1.5, `line at ${line.x}, thumb at ${thumb}`);

    await page.focus('.threshold-slider.reject');
    await page.keyboard.press('ArrowRight');
    const stepped = Number(await page.inputValue('#threshold'));
    assert.ok(Math.abs(stepped - dragged - 0.001) < 1e-9, `${dragged} then ${stepped}`);

    await page.setChecked('#has-review', false);
    await page.getByRole('button', { name: 'No misses' }).click();
    await nextFrame(page);
    assert.equal((await counts(page)).misses, 0);
    await page.setChecked('#has-review', true);
    await page.getByRole('button', { name: 'No false rejects' }).click();
    await nextFrame(page);
    assert.equal((await counts(page)).falseRejects, 0);
    await page.getByRole('button', { name: 'Shipped' }).click();
    assert.equal(await page.inputValue('#threshold'), '0.500');
  },

  async 'the gallery follows class and threshold'({ page }) {
    await chooseClass(page, 'hex nut');
    await setThreshold(page, 0.4);
    await page.getByText(/^False rejects \d+$/).last().click();
    const captions = await page.locator('.card .caption').allTextContents();
    assert.ok(captions.length > 0);
    for (const caption of captions) assert.match(caption, /^hex nut .*false reject.*good · 0\.[4-9]/);
    await setThreshold(page, 5);
    assert.equal(await page.locator('.card').count(), 0);
    await page.getByRole('button', { name: 'Shipped' }).click();
    await page.getByText(/^Closest to threshold/).click();
    await chooseClass(page, '');
    await nextFrame(page);
    assert.equal(await page.locator('.card').count(), 24);
    await page.getByRole('button', { name: 'Show more' }).click();
    assert.equal(await page.locator('.card').count(), 48);
  },

  async 'the viewer walks with arrow keys'({ page }) {
    await page.locator('.card').first().click();
    const dialog = page.locator('dialog.viewer');
    await page.waitForFunction(() => document.querySelector('.viewer .overlay').width > 300);
    const title = await dialog.locator('h2').textContent();
    await dialog.locator('h2').click();
    await dialog.press('ArrowRight');
    assert.notEqual(await dialog.locator('h2').textContent(), title);
    await dialog.press('ArrowLeft');
    assert.equal(await dialog.locator('h2').textContent(), title);
    const opacity = dialog.getByLabel('Map opacity');
    const shown = await opacity.inputValue();
    await dialog.press('m');
    await nextFrame(page);
    assert.equal(await opacity.inputValue(), '0');
    await dialog.press('m');
    await nextFrame(page);
    assert.equal(await opacity.inputValue(), shown);
    await page.keyboard.press('Escape');
    assert.equal(await dialog.isVisible(), false);
  },

  async 'all classes together have mean curves over pixels'({ page }) {
    await chooseClass(page, '');
    const panel = page.locator('.curve-panel').last();
    assert.match(await panel.textContent(), /, mean of \d+ class(es)?/);
    assert.match(await page.textContent('#curves-note'), /pixels as the mean of the classes/);
    await page.locator('.curve').last().focus();
    const readout = panel.locator('output');
    for (let i = 0; i < 30; i += 1) await page.keyboard.press('PageUp');
    assert.equal(await readout.textContent(), 'False positive rate 1.000 · Mean overlap with regions 1.000');
    // The classes differ in their thresholds there, so none is told.
    for (let i = 0; i < 4; i += 1) await page.keyboard.press('PageDown');
    assert.match(await readout.textContent(), /^False positive rate 0\.\d{3} · Mean overlap with regions \d\.\d{3}$/);
  },

  async 'curves say what is under the cursor'({ page }) {
    await chooseClass(page, 'hex nut');
    const plot = page.locator('.curve').first();
    await plot.scrollIntoViewIfNeeded();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
    const readout = page.locator('.curve-panel output').first();
    assert.match(await readout.textContent(), /^False reject rate \d\.\d{3} · Detection rate \d\.\d{3}/);
    const before = await readout.textContent();
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    assert.notEqual(await readout.textContent(), before);
    assert.equal(await page.locator('.curve-panel').count(), 5);
    assert.equal(await page.locator('.curve .shade').count(), 1);
    // The last is a curve that the report brought along: it knows its thresholds too.
    const last = page.locator('.curve').last();
    await last.focus();
    for (let i = 0; i < 3; i += 1) await page.keyboard.press('PageUp');
    const words = /^False positive rate \d\.\d{3} · Mean overlap with regions \d\.\d{3} · threshold \d\.\d{3}$/;
    assert.match(await page.locator('.curve-panel output').last().textContent(), words);
    const dot = () => page.locator('.curve .mark').last().getAttribute('cy');
    const low = await dot();
    await setThreshold(page, 0.2);
    assert.notEqual(await dot(), low, 'the dot follows the threshold');
    await setThreshold(page, 0.5);
  },

  async 'the table sorts and copies'({ page, context }) {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const heading = page.locator('#metrics thead button').nth(1);
    const column = () => page.$$eval('#metrics tbody tr', (rows) => rows.map((row) => row.cells[1].textContent));
    for (const sign of [1, -1]) {
      await heading.click();
      const values = await column();
      assert.equal(values.at(-1), '-', 'undefined comes last');
      const numbers = values.slice(0, -1).map(Number);
      assert.deepEqual(numbers, [...numbers].sort((a, b) => sign * (a - b)));
    }
    await page.getByRole('button', { name: 'Copy as Markdown' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(text, /^\| class \| I-AUROC \|/);
  },

  async 'every control has a name'({ page }) {
    const unnamed = await page.$$eval('button, input, select, [role=img], canvas:not([aria-hidden])', (nodes) =>
      nodes
        .filter((node) => !node.closest('.card, dialog:not([open])') && !node.textContent.trim())
        .filter((node) => !node.getAttribute('aria-label') && !(node.labels?.length > 0))
        .map((node) => node.outerHTML.slice(0, 120)),
    );
    assert.deepEqual(unnamed, []);
  },
};

/** Lets pictures near the screen be drawn before a screenshot. */
async function settle(page) {
  await page.evaluate(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 500) {
      scrollTo(0, y);
      await new Promise((done) => setTimeout(done, 60));
    }
    scrollTo(0, 0);
  });
}

async function screenshots() {
  for (const [name, options] of Object.entries({
    light: { colorScheme: 'light' },
    dark: { colorScheme: 'dark' },
    narrow: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
  })) {
    const { page, complaints, context } = await open('report.html', options);
    await chooseClass(page, 'bottle cap');
    await setThreshold(page, 0.44);
    await settle(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name}: the page is ${wide} pixels too wide`);
    await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
    await page.locator('.card').nth(1).click();
    await page.waitForFunction(() => document.querySelector('.viewer .overlay').width > 300);
    await page.screenshot({ path: join(out, `${name}-viewer.png`) });
    await page.keyboard.press('Escape');
    await page.click('#theme');
    const theme = await page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(theme, name === 'dark' ? 'light' : 'dark');
    assert.deepEqual(complaints, []);
    await context.close();
  }
}

async function hostile({ page, complaints }) {
  await settle(page);
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  assert.match(await page.textContent('h1'), /^<\/script><script>window\.hacked/);
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  assert.deepEqual(complaints, []);
}

/** In the hostile page the first picture is one whose colours are known. */
async function overlay({ page }) {
  const { name, samples } = JSON.parse(readFileSync(join(pages, 'hostile.expected.json'), 'utf8')).overlay;
  await page.selectOption('#class', { index: 1 });
  await page.getByText(/^Random/).click();
  await page.locator('.card', { hasText: name }).click();
  const dialog = page.locator('dialog.viewer');
  await dialog.getByLabel('Contour').uncheck();
  for (const { opacity, x, y, rgb } of samples) {
    await dialog.getByLabel('Map opacity').fill(String(opacity));
    await nextFrame(page);
    const pixel = await dialog.locator('canvas.overlay').evaluate((canvas, at) => {
      const place = [at.x, at.y].map((value) => Math.round(((value + 0.5) * canvas.width) / 256));
      return [...canvas.getContext('2d').getImageData(...place, 1, 1).data.slice(0, 3)];
    }, { x, y });
    const worst = Math.max(...rgb.map((value, c) => Math.abs(value - pixel[c])));
    assert.ok(worst <= 4, `opacity ${opacity} at ${x}, ${y}: page ${pixel}, program ${rgb}`);
  }
  // The map grows by 1/200 per column, so column 100 lies on the threshold.
  const box = await dialog.locator('canvas.overlay').boundingBox();
  await page.mouse.move(box.x + (100.5 / 256) * box.width, box.y + box.height / 2);
  await page.waitForFunction(() => /^x 100, y \d+: 0\.50/.test(document.querySelector('.viewer .readout').textContent));
  await page.keyboard.press('Escape');
}

/** How long a large page takes to open and to follow its sliders. Printed, never asserted: the
 * machine may be busy. */
async function pace() {
  const start = Date.now();
  const { page, complaints, context } = await open('large.html');
  const opened = await page.evaluate(() => {
    const { responseEnd, domComplete } = performance.getEntriesByType('navigation')[0];
    return { load: domComplete - responseEnd, whole: domComplete };
  });
  const megabytes = readFileSync(join(pages, 'large.html')).length / 1e6;
  console.log(`        ${megabytes.toFixed(1)} MB open in ${opened.whole.toFixed(0)} ms (${Date.now() - start} ms with the browser)`);
  const sweep = (selector) =>
    page.evaluate(async (selector) => {
      const slider = document.querySelector(selector);
      slider.scrollIntoView({ block: 'center' });
      const [low, high] = [Number(slider.min), Number(slider.max)];
      const times = [];
      for (let i = 0; i <= 60; i += 1) {
        slider.value = String(low + ((high - low) * i) / 60);
        // Callbacks of a frame run in order: one before the page's, one after. The time between
        // them, with the handler, is work of the page; waiting for the frame is not.
        let begin = 0;
        requestAnimationFrame(() => { begin = performance.now(); });
        const before = performance.now();
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        const handler = performance.now() - before;
        await new Promise((done) => requestAnimationFrame(() => {
          // A message arrives when the frame is painted.
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => {
            times.push(handler + performance.now() - begin);
            done();
          };
          port2.postMessage(0);
        }));
      }
      times.sort((a, b) => a - b);
      return [times[30], times[57], times[60]];
    }, selector);
  for (const name of ['', 'bottle cap']) {
    await chooseClass(page, name);
    await nextFrame(page);
    for (const selector of ['.threshold-slider.reject', '.view-controls .opacity']) {
      const [median, p95, worst] = (await sweep(selector)).map((ms) => ms.toFixed(1));
      console.log(`        ${selector} ${name || 'all classes'}: median ${median} ms, 95 % ${p95} ms, worst ${worst} ms`);
    }
  }
  assert.deepEqual(complaints, []);
  await context.close();
}

async function comparison({ page, complaints, context }) {
  const { changes } = JSON.parse(readFileSync(join(pages, 'compare.expected.json'), 'utf8'));
  for (const { class: name, pictures, ...numbers } of changes) {
    await chooseClass(page, name);
    assert.equal(await page.locator('.scatter circle').count(), pictures);
    assert.equal(await page.locator('.scatter circle.changed').count(), numbers.all);
    for (const [kind, n] of Object.entries(numbers)) {
      await page.locator('#kinds label', { hasText: new RegExp(`^${kind} ${n}$`, 'i') }).click();
      assert.equal(await page.locator('.changes tbody tr').count(), n, `${name} ${kind}`);
    }
  }
  await chooseClass(page, '');
  const dot = page.locator('.scatter circle.changed').first();
  await dot.hover({ force: true });
  assert.match(await page.textContent('.readout'), / · (good|defective) · \d\.\d{3} → \d\.\d{3}$/);
  await page.locator('#metrics thead button').nth(1).click();
  const values = await page.$$eval('#metrics tbody tr', (rows) => rows.map((row) => row.cells[1].firstChild.textContent));
  const numbers = values.filter((text) => text !== '-').map(Number);
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy as Markdown' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^\| class \| I-AUROC \|/);
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  assert.deepEqual(complaints, []);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(out, `compare-${colorScheme}.png`), fullPage: true });
  }
}

let failed = 0;
async function run(name, test) {
  try {
    await test();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

const session = await open('report.html');
for (const [name, step] of Object.entries(steps)) await run(name, () => step(session));
await run('no complaint on the console, no request', () => assert.deepEqual(session.complaints, []));
const hostileSession = await open('hostile.html');
await run('overlay pixels are those the program draws', () => overlay(hostileSession));
await run('names cannot become code', () => hostile(hostileSession));
const comparisonSession = await open('compare.html');
await run('two runs side by side', () => comparison(comparisonSession));
await run('a page of 15 classes with 100 pictures each', pace);
await run('screenshots in light, dark and narrow', screenshots);
await browser.close();
process.exit(failed > 0 ? 1 : 0);
