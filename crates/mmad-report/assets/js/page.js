// The parts of a page that need no data: sorting a table, copying text, light and dark.

import { el } from './dom.js';

/**
 * Makes the headings of a table sort its body; `-` always comes last.
 * @param {HTMLTableElement} table
 */
export function makeSortable(table) {
  const headings = [...table.querySelectorAll('thead th')];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const sort = () => {
      const ascending = heading.getAttribute('aria-sort') !== 'ascending';
      for (const other of headings) other.removeAttribute('aria-sort');
      heading.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
      // The first text of a cell is its value; a change may follow in an element of its own.
      const text = (/** @type {HTMLTableRowElement} */ row) => row.cells[column].firstChild?.textContent ?? '';
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [text(a), text(b)];
        if ((x === '-') !== (y === '-')) return x === '-' ? 1 : -1;
        return x.localeCompare(y, 'en', { numeric: true }) * (ascending ? 1 : -1);
      });
      body.append(...sorted);
    };
    heading.replaceChildren(el('button', { type: 'button', click: sort }, heading.textContent ?? ''));
  });
}

/**
 * A button that copies a text and says so.
 * @param {string} label
 * @param {() => string} text
 */
export function copyButton(label, text) {
  const button = el('button', { type: 'button', 'aria-live': 'polite' }, label);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Copying is not allowed here';
    }
    setTimeout(() => { button.textContent = label; }, 1600);
  });
  return button;
}

/**
 * Lets a button switch between light and dark, starting from what the system prefers.
 * @param {HTMLElement} button
 */
export function themeToggle(button) {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const label = () => { button.textContent = isDark() ? 'Light' : 'Dark'; };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    label();
  });
  system.addEventListener('change', label);
  label();
}
