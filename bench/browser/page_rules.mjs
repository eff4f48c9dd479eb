// What every page of ours must keep, whoever looks at it: language, title, policy, labels, focus, contrast.
import assert from 'node:assert/strict';

/** Runs in the page: texts whose contrast with what lies behind them is below WCAG 2.2 AA (1.4.3). */
function lowContrast() {
  const parse = (text) => {
    const numbers = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    if (text.startsWith('color(srgb')) return [numbers[0] * 255, numbers[1] * 255, numbers[2] * 255, numbers[3] ?? 1];
    return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage.includes('gradient')) return null; // judged by eye, on the screenshot
      layers.push(parse(style.backgroundColor));
    }
    const ground = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((below, top) => over(top, below), ground);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const failures = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!walker.currentNode.textContent.trim() || style.visibility === 'hidden' || box.width < 2 || box.height < 2) continue;
    if (['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE'].includes(element.tagName) || element.closest('[aria-hidden=true], :disabled')) continue;
    const behind = background(element);
    if (!behind) continue;
    const [light, dark] = [luminance(over(parse(style.color), behind)), luminance(behind)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) failures.push(`${ratio.toFixed(2)} "${walker.currentNode.textContent.trim().slice(0, 40)}"`);
  }
  return failures;
}

/** Runs in the page: controls without a name, and pages without their frame. */
function structure() {
  const name = (element) => element.getAttribute('aria-label') || element.textContent.trim() || element.value || element.title
    || (element.labels?.[0]?.textContent.trim() ?? '') || element.querySelector('[aria-label], title')?.textContent;
  const controls = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')];
  return {
    language: document.documentElement.lang,
    title: document.title,
    viewport: !!document.querySelector('meta[name=viewport]'),
    headings: document.querySelectorAll('h1').length,
    main: document.querySelectorAll('main').length,
    nameless: controls.filter((control) => !name(control)).map((control) => control.outerHTML.slice(0, 80)),
    overflow: document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
    sideways: [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1
      && !element.closest('[tabindex], pre, .scroll')).length,
  };
}

/** Tabs through the page: every stop must be visible. */
async function invisibleFocus(page) {
  const hidden = [];
  const seen = new Set();
  for (let n = 0; n < 40; n += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element);
      const marked = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
      return { what: element.outerHTML.slice(0, 80), marked, at: [...document.querySelectorAll('*')].indexOf(element) };
    });
    if (!stop || seen.has(stop.at)) break;
    seen.add(stop.at);
    if (!stop.marked) hidden.push(stop.what);
  }
  return { hidden, stops: seen.size };
}

/** Checks one page of ours in the look it has right now. */
export async function checkPage(page, answer, { controls = 0 } = {}) {
  const headers = answer.headers();
  const policy = headers['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'none'/, 'a strict policy');
  assert.doesNotMatch(policy, /unsafe-(inline|eval)/, 'no way around the policy');
  assert.match(policy, /frame-ancestors 'none'/);
  assert.match(policy, /base-uri 'none'/);
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.match(headers['referrer-policy'], /^(no-referrer|same-origin)$/);
  const found = await page.evaluate(structure);
  assert.ok(found.language, 'a language');
  assert.ok(found.title, 'a title');
  assert.ok(found.viewport, 'a viewport');
  assert.equal(found.headings, 1, 'one first heading');
  assert.equal(found.main, 1, 'one main part');
  assert.deepEqual(found.nameless, [], 'every control has a name');
  assert.ok(!found.overflow, 'no sideways scrolling');
  assert.deepEqual(await page.evaluate(lowContrast), [], 'contrast');
  const focus = await invisibleFocus(page);
  assert.deepEqual(focus.hidden, [], 'focus can be seen');
  assert.ok(focus.stops >= controls, `at least ${controls} controls by keyboard, found ${focus.stops}`);
}
