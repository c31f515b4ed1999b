// When the page works: once per frame for what a slider moves, and bit by bit for pictures.

/** Milliseconds that pictures may take of one frame (16.7 ms); the rest is for numbers and plots. */
const BUDGET_MS = 4;

/**
 * A function that asks for one `draw` with the next frame, however often it is called until then.
 * @param {() => void} draw
 */
export function oncePerFrame(draw) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}

/** @type {Map<object, () => void>} */
const waiting = new Map();

const work = oncePerFrame(() => {
  const end = performance.now() + BUDGET_MS;
  for (const [key, job] of waiting) {
    waiting.delete(key);
    job();
    if (performance.now() >= end) break;
  }
  if (waiting.size > 0) work();
});

/**
 * Does a job in one of the next frames. A job that waits under the same key gives its place to it.
 * @param {object} key
 * @param {() => void} job
 */
export function whenFree(key, job) {
  waiting.set(key, job);
  work();
}

/**
 * The answer of a job that is done in one of the next frames.
 * @template T
 * @param {() => T} job
 * @returns {Promise<T>}
 */
export function inTurn(job) {
  return new Promise((done) => whenFree({}, () => done(job())));
}
